/** Reward servers: conversations go out in batches, one reward for each comes back. */
import { AdjudgeError } from '../../../errors.js'
import { HttpClient, errorWithin } from '../../transport/client.js'
import { excerpt } from '../../transport/errors.js'
import type { Material } from '../../question.js'
import type { Provider, ProviderReply, ProviderRequest } from '../provider.js'
import type { ProviderOptions } from '../shared.js'
import { limitKeyOf } from '../wire.js'
import { rewardShapes, shapes, type Rewarded, type RewardShape, type ShapeFormat } from './shapes.js'

interface Waiting {
  material: Material
  signal: AbortSignal
  resolve: (reply: ProviderReply) => void
  reject: (error: unknown) => void
}

/** A reward that cannot be used; another try would bring the same. */
class RewardUnusable extends Error {}

/** Throws JUDGE_INVALID where the address is missing or the shape unknown. */
export function httpRewardProvider(options: ProviderOptions): Provider {
  const { baseURL, shape = 'openrlhf', apiKey } = options
  if (baseURL === undefined) {
    throw new AdjudgeError('JUDGE_INVALID', 'judge: provider http needs baseURL, the address of the reward server')
  }
  const format = (shapes as Partial<Record<string, ShapeFormat>>)[shape]
  if (!format) {
    throw new AdjudgeError(
      'JUDGE_INVALID',
      `judge: shape is ${JSON.stringify(shape)}; expected one of ${rewardShapes.join(', ')}`
    )
  }
  return new HttpRewardProvider(baseURL, shape as RewardShape, format, apiKey, options.concurrency ?? 8)
}

class HttpRewardProvider implements Provider {
  readonly name = 'http'
  readonly limitKey: string
  readonly baseURL: string
  private readonly client: HttpClient
  private readonly path: string
  private waiting: Waiting[] = []
  private scheduled = false

  constructor(
    baseURL: string,
    shape: RewardShape,
    private readonly format: ShapeFormat,
    apiKey: string | undefined,
    connections: number
  ) {
    // The shape is part of what is asked, so part of the ledger's key.
    this.baseURL = `${baseURL} ${shape}`
    this.limitKey = limitKeyOf('http', baseURL, apiKey)
    this.client = new HttpClient({
      baseURL,
      headers: apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` },
      secrets: apiKey === undefined ? [] : [apiKey],
      connections
    })
    this.path = new URL(baseURL).pathname === '/' ? format.path : ''
  }

  call(request: ProviderRequest): Promise<ProviderReply> {
    const { material, signal } = request
    if (!material) {
      return Promise.reject(new Error('a reward server takes no instructions: it judges without a rubric'))
    }
    return new Promise((resolve, reject) => {
      const one: Waiting = { material, signal, resolve, reject }
      // The others of its request go on; its own reward is dropped when it comes.
      signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true })
      this.waiting.push(one)
      if (this.scheduled) return
      this.scheduled = true
      // What is asked in the same turn of the event loop goes out together.
      setImmediate(() => this.flush())
    })
  }

  close(): Promise<void> {
    return this.client.close()
  }

  private flush(): void {
    this.scheduled = false
    const due = this.waiting.filter(({ signal }) => !signal.aborted)
    this.waiting = []
    for (let at = 0; at < due.length; at += this.format.batch) void this.send(due.slice(at, at + this.format.batch))
  }

  private async send(batch: Waiting[]): Promise<void> {
    const ids = batch.map((_, index) => String(index))
    const controller = new AbortController()
    let left = batch.length
    for (const { signal } of batch) {
      signal.addEventListener('abort', () => --left === 0 && controller.abort(signal.reason), { once: true })
    }
    try {
      const body = JSON.stringify(
        this.format.body(
          batch.map(({ material }) => material),
          ids
        )
      )
      const { text, headers } = await this.client.send({ path: this.path, body, signal: controller.signal })
      const value = JSON.parse(text) as unknown
      const error = errorWithin(value, headers)
      if (error) throw error
      const rewards = this.read(value, ids)
      batch.forEach((one, index) => settle(one, rewards[index]!, headers))
    } catch (error) {
      for (const { reject } of batch) reject(error)
    }
  }

  private read(value: unknown, ids: string[]): Rewarded[] {
    try {
      return this.format.read(value, ids)
    } catch (error) {
      throw new RewardUnusable(`${(error as Error).message}: ${excerpt(JSON.stringify(value) ?? '')}`)
    }
  }
}

function settle({ resolve, reject }: Waiting, { reward, metrics }: Rewarded, headers: ProviderReply['headers']): void {
  if (typeof reward !== 'number' || !Number.isFinite(reward)) {
    const got = reward === undefined ? 'none' : (JSON.stringify(reward) ?? typeof reward).slice(0, 80)
    return reject(new RewardUnusable(`the reward server gave no finite reward for this answer, but ${got}`))
  }
  resolve({
    text: JSON.stringify(metrics && Object.keys(metrics).length > 0 ? { reward, metrics } : reward),
    answers: { score: { value: reward } },
    usage: { inputTokens: 0, outputTokens: 0 },
    finishReason: 'stop',
    headers
  })
}
