/** The small interface behind which every judge provider lives. */
import type { Message } from '../../policy/types.js'
import type { Usage } from '../types.js'

export interface ProviderRequest {
  messages: Message[]
  /** Strict JSON schema of the reply; a provider that has no such thing leaves it out (the prompt says it too). */
  schema: Record<string, unknown>
  /** Whether the log-probs of the reply's tokens are wanted. */
  logProbs: boolean
  maxTokens: number
  temperature: number
  seed: number
  signal: AbortSignal
}

/** One token of a reply with the most probable tokens at its place (natural log-probs). */
export interface ReplyToken {
  token: string
  logProb: number
  top: { token: string; logProb: number }[]
}

export interface ProviderReply {
  text: string
  /** The tokens of `text`, in order, where the provider returned log-probs. */
  tokens?: ReplyToken[]
  usage: Usage
  finishReason: 'stop' | 'length' | 'refusal' | 'other'
  /** What the provider said, where it refused. */
  refusal?: string
  /** The reply's HTTP headers, where there were some; rate limits are read from them. */
  headers?: ReplyHeaders
}

export interface ReplyHeaders {
  get(name: string): string | null
}

export interface Provider {
  readonly name: string
  /** Calls of judges with the same key share one concurrency limit; holds no secret in the clear. */
  readonly limitKey: string
  /** Throws whatever its client throws; `classify` in retry.ts understands it. */
  call(request: ProviderRequest): Promise<ProviderReply>
  close?(): Promise<void>
}
