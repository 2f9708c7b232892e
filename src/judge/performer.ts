/** What carries a question to a judge and brings its answers back; the pipeline around it keeps the ledger. */
import type { Held } from './budget.js'
import type { Answers, Question } from './question.js'
import type { UnscoredReason, Usage, VerdictFlag } from './types.js'

export interface Performed {
  /** Present exactly where the judge answered every field. */
  answers?: Answers
  reason?: UnscoredReason
  detail?: string
  rationale?: string
  /** The raw replies, joined, for the ledger. */
  reply?: string
  usage: Usage
  /** Milliseconds from the first attempt on. */
  latency: number
  attempts: number
  flags: VerdictFlag[]
  /**
   * Gives the verdict's place back. Called when the verdict is durable: so a killed run asks again for no more
   * verdicts than there are places.
   */
  release?(): void
}

export interface Performer {
  /** What the answers depend on beside the question: goes into the ledger's key. No secrets. */
  readonly identity: Record<string, unknown>
  /** True where each call is reserved (`Watch.reserve`) before it is sent. */
  readonly reserves?: boolean
  /** Whether it reads `choicePrompts`, which then belong to the key as well. */
  readonly choices?: boolean
  perform(question: Question, signal: AbortSignal | undefined, watch: Watch): Promise<Performed>
  close(): Promise<void>
}

/** Where a performer reports its calls for the metrics. */
export interface Watch {
  called(): void
  retried(): void
  started(): void
  /** A call had to wait for a rate limit or a pause. */
  limited(): void
  /** A second call was sent for one that is slow. */
  hedged(): void
  /** Where there are budgets: asks for a call of at most so many tokens. Rejects with BudgetSpent. */
  reserve?(usage: Usage, signal: AbortSignal): Promise<Held>
}
