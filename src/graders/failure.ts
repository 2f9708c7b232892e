/** Why an item has no score, by the names that OpenAI's graders report errors with. */
import type { UnscoredReason } from '../judge/types.js'

/** Those of OpenAI's 14 error fields that say what happened; the others add details to one of them. */
export type GraderErrorName =
  | 'formula_parse_error'
  | 'sample_parse_error'
  | 'truncated_observation_error'
  | 'unresponsive_reward_error'
  | 'invalid_variable_error'
  | 'other_error'
  | 'python_grader_server_error'
  | 'python_grader_runtime_error'
  | 'model_grader_server_error'
  | 'model_grader_refusal_error'
  | 'model_grader_parse_error'

/** Error → what was wrong, in words. */
export type GraderErrors = Partial<Record<GraderErrorName, string>>

/** What a grader throws where this item cannot be graded. */
export class GraderFailure extends Error {
  constructor(
    message: string,
    readonly reason: UnscoredReason = 'function_error',
    readonly error: GraderErrorName = 'other_error',
    readonly attempts = 1
  ) {
    super(message)
  }
}

/** Where a model that was asked gave no score. */
export function modelErrors(reason: UnscoredReason, detail: string): GraderErrors {
  switch (reason) {
    case 'refusal':
      return { model_grader_refusal_error: detail }
    case 'unparseable':
    case 'out_of_range':
    case 'low_mass':
    case 'truncated':
      return { model_grader_parse_error: detail }
    case 'provider_error':
    case 'rate_limited':
    case 'timeout':
      return { model_grader_server_error: detail }
    default:
      return { other_error: detail }
  }
}
