/** The half-price batch interfaces of OpenAI and Anthropic as a provider: a call takes minutes to a day. */
import { createHash } from 'node:crypto'
import { AdjudgeError } from '../../errors.js'
import { anthropicBatches } from '../transport/batch/anthropic.js'
import { openaiBatches } from '../transport/batch/openai.js'
import { batchDefaults, BatchQueue, type BatchSettings } from '../transport/batch/queue.js'
import type { BatchOutcome } from '../transport/batch/service.js'
import { BatchStore } from '../transport/batch/store.js'
import { errorWithin, HttpClient } from '../transport/client.js'
import { excerpt, HttpError } from '../transport/errors.js'
import { HeaderRecord } from '../transport/headers.js'
import { hasImages, loadImages } from './images.js'
import type { Provider, ProviderReply, ProviderRequest } from './provider.js'
import { openFormat } from './registry.js'
import type { ProviderOptions } from './shared.js'
import { limitKeyOf, providerOver, type WireFormat } from './wire.js'

const services = {
  openai: openaiBatches,
  'openai responses': openaiBatches,
  anthropic: anthropicBatches
}

/** Milliseconds for the one question that is asked directly. */
const probeTimeout = 60_000

/** `ledger`: the folder beside whose verdicts the batches are noted. Throws JUDGE_INVALID where there is no such thing. */
export async function openBatchProvider(
  name: string,
  options: ProviderOptions,
  ledger: string,
  settings: Partial<BatchSettings> = {}
): Promise<Provider> {
  const format = await openFormat(name, options)
  const open = format && (services[format.name as keyof typeof services] as typeof openaiBatches | undefined)
  if (!open) {
    throw new AdjudgeError(
      'JUDGE_INVALID',
      `judge: transport batch is for openai (api chat or responses) and anthropic, not for ${format?.name ?? name}`
    )
  }
  const { baseURL, headers, secrets } = format
  const client = new HttpClient({ baseURL, headers, secrets, connections: 4 })
  const limitKey = `${limitKeyOf(format.name, baseURL, secrets[0])} batch`
  const queue = new BatchQueue(open(client), new BatchStore(ledger), limitKey, { ...batchDefaults, ...settings })
  return new BatchProvider(format, limitKey, queue)
}

class BatchProvider implements Provider {
  readonly name: string
  readonly baseURL?: string
  private readonly direct: Provider
  private probed = false
  private probing: Promise<void> | undefined

  constructor(
    private readonly format: WireFormat,
    readonly limitKey: string,
    private readonly queue: BatchQueue
  ) {
    this.name = format.name
    if (format.ownServer) this.baseURL = format.baseURL
    this.direct = providerOver(format)
  }

  async call(given: ProviderRequest): Promise<ProviderReply> {
    const request = hasImages(given.messages) ? { ...given, messages: await loadImages(given.messages) } : given
    const { features } = this.format
    return features ? features.negotiate(() => this.once(request)) : this.once(request)
  }

  async close(): Promise<void> {
    await this.queue.close()
    await this.direct.close?.()
  }

  private async once(request: ProviderRequest): Promise<ProviderReply> {
    for (;;) {
      const { path, body } = this.format.request(request)
      const id = createHash('sha256').update(`${path}\n${body}`).digest('hex').slice(0, 48)
      if (this.probed || this.queue.has(id)) {
        return this.read(await this.queue.ask({ id, path, body }, request.signal), request)
      }
      if (!this.probing) return this.probe(request)
      await this.probing
    }
  }

  /** The first question goes the direct way: a wrong key or a field that is refused shows now, not tomorrow. */
  private async probe(request: ProviderRequest): Promise<ProviderReply> {
    let done: () => void = () => undefined
    this.probing = new Promise((resolve) => (done = resolve))
    try {
      const signal = AbortSignal.any([request.signal, AbortSignal.timeout(probeTimeout)])
      const reply = await this.direct.call({ ...request, signal })
      this.probed = true
      return reply
    } finally {
      this.probing = undefined
      done()
    }
  }

  private read({ status, value }: BatchOutcome, request: ProviderRequest): ProviderReply {
    const none = new HeaderRecord({})
    if (status < 200 || status > 299) throw new HttpError(status, none, excerpt(JSON.stringify(value)))
    const error = errorWithin(value, none)
    if (error) throw error
    return this.format.read(value, request)
  }
}
