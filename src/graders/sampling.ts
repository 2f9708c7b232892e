/** The sampling parameters of a model grader, in the spellings of OpenAI and Azure, as options of its calls. */
import { AdjudgeError } from '../errors.js'
import { providerNames, rewardProviders, type CallOptions, type ProviderName } from '../judge/options.js'
import { textField } from './common.js'
import type { GraderOptions, GraderSpec } from './types.js'

const efforts = ['none', 'minimal', 'low', 'medium', 'high', 'xhigh', 'max']

/**
 * `sampling_params` (OpenAI) or `sampling_parameters` (Azure) with temperature, top_p, seed, reasoning_effort and the
 * bound of the reply: max_completions_tokens (OpenAI's spelling), max_completion_tokens, max_tokens.
 */
export function callOptionsOf(spec: GraderSpec, where: string, options: GraderOptions): CallOptions {
  const given = options.judge ?? {}
  const sampling = (spec.sampling_params ?? spec.sampling_parameters ?? {}) as Record<string, unknown>
  const number = (...names: string[]): number | undefined => {
    const name = names.find((each) => sampling[each] !== undefined && sampling[each] !== null)
    const value = name === undefined ? undefined : sampling[name]
    if (value === undefined || (typeof value === 'number' && Number.isFinite(value))) return value
    throw new AdjudgeError(
      'GRADER_INVALID',
      `${where}.sampling_params.${name} is ${JSON.stringify(value)}; expected a number`
    )
  }
  const provider = (spec.provider ?? given.provider ?? 'openai') as ProviderName
  const known = providerNames.filter((name) => name !== 'function' && !rewardProviders.includes(name))
  if (!known.includes(provider)) {
    throw new AdjudgeError(
      'GRADER_INVALID',
      `${where}.provider is ${JSON.stringify(provider)}; expected one of ${known.join(', ')}`
    )
  }
  // A native model that is already loaded is handed in by the options; the grader's name for it is only a name.
  const model =
    given.model !== undefined && typeof given.model !== 'string' ? given.model : textField(spec, 'model', where)
  const maxTokens = number('max_completions_tokens', 'max_completion_tokens', 'max_tokens') ?? given.maxTokens
  const temperature = number('temperature') ?? given.temperature
  const seed = number('seed') ?? given.seed
  const extraBody = extraBodyOf(sampling, number('top_p'), provider, given, where)
  const baseURL = typeof spec.base_url === 'string' ? spec.base_url : given.baseURL
  const {
    rubric: _rubric,
    function: _function,
    reasoning: _reasoning,
    prompt: _prompt,
    emptyAnswer: _empty,
    ...rest
  } = given
  return {
    ...rest,
    provider,
    model,
    ...(maxTokens === undefined ? {} : { maxTokens }),
    ...(temperature === undefined ? {} : { temperature }),
    ...(seed === undefined ? {} : { seed }),
    ...(baseURL === undefined ? {} : { baseURL }),
    ...(extraBody === undefined ? {} : { extraBody: { ...given.extraBody, ...extraBody } })
  }
}

/** What the calls have no option for, in the words of the provider's own interface. */
function extraBodyOf(
  sampling: Record<string, unknown>,
  topP: number | undefined,
  provider: string,
  given: Partial<CallOptions>,
  where: string
): Record<string, unknown> | undefined {
  const effort = sampling.reasoning_effort ?? undefined
  const wrong = (field: string, expected: string): AdjudgeError =>
    new AdjudgeError(
      'GRADER_INVALID',
      `${where}.sampling_params.${field} is ${JSON.stringify(sampling[field])}; expected ${expected}`
    )
  if (topP !== undefined && !(topP >= 0 && topP <= 1)) throw wrong('top_p', 'a number from 0 to 1')
  if (effort !== undefined && !efforts.includes(effort as string)) {
    throw wrong('reasoning_effort', `one of ${efforts.join(', ')}`)
  }
  if (topP === undefined && effort === undefined) return undefined
  const chat = provider === 'openai' || provider === 'openai_compatible'
  if (effort !== undefined && !chat) throw wrong('reasoning_effort', `none at all with provider ${provider}`)
  if (topP !== undefined && !chat && provider !== 'anthropic') {
    throw wrong('top_p', `none at all with provider ${provider}`)
  }
  return {
    ...(topP === undefined ? {} : { top_p: topP }),
    ...(effort === undefined
      ? {}
      : given.api === 'responses'
        ? { reasoning: { effort } }
        : { reasoning_effort: effort })
  }
}
