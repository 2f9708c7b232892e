/** A server's address with its headers and keys. Keys are cut from everything that comes back. */
import { AdjudgeError } from '../../errors.js'
import type { Abortable } from '../signal.js'
import { excerpt, explainValue, HttpError } from './errors.js'
import { exchange, type Reply } from './exchange.js'
import type { ReplyHeaders } from './headers.js'
import { openOrigin, type OpenOrigin } from './origins.js'
import { redactor } from './redact.js'

export interface ClientOptions {
  /** Address with the path that all requests share, e.g. `https://api.openai.com/v1`. */
  baseURL: string
  headers?: Record<string, string>
  /** Connections at once, at most; more calls wait. Default 8. */
  connections?: number
  /** Replaced by `[key]` wherever the server or an error repeats them. */
  secrets?: string[]
}

export interface Call {
  path: string
  method?: 'GET' | 'POST' | 'DELETE'
  headers?: Record<string, string>
  body?: string
  signal?: Abortable
}

export class HttpClient {
  private readonly origin: string
  private readonly prefix: string
  private readonly headers: Record<string, string>
  private readonly bodyHeaders: Record<string, string>
  private readonly redact: (text: string) => string
  private readonly server: OpenOrigin

  /** Throws JUDGE_INVALID on an address that is none, or that carries what does not belong into one. */
  constructor(options: ClientOptions) {
    const url = addressOf(options.baseURL)
    this.origin = url.origin
    this.prefix = url.pathname.replace(/\/+$/, '')
    this.headers = {
      accept: 'application/json',
      // Log-probs make a reply long and pack well; on one's own machine packing only costs time.
      ...(url.protocol === 'https:' ? { 'accept-encoding': 'gzip, br' } : {}),
      'user-agent': 'adjudge',
      ...options.headers
    }
    this.bodyHeaders = { 'content-type': 'application/json', ...this.headers }
    this.redact = redactor(options.secrets ?? [])
    this.server = openOrigin(this.origin, options.connections ?? 8)
  }

  /** Throws HttpError on any status but 2xx; else what `exchange` throws. */
  send(call: Call): Promise<Reply> {
    return this.exchange(call)
  }

  /** A reply of any length, line by line; empty lines are left out. Throws as `send` does, and what `take` throws. */
  async lines(call: Call, take: (line: string) => void): Promise<void> {
    let rest: Buffer[] = []
    const line = (bytes: Buffer): void => {
      const text = this.redact(Buffer.concat([...rest, bytes]).toString('utf8')).trim()
      rest = []
      if (text !== '') take(text)
    }
    // Not packed: the length of a packed reply says nothing, and it would have to be held whole.
    await this.exchange({ ...call, headers: { ...call.headers, 'accept-encoding': 'identity' } }, (chunk) => {
      let start = 0
      for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, start)) {
        line(chunk.subarray(start, end))
        start = end + 1
      }
      if (start < chunk.length) rest.push(chunk.subarray(start))
    })
    line(Buffer.alloc(0))
  }

  private async exchange(call: Call, sink?: (chunk: Buffer) => void): Promise<Reply> {
    const headers = call.body === undefined ? this.headers : this.bodyHeaders
    const request = {
      origin: this.origin,
      path: this.prefix + call.path,
      method: call.method ?? (call.body === undefined ? 'GET' : 'POST'),
      headers: call.headers ? { ...headers, ...call.headers } : headers,
      ...(call.body === undefined ? {} : { body: call.body }),
      ...(call.signal ? { signal: call.signal } : {})
    }
    const reply = await exchange(this.server.dispatcher, request, sink)
    reply.text = this.redact(reply.text)
    if (reply.status < 200 || reply.status > 299) {
      throw new HttpError(reply.status, redacted(reply.headers, this.redact), excerpt(reply.text))
    }
    return reply
  }

  close(): Promise<void> {
    return this.server.close()
  }
}

const redacted = (headers: ReplyHeaders, redact: (text: string) => string): ReplyHeaders => ({
  get: (name) => {
    const value = headers.get(name)
    return value === null ? null : redact(value)
  }
})

/** A reply of status 200 that holds an error all the same, as gateways and streams have it. */
export function errorWithin(value: unknown, headers: ReplyHeaders): HttpError | undefined {
  const error = (value as { error?: unknown } | null)?.error
  if ((typeof error !== 'object' && typeof error !== 'string') || error === null || error === '') return undefined
  if (Object.keys(error).length === 0) return undefined
  const { type = '', code = '' } = explainValue(error)
  const number = Number(code)
  const status =
    number >= 400 && number < 600 ? number : /rate_limit|insufficient_quota/.test(`${type} ${code}`) ? 429 : 500
  return new HttpError(status, headers, excerpt(JSON.stringify(value)))
}

function addressOf(text: string): URL {
  let url: URL | undefined
  try {
    url = new URL(text)
  } catch {
    // Said below.
  }
  if (!url || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    throw new AdjudgeError(
      'JUDGE_INVALID',
      `judge: baseURL is ${JSON.stringify(text)}; expected http:// or https:// with a host`
    )
  }
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '') {
    throw new AdjudgeError(
      'JUDGE_INVALID',
      `judge: baseURL for ${url.host} holds a user name, a password, a query or a fragment, which would stand in ` +
        'ledgers and messages; give the key by its environment variable'
    )
  }
  return url
}
