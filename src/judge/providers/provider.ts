/** The small interface behind which every judge provider lives. */
import type { Answers, Field, Material } from '../question.js'
import type { Abortable } from '../signal.js'
import type { ReplyHeaders } from '../transport/headers.js'
import type { JudgeMessage, Usage } from '../types.js'

export type { ReplyHeaders }

export interface ProviderRequest {
  messages: JudgeMessage[]
  /** `[{"role":…,"content":…},…]`, where it is already written. */
  json?: string
  /** How the messages of all requests of this judge begin, where that is known: providers may keep it. */
  constant?: JudgeMessage[]
  /** The values that the reply must give, for providers that ask for them one by one. */
  fields: Field[]
  /** What is judged, as it came, where the judge has no rubric. */
  material?: Material
  /** Strict JSON schema of the reply; a provider that has no such thing leaves it out (the prompt says it too). */
  schema: Record<string, unknown>
  /** Whether the log-probs of the reply's tokens are wanted. */
  logProbs: boolean
  maxTokens: number
  temperature: number
  seed: number
  signal: AbortSignal
  /** The same, cheaper: `signal` is only made where it is looked at. */
  stop?: Abortable
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
  /** Values with their probabilities, from a provider that gives them itself: `text` is then not parsed. */
  answers?: Answers
  usage: Usage
  finishReason: 'stop' | 'length' | 'refusal' | 'other'
  /** What the provider said, where it refused. */
  refusal?: string
  /** The reply's HTTP headers, where there were some; rate limits are read from them. */
  headers?: ReplyHeaders
}

export interface Provider {
  readonly name: string
  /** Calls of judges with the same key share one concurrency limit; holds no secret in the clear. */
  readonly limitKey: string
  /** The server, where it is not the provider's own: part of the ledger's key. */
  readonly baseURL?: string
  /** Throws an error that `classify` in retry.ts understands: by `status` and `headers`, by `code`, or a SyntaxError. */
  call(request: ProviderRequest): Promise<ProviderReply>
  close?(): Promise<void>
}
