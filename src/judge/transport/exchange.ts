/** One request and its reply, gathered whole. */
import { promisify } from 'node:util'
import { brotliDecompress, gunzip, inflate } from 'node:zlib'
import type { Dispatcher } from 'undici'
import type { Abortable } from '../signal.js'
import { TransportError } from './errors.js'
import { HeaderRecord, type ReplyHeaders } from './headers.js'

export interface Exchange {
  origin: string
  path: string
  method: 'GET' | 'POST' | 'DELETE'
  headers: Record<string, string>
  body?: string
  signal?: Abortable
}

export interface Reply {
  status: number
  headers: ReplyHeaders
  text: string
}

/** A judge's reply is a few kilobytes, with log-probs at most some megabytes. */
export const largestReply = 32 * 1024 * 1024

/**
 * Rejects with the signal's reason, with undici's error (`code`), or with a TransportError. A reply that is shorter than
 * its headers promise is an error of undici's; redirects come back as what they are. `sink` gets the body of a reply of
 * status 2xx as it comes, whatever its length; what it throws ends the exchange.
 */
export function exchange(dispatcher: Dispatcher, request: Exchange, sink?: (chunk: Buffer) => void): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const { signal, ...options } = request
    if (signal?.aborted) return reject(signal.reason as Error)
    // What is not waited for any more may hang: the limits on time are the signal's.
    dispatcher.dispatch({ ...options, headersTimeout: 0, bodyTimeout: 0 }, new Gatherer(resolve, reject, signal, sink))
  })
}

/** Cheaper than undici's `request`, which makes a stream of every body. */
class Gatherer implements Dispatcher.DispatchHandler {
  private controller: Dispatcher.DispatchController | undefined
  private readonly chunks: Buffer[] = []
  private size = 0
  private status = 0
  private headers: Record<string, string | string[] | undefined> = {}
  private settled = false
  private readonly abort: (() => void) | undefined

  constructor(
    private readonly resolve: (reply: Reply) => void,
    private readonly reject: (error: Error) => void,
    private readonly signal: Abortable | undefined,
    private readonly sink: ((chunk: Buffer) => void) | undefined
  ) {
    if (!signal) return
    this.abort = () => this.fail(signal.reason as Error)
    signal.addEventListener('abort', this.abort, { once: true })
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.controller = controller
    // Given up while it waited for a connection.
    if (this.settled) controller.abort(new Error('given up'))
  }

  onResponseStart(
    _: Dispatcher.DispatchController,
    status: number,
    headers: Record<string, string | string[] | undefined>
  ): void {
    // 1xx comes before the answer.
    if (status < 200) return
    this.status = status
    this.headers = headers
  }

  onResponseData(_: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.sink && this.status < 300) {
      try {
        if (!this.settled) this.sink(chunk)
      } catch (error) {
        this.fail(error as Error)
      }
      return
    }
    this.size += chunk.length
    if (this.size <= largestReply) this.chunks.push(chunk)
    else this.fail(tooLarge())
  }

  onResponseEnd(): void {
    if (!this.settle()) return
    const body = this.chunks.length === 1 ? this.chunks[0] : Buffer.concat(this.chunks)
    const headers = new HeaderRecord(this.headers)
    const encoding = headers.get('content-encoding')
    if (encoding === null || encoding === 'identity') {
      this.resolve({ status: this.status, headers, text: body.toString('utf8') })
    } else {
      decode(body, encoding).then(
        (text) => this.resolve({ status: this.status, headers, text }),
        (error: unknown) => this.reject(error as Error)
      )
    }
  }

  onResponseError(_: Dispatcher.DispatchController, error: Error): void {
    if (this.settle()) this.reject(isBroken(error) ? unreadable(error) : error)
  }

  private fail(error: Error): void {
    if (!this.settle()) return
    this.reject(error)
    this.controller?.abort(error)
  }

  private settle(): boolean {
    if (this.settled) return false
    this.settled = true
    if (this.abort) this.signal?.removeEventListener('abort', this.abort)
    return true
  }
}

const tooLarge = (): TransportError =>
  new TransportError('REPLY_TOO_LARGE', `the reply is longer than ${largestReply} bytes`)

const isBroken = (error: Error & { code?: string }): boolean =>
  error.name === 'HTTPParserError' || error.code === 'UND_ERR_RES_CONTENT_LENGTH_MISMATCH'

/** Without the parser's own error, which holds the bytes that came. */
const unreadable = ({ message }: Error): TransportError => new TransportError('REPLY_UNREADABLE', message)

const decoders = { gzip: promisify(gunzip), deflate: promisify(inflate), br: promisify(brotliDecompress) }

async function decode(body: Buffer, encoding: string): Promise<string> {
  const decoder = decoders[encoding.toLowerCase() as keyof typeof decoders] as
    ((body: Buffer, options: { maxOutputLength: number }) => Promise<Buffer>) | undefined
  if (!decoder) throw new TransportError('REPLY_UNREADABLE', `the reply's encoding ${encoding} is unknown`)
  try {
    return (await decoder(body, { maxOutputLength: largestReply })).toString('utf8')
  } catch (cause) {
    const large = (cause as { code?: string }).code === 'ERR_BUFFER_TOO_LARGE'
    throw large ? tooLarge() : new TransportError('REPLY_UNREADABLE', `the reply's ${encoding} is broken`, { cause })
  }
}
