/** The graders' shapes: OpenAI's field names on the way in, a Verdict with its parts on the way out. */
import type { JudgeOptions } from '../judge/options.js'
import type { JudgeInput, Verdict } from '../judge/types.js'

/** Other fields pass: a grader file written for another service may carry more than is read here. */
export interface GraderSpec {
  type: string
  name?: string
  [field: string]: unknown
}

export interface GraderVerdict extends Verdict {
  /** Scores of a multi grader's parts. */
  subScores?: Record<string, number | null>
  /** Where the grader has a pass_threshold. */
  passed?: boolean
}

export interface GraderOptions {
  /** Provider, server, ledger and limits for the graders that ask a model; the grader names the model. */
  judge?: Partial<JudgeOptions>
  /** Where relative paths start. Default: the working folder. */
  folder?: string
}

export interface GradeOptions {
  signal?: AbortSignal
}

export interface Grader {
  readonly name: string
  readonly type: string
  /** Never rejects for an item that cannot be graded: that is `score: null` with a detail. */
  grade(input: JudgeInput, options?: GradeOptions): Promise<GraderVerdict>
  close(): Promise<void>
}
