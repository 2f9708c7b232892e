/** Graders by OpenAI's own interface: one sample graded, with the reply of `fine_tuning/alpha/graders/run`. */
import type { Usage } from '../judge/types.js'
import { createGrader } from './create.js'
import type { GraderErrors } from './failure.js'
import { FormulaError } from './formula.js'
import type { GraderOptions, GraderSpec, GraderVerdict, SampleFields } from './types.js'

export interface RunGraderInput {
  item?: Record<string, unknown>
  /** The model's text, or the text with what else is known of the sample (output_tools, choices, …). */
  sample: string | ({ output_text: string } & SampleFields)
  signal?: AbortSignal
}

export interface TokenUsage {
  prompt_tokens: number
  completion_tokens: number
  total_tokens: number
}

/** OpenAI's 14 fields. Those named python_grader_… also speak of our javascript grader. */
export interface GraderRunErrors {
  formula_parse_error: boolean
  sample_parse_error: boolean
  truncated_observation_error: boolean
  unresponsive_reward_error: boolean
  invalid_variable_error: boolean
  other_error: boolean
  python_grader_server_error: boolean
  python_grader_server_error_type: string | null
  python_grader_runtime_error: boolean
  python_grader_runtime_error_details: string | null
  model_grader_server_error: boolean
  model_grader_server_error_details: string | null
  model_grader_refusal_error: boolean
  model_grader_parse_error: boolean
}

export interface GraderRunReply {
  /** null where the sample could not be graded: unlike OpenAI's, never 0 for a failure. */
  reward: number | null
  /** Of a multi grader's parts. */
  sub_rewards: Record<string, number | null>
  model_grader_token_usage_per_model: Record<string, TokenUsage>
  metadata: {
    name: string
    type: string
    /** Seconds. */
    execution_time: number
    scores: Record<string, number | null>
    /** Of all models together; null where none was asked. */
    token_usage: number | null
    /** null where no model, or more than one, was asked. */
    sampled_model_name: string | null
    errors: GraderRunErrors
  }
}

/**
 * Grades one sample and closes the grader. A formula that cannot be read is said by the reply (formula_parse_error); any
 * other fault of the specification throws GRADER_INVALID.
 */
export async function runGrader(
  spec: GraderSpec,
  { item, sample, signal }: RunGraderInput,
  options: GraderOptions = {}
): Promise<GraderRunReply> {
  const started = performance.now()
  const { output_text: completion, ...fields } = typeof sample === 'string' ? { output_text: sample } : sample
  let verdict: Partial<GraderVerdict>
  try {
    const grader = await createGrader(spec, options)
    try {
      const input = { messages: [], completion, ...(item === undefined ? {} : { item }) }
      verdict = await grader.grade(input, { sample: fields, ...(signal ? { signal } : {}) })
    } finally {
      await grader.close()
    }
  } catch (error) {
    if (!(error instanceof FormulaError)) throw error
    verdict = { score: null, errors: { formula_parse_error: error.message } }
  }
  const models = Object.entries(verdict.usageByModel ?? {})
  const tokens = models.map(([model, usage]) => [model, tokenUsage(usage)] as const)
  return {
    reward: verdict.score ?? null,
    sub_rewards: verdict.subScores ?? {},
    model_grader_token_usage_per_model: Object.fromEntries(tokens),
    metadata: {
      name: typeof spec.name === 'string' ? spec.name : spec.type,
      type: spec.type,
      execution_time: (performance.now() - started) / 1000,
      scores: verdict.subScores ?? {},
      token_usage: tokens.length === 0 ? null : tokens.reduce((sum, [, usage]) => sum + usage.total_tokens, 0),
      sampled_model_name: tokens.length === 1 ? tokens[0][0] : null,
      errors: errorFields(verdict.errors ?? {})
    }
  }
}

const tokenUsage = ({ inputTokens, outputTokens }: Usage): TokenUsage => ({
  prompt_tokens: inputTokens,
  completion_tokens: outputTokens,
  total_tokens: inputTokens + outputTokens
})

const errorFields = (errors: GraderErrors): GraderRunErrors => ({
  formula_parse_error: errors.formula_parse_error !== undefined,
  sample_parse_error: errors.sample_parse_error !== undefined,
  truncated_observation_error: errors.truncated_observation_error !== undefined,
  unresponsive_reward_error: errors.unresponsive_reward_error !== undefined,
  invalid_variable_error: errors.invalid_variable_error !== undefined,
  other_error: errors.other_error !== undefined,
  python_grader_server_error: errors.python_grader_server_error !== undefined,
  python_grader_server_error_type: errors.python_grader_server_error ?? null,
  python_grader_runtime_error: errors.python_grader_runtime_error !== undefined,
  python_grader_runtime_error_details: errors.python_grader_runtime_error ?? null,
  model_grader_server_error: errors.model_grader_server_error !== undefined,
  model_grader_server_error_details: errors.model_grader_server_error ?? null,
  model_grader_refusal_error: errors.model_grader_refusal_error !== undefined,
  model_grader_parse_error: errors.model_grader_parse_error !== undefined
})
