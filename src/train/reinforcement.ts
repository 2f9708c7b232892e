/** What a run's sections `reward`, `off_policy`, `value` and `training` say of learning from sampled completions. */
import type { AdjudgeError } from '../errors.js'
import {
  resolveOffPolicy,
  resolveValue,
  type Algorithm,
  type OffPolicySpec,
  type RewardShaping,
  type ValueSpec
} from '../rl/index.js'
import { nearestName } from '../rl/nearest.js'
import { invalidRecord, snakeCase } from '../rl/record.js'
import type { RunConfig } from './schema.js'

export interface Reinforcement {
  algorithm: Algorithm
  /** Undefined where nothing is shaped. */
  shaping: RewardShaping | undefined
  maskTruncated: boolean
  adaptiveKl: { target: number; horizon: number; limit: number } | undefined
  /** Undefined where nothing is corrected. */
  offPolicy: OffPolicySpec | undefined
  /** Undefined without a critic. */
  value: { spec: ValueSpec; learningRate: number; stopGradient: boolean } | undefined
  /** Passes over a rollout, and updates of each. */
  iterations: number
  miniBatches: number
}

/** The name of the critic's head. */
export const valueHead = 'value'

const hasCritic = ({ advantage }: Algorithm): boolean => advantage.estimator === 'gae'

function shapingOf({ reward, rollout }: RunConfig): RewardShaping | undefined {
  const { truncated, clip, scale, overlong, length, repetition } = reward ?? {}
  const shaping: RewardShaping = {
    ...(truncated === undefined ? {} : { truncated }),
    ...(clip ? { clip } : {}),
    ...(scale ? { scale } : {}),
    ...(overlong
      ? {
          overlong: {
            maxTokens: overlong.max_tokens ?? rollout.max_tokens,
            cacheTokens: overlong.cache_tokens,
            factor: overlong.factor
          }
        }
      : {}),
    ...(length
      ? {
          length: {
            freeTokens: length.free_tokens,
            perToken: length.per_token,
            ...(length.limit === undefined ? {} : { limit: length.limit })
          }
        }
      : {}),
    ...(repetition ? { repetition } : {})
  }
  return Object.keys(shaping).length > 0 ? shaping : undefined
}

/** A system's algorithms go with its critic. */
const systemOf = (preset: string): string => /^(verl|openrlhf|trl)_/.exec(preset)?.[1] ?? 'ppo'

function valueOf({ value, optimizer, algorithm }: RunConfig): Reinforcement['value'] {
  const { learning_rate: learningRate, stop_gradient: stopGradient = true, ...loss } = value ?? {}
  const known = ['learning_rate', 'stop_gradient', 'preset', ...Object.keys(resolveValue({})).map(snakeCase)]
  const unknown = Object.keys(loss).find((key) => !known.includes(snakeCase(key)))
  if (unknown !== undefined) {
    throw invalidRecord('value', `unknown key "${unknown}"; did you mean "${nearestName(unknown, known)}"?`)
  }
  return {
    spec: resolveValue({ preset: systemOf(algorithm.preset), ...loss }),
    learningRate: learningRate ?? 10 * optimizer.learning_rate,
    stopGradient
  }
}

function correctionOf({ off_policy: offPolicy }: RunConfig): OffPolicySpec | undefined {
  const spec = offPolicy && resolveOffPolicy(offPolicy)
  const corrects = spec && (spec.importance !== null || spec.rejection.length > 0 || spec.oldLogProbs === 'rollout')
  return corrects ? spec : undefined
}

/** Throws ALGORITHM_INVALID. */
export function reinforcementOf(config: RunConfig, algorithm: Algorithm): Reinforcement {
  const { reward = {}, training } = config
  return {
    algorithm,
    shaping: shapingOf(config),
    maskTruncated: reward.mask_truncated ?? false,
    adaptiveKl: reward.adaptive_kl,
    offPolicy: correctionOf(config),
    value: hasCritic(algorithm) ? valueOf(config) : undefined,
    iterations: training.iterations ?? (hasCritic(algorithm) ? 4 : 1),
    miniBatches: training.mini_batches ?? 1
  }
}

interface Problem {
  path: string
  message: string
}

/** Where a run has keys of sampled completions, but does not learn from such by rewards. */
export function unusedProblems(config: RunConfig, why: string): Problem[] {
  const { training } = config
  const given: [string, unknown][] = [
    ['reward', config.reward],
    ['off_policy', config.off_policy],
    ['value', config.value],
    ['training.iterations', training.iterations],
    ['training.mini_batches', training.mini_batches]
  ]
  return given.flatMap(([key, value]) =>
    value === undefined
      ? []
      : [{ path: `/${key.replace('.', '/')}`, message: `${key} has no effect: ${why}; remove it` }]
  )
}

/** Combinations without a meaning, and values that the schema cannot check. Throws ALGORITHM_INVALID. */
export function reinforcementProblems(config: RunConfig, algorithm: Algorithm): Problem[] {
  const { reward, rollout, value } = config
  const problems: Problem[] = []
  const say = (path: string, message: string) => problems.push({ path, message })
  if (value && !hasCritic(algorithm)) {
    say(
      '/value',
      `value is for a critic, and ${algorithm.preset} has none; remove it, or take estimator gae (preset ppo)`
    )
  }
  const { shaping, adaptiveKl, miniBatches } = reinforcementOf(config, algorithm)
  if (shaping && algorithm.advantage.multiObjective === 'normalize_then_sum') {
    const message = `reward shapes the weighted sum of the columns, but ${algorithm.preset} normalises each by itself; remove it`
    say('/reward', message)
  }
  const [low, high] = reward?.clip ?? [0, 0]
  if (low > high) say('/reward/clip', 'reward.clip: expected the lowest reward, then the highest')
  const { overlong } = shaping ?? {}
  if (overlong && overlong.cacheTokens > overlong.maxTokens) {
    say('/reward/overlong', `reward.overlong.cache_tokens is above the limit of ${overlong.maxTokens} tokens`)
  }
  if (adaptiveKl && !(algorithm.kl.inReward && algorithm.kl.coefficient > 0)) {
    const message =
      'reward.adaptive_kl steers a KL in the reward; expected algorithm.kl: { in_reward: true, coefficient: 0.05 } (where it begins)'
    say('/reward/adaptive_kl', message)
  }
  if (miniBatches > rollout.prompts) {
    const message = `training.mini_batches is above rollout.prompts (${rollout.prompts}): a mini-batch has at least one prompt`
    say('/training/mini_batches', message)
  }
  return problems
}

/** A record's error, said of the section that it stands in. */
export const inSection = (error: AdjudgeError): Problem | undefined => {
  const [, section] = /^(off_policy|value): /.exec(error.message) ?? []
  return section === undefined ? undefined : { path: `/${section}`, message: error.message }
}
