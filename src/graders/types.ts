/** The graders' shapes: OpenAI's field names on the way in, a Verdict with its parts on the way out. */
import type { JudgeOptions } from '../judge/options.js'
import type { JudgeInput, Usage, Verdict } from '../judge/types.js'
import type { GraderErrors } from './failure.js'

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
  /** What went wrong, by OpenAI's names; also of a multi grader's parts that `invalid_grade` stands in for. */
  errors?: GraderErrors
  /** Tokens by the model that was asked, where one was. */
  usageByModel?: Record<string, Usage>
}

/** Gives each text a vector; all of one embedder have the same length. */
export interface Embedder {
  readonly name: string
  /** In the texts' order. Throws where they cannot be embedded: then what is graded is unscored. */
  embed(texts: readonly string[], options?: { signal?: AbortSignal }): Promise<Float32Array[]>
  close(): Promise<void>
}

export interface GraderOptions {
  /** Provider, server, ledger and limits for the graders that ask a model; the grader names the model. */
  judge?: Partial<JudgeOptions>
  /** For `cosine`; stays open. Default: OpenAI's /v1/embeddings at the grader's or the judge's address. */
  embedder?: Embedder
  /** Where relative paths start. Default: the working folder. */
  folder?: string
}

/** What graders are made with inside of this folder. */
export interface MakerOptions extends GraderOptions {
  /** Only the specification is checked: no key is looked for, and the grader grades nothing. */
  checkOnly?: boolean
}

/** What is known of a sample beside its text. */
export interface SampleFields {
  output_tools?: unknown[]
  choices?: unknown[]
  [field: string]: unknown
}

export interface GradeOptions {
  signal?: AbortSignal
  /** Goes into the templates' `sample`. */
  sample?: SampleFields
}

export interface Grader {
  readonly name: string
  readonly type: string
  /** Never rejects for an item that cannot be graded: that is `score: null` with a detail. */
  grade(input: JudgeInput, options?: GradeOptions): Promise<GraderVerdict>
  close(): Promise<void>
}
