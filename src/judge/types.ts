/** The judge's vocabulary: what is judged and what comes back. */
import type { Message } from '../policy/types.js'

/** Text or an image beside it, in OpenAI's form. */
export type ContentPart =
  | { type: 'text'; text: string }
  | {
      type: 'image_url'
      /** `url`: an address, a `data:` URL, or a file (a path or `file:`), which is sent by its content. */
      image_url: {
        url: string
        detail?: 'auto' | 'low' | 'high'
        /** Of a file's content; set when the question is written. */
        sha256?: string
      }
    }

/** A message as a judge gets it: unlike the policy's, it may hold images. */
export interface JudgeMessage {
  role: Message['role']
  content: string | ContentPart[]
}

/** One thing to judge: an answer in its context. Other fields of the data set are in `item`. */
export interface JudgeInput {
  /** Identifies the input in results and in the ledger's listings; not part of the cache key. */
  id?: string
  messages: JudgeMessage[]
  /** The answer to judge. */
  completion: string
  /** The data set's other fields, for templates (`{{ item.label }}`). */
  item?: Record<string, unknown>
  /** A reference answer, where there is one. */
  reference?: string
  /** Where the answer stands in its rollout, for reward functions; not part of the cache key of a model judge. */
  group?: { id: string; index: number; size: number }
}

/** Why a verdict has no score. */
export type UnscoredReason =
  | 'timeout'
  | 'refusal'
  | 'unparseable'
  | 'truncated'
  | 'provider_error'
  | 'rate_limited'
  | 'out_of_range'
  | 'empty_answer'
  | 'budget'
  | 'cancelled'
  | 'function_error'
  | 'low_mass'
  | 'missing_reference'
  | 'nothing_to_compare'

export type VerdictFlag =
  | 'truncated'
  | 'repaired'
  | 'refused'
  | 'reasked'
  | 'low_mass'
  | 'injected'
  | 'cached'
  | 'hedged'
  | 'fallback'
  | 'swap_flip'

export interface Usage {
  inputTokens: number
  outputTokens: number
}

/** A judge's answer for one completion. */
export interface Verdict {
  id?: string
  /** In the rubric's scale; `null` = unscored (never 0 for a failure). */
  score: number | null
  /** Why `score` is null; absent where scored. */
  reason?: UnscoredReason
  /** A human sentence about what went wrong, where unscored. */
  detail?: string
  /** Score → probability (sums to 1), where the provider returned log-probs. */
  distribution?: Record<string, number>
  /** Probability that the judge gave to the scores as a whole, before `distribution` was normalised; in [0, 1]. */
  mass?: number
  /**
   * Score per criterion, where the rubric has criteria and the judge gave them; of a checklist the probability that
   * it holds.
   */
  criteria?: Record<string, number | null>
  rationale?: string
  /** What a labelling judge (mode label, label_model) chose. */
  label?: string
  /** Of a tournament: log-odds units, mean 0 over the answers to the prompt, and how uncertain that is. */
  rating?: number
  standardError?: number
  /** Of several votes or a panel: the standard deviation of the members' scores, on this verdict's scale. */
  spread?: number
  /** The same as a share: 1 = all alike, 0 = as far apart as the scale allows; for a majority, the winner's share. */
  agreement?: number
  /** Of several votes, a panel or a cascade: what each member that was asked said, in their order. */
  members?: MemberVerdict[]
  usage: Usage
  /** US dollars; null where the price is unknown, 0 where nothing was paid (cached, local). */
  cost: number | null
  /** Milliseconds from first attempt to verdict; 0 for a cached one. */
  latency: number
  attempts: number
  flags: VerdictFlag[]
  /** Who judged, where it was not the judge that was asked but its fallback. */
  judge?: string
  /** Ledger key, where a ledger is in use. */
  key?: string
}

/** One member's verdict, on that member's own scale. */
export interface MemberVerdict extends Verdict {
  name: string
  /** `score` on the scale of the verdict that was made of it. */
  scaled: number | null
  /** Why a member of a cascade was asked. */
  because?: StageReason
}

/**
 * `first`: it comes first. `unscored`, `spread`, `mass`, `confidence`: the one before had no score or was unsure.
 * `second`: the first two both judge. `disagreement`: the two before were far apart. `audit`: by the sample.
 */
export type StageReason = 'first' | 'unscored' | 'spread' | 'mass' | 'confidence' | 'second' | 'disagreement' | 'audit'

export interface Scale {
  low: number
  high: number
}

/** Anything that scores answers: a provider-backed judge, a native judge, a function. */
export interface Judge {
  readonly name: string
  /** How many inputs of a stream are asked about at once, where that is more than usual (batches). */
  readonly window?: number | undefined
  /** Lowest and highest score, where they are known. */
  readonly scale?: Scale
  /** True where a verdict depends on the other answers to the prompt. */
  readonly together?: boolean
  /** Verdicts in input order, each yielded as soon as it and all before it are there. */
  score(inputs: Iterable<JudgeInput> | AsyncIterable<JudgeInput>, options?: ScoreOptions): AsyncIterable<Verdict>
  scoreAll(inputs: JudgeInput[], options?: ScoreOptions): Promise<Verdict[]>
  /** All answers to one prompt: what modes that see them together need, and others judge one by one. */
  scoreGroup(inputs: readonly JudgeInput[], options?: ScoreOptions): Promise<Verdict[]>
  /** Which of two answers to one prompt is better; asked in both orders. The prompt is that of the first. */
  compare(first: JudgeInput, second: JudgeInput, options?: ScoreOptions): Promise<Comparison>
  /** The answers to one prompt, best first, with ratings. */
  rank(inputs: readonly JudgeInput[], options?: RankOptions): Promise<Ranking>
  /** One verdict; never rejects for a failed call (that is an unscored verdict), only for a programming fault. */
  scoreOne(input: JudgeInput, options?: ScoreOptions): Promise<Verdict>
  /** Counters since creation. */
  readonly metrics: JudgeMetrics
  close(): Promise<void>
}

export interface ScoreOptions {
  signal?: AbortSignal
}

/** The outcome of two answers side by side. */
export interface Comparison {
  /** How far the first is preferred, in [0, 1]; 0.5 is a tie; null = could not be judged. */
  preference: number | null
  /** A pair whose orders disagree is a tie (flag `swap_flip`). */
  winner: 'first' | 'second' | 'tie' | null
  /** The first's preference as judged when shown first, and when shown second. */
  orders?: [number, number]
  reason?: UnscoredReason
  detail?: string
  rationale?: string
  usage: Usage
  cost: number | null
  latency: number
  attempts: number
  flags: VerdictFlag[]
}

export interface RankOptions extends ScoreOptions {
  /** `all` pairs, `swiss` rounds, or a number of such rounds. Default `all`. */
  rounds?: 'all' | 'swiss' | number
}

export interface Ranking {
  /** Indices of the inputs, best first; those that could not be judged come last. */
  order: number[]
  /** By input: log-odds units with mean 0; null = could not be judged. */
  ratings: (number | null)[]
  standardErrors: (number | null)[]
  comparisons: { first: number; second: number; comparison: Comparison }[]
}

export interface JudgeMetrics {
  verdicts: number
  unscored: number
  cached: number
  calls: number
  retries: number
  inputTokens: number
  outputTokens: number
  /** US dollars of calls with a known price. */
  cost: number
  /** Calls in flight and verdicts waiting. */
  inFlight: number
  queued: number
  /** Calls that had to wait for a rate limit or a pause. */
  limited: number
  /** Second calls that were sent for slow ones. */
  hedged: number
  /** Verdicts that came from the fallback judge. */
  fallbacks: number
  /** Of a cascade: how members agree where both judged by audit or as the first two, by `name → name`. */
  drift?: Record<string, Drift>
  /** Answers that deserve nothing and were mixed in, by kind. */
  canaries?: Record<string, CanaryCount>
}

export interface CanaryCount {
  /** Scored. */
  n: number
  unscored: number
  /** On the judge's scale; null = none is scored. */
  mean: number | null
  /** Above the middle of the scale. */
  accepted: number
}

/** How two members of a cascade agree: 1 − |difference| / (high − low), in means. */
export interface Drift {
  pairs: number
  agreement: number
  /** Over the last 64 pairs. */
  recent: number
  /** `recent` is below the cascade's least agreement. */
  alarm: boolean
}
