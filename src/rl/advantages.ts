/** Rewards of completions become advantages. */
import { AdjudgeError } from '../errors.js'
import { callKernel, checkFinite, checkLength, covered, sameType } from './kernels.js'
import { klDivergence } from './kl.js'
import type { NativeAdvantageInput } from './native.js'
import type { Algorithm, FloatArray } from './types.js'

export interface AdvantageInput {
  /** [completions], or [completions × functions] row by row; NaN = the function did not judge the completion. */
  rewards: FloatArray
  /** [functions]: weights of the sum. Default: all 1. */
  weights?: readonly number[]
  /** [completions]: 0 = unscored, left out of baseline and spread, advantage 0. Default: all scored. */
  scored?: Uint8Array
  /** [groups + 1]: group g is completions groupOffsets[g] … groupOffsets[g + 1] - 1. */
  groupOffsets: Int32Array
  /** [completions + 1]: boundaries of the completions' tokens; needed where tokens matter (whitening, KL, gamma). */
  cuSeqlens?: Int32Array
  /** [tokens]: 1 = counts. Default: all. */
  mask?: Uint8Array
  /** [completions] or [groups]: what `baseline: given` subtracts, such as the reward of the greedy completion (ReMax). */
  baselines?: FloatArray
  /** [tokens]: the critic's value of the state before each token, for the estimator `gae`. */
  values?: FloatArray
  /**
   * [tokens]: log-probs of the policy that sampled (and of the reference) for a KL in the reward; those of the policy
   * also for the optimal token baseline.
   */
  logProbs?: FloatArray
  referenceLogProbs?: FloatArray
  /** [tokens]: what is taken off the reward instead, where it is known already (coefficient × KL). */
  penalties?: FloatArray
  /** [tokens]: sum over the vocabulary of the squared probabilities, in (0, 1], for the optimal token baseline. */
  sumPiSquared?: FloatArray
  /** [tokens]: training over rollout policy, for the optimal token baseline; default: all 1. */
  importanceWeights?: FloatArray
}

export interface AdvantageMetrics {
  /** Mean reward over scored completions, KL in the reward taken off; NaN where none is scored. */
  reward: number
  /** Standard deviation (n-1) over scored completions; NaN below two of them. */
  reward_std: number
  /** Share of groups without spread among groups with a scored member: they teach nothing. */
  frac_reward_zero_std: number
  dead_groups: number
  scored_groups: number
  /** Completions without a score. */
  unscored: number
}

export interface Advantages {
  /** [completions], or [tokens] if `perToken`; 0 for unscored completions. Element type: that of the rewards. */
  advantages: FloatArray
  perToken: boolean
  /** [tokens], of the estimator `gae`: advantage before whitening + value, the critic's target; 0 where not counted. */
  returns?: FloatArray
  metrics: AdvantageMetrics
}

function penaltiesOf(algorithm: Algorithm, input: AdvantageInput): FloatArray | undefined {
  if (input.penalties) return sameType(input.penalties, input.rewards)
  const { kl } = algorithm
  if (!kl.inReward || kl.coefficient === 0) return undefined
  const { logProbs, referenceLogProbs, mask } = input
  if (!logProbs || !referenceLogProbs) {
    throw new AdjudgeError(
      'ARGUMENT_INVALID',
      'referenceLogProbs: this algorithm takes the KL off the reward: give logProbs and referenceLogProbs, or penalties'
    )
  }
  const { values } = klDivergence(algorithm, { logProbs, referenceLogProbs, mask })
  return sameType(
    values.map((value) => value * kl.coefficient),
    input.rewards
  )
}

type TokenInputs = Pick<NativeAdvantageInput, 'values' | 'logProbs' | 'sumPiSquared' | 'importanceWeights'>

/** The arrays [tokens] that this algorithm looks at, each checked; the others are left out. */
function tokenInputs(algorithm: Algorithm, input: AdvantageInput, tokens: number): TokenInputs {
  const { estimator, baseline } = algorithm.advantage
  const taken: TokenInputs = {}
  const take = (name: keyof TokenInputs, why: string, optional = false) => {
    const values = input[name]
    if (!values) {
      if (optional) return
      throw new AdjudgeError('ARGUMENT_INVALID', `${name}: ${why} needs one value per token`)
    }
    checkLength(name, values, tokens, 'one per token')
    checkFinite(name, values, input.mask)
    taken[name] = sameType(values, input.rewards)
  }
  if (estimator === 'gae') take('values', 'the estimator gae')
  if (baseline === 'optimal_token') {
    take('logProbs', 'the optimal token baseline')
    take('sumPiSquared', 'the optimal token baseline')
    take('importanceWeights', 'the optimal token baseline', true)
  }
  return taken
}

/** What `baseline: given` subtracts, one per completion. */
function givenBaselines(algorithm: Algorithm, input: AdvantageInput): FloatArray | undefined {
  if (algorithm.advantage.baseline !== 'given') return undefined
  const { baselines, groupOffsets, rewards } = input
  const completions = covered('groupOffsets', groupOffsets)
  if (!baselines) {
    throw new AdjudgeError(
      'ARGUMENT_INVALID',
      'baselines: this algorithm subtracts a reward that is given, such as the greedy completion’s: one per completion ' +
        'or per group'
    )
  }
  checkFinite('baselines', baselines)
  if (baselines.length === completions) return sameType(baselines, rewards)
  checkLength('baselines', baselines, groupOffsets.length - 1, `one per group, or ${completions}: one per completion`)
  const each = rewards instanceof Float64Array ? new Float64Array(completions) : new Float32Array(completions)
  baselines.forEach((value, group) => each.fill(value, groupOffsets[group], groupOffsets[group + 1]))
  return each
}

/**
 * Advantages of sampled completions: reward − baseline, scaled, and where the algorithm says so spread over the tokens.
 * Sums are in f64. The exact estimator has its own call, `exactObjective`.
 * @throws AdjudgeError `ARGUMENT_INVALID` (lengths, offsets), `REWARD_INVALID` (an infinite reward),
 *   `BATCH_TOO_SMALL` (whitening of a single token; a group of one where the algorithm refuses it).
 */
export function advantages(algorithm: Algorithm, input: AdvantageInput): Advantages {
  const rule = algorithm.advantage
  if (rule.estimator === 'exact') {
    throw new AdjudgeError('ARGUMENT_INVALID', 'advantages: the exact estimator samples nothing; call exactObjective')
  }
  const completions = covered('groupOffsets', input.groupOffsets)
  const functions = input.weights?.length ?? Math.max(1, completions > 0 ? input.rewards.length / completions : 1)
  checkLength('rewards', input.rewards, completions * Math.floor(functions), 'completions × functions')
  checkLength('scored', input.scored, completions, 'one per completion')
  const penalties = penaltiesOf(algorithm, input)
  const baselines = givenBaselines(algorithm, input)
  let perToken: TokenInputs = {}
  if (input.cuSeqlens) {
    checkLength('cuSeqlens', input.cuSeqlens, completions + 1, 'completions + 1')
    const tokens = covered('cuSeqlens', input.cuSeqlens)
    checkLength('mask', input.mask, tokens, 'one per token')
    checkLength('penalties', penalties, tokens, 'one per token')
    checkFinite('penalties', penalties, input.mask)
    perToken = tokenInputs(algorithm, input, tokens)
  } else if (penalties) {
    throw new AdjudgeError('ARGUMENT_INVALID', 'cuSeqlens: needed with a KL in the reward')
  }
  const { whitening } = rule
  const result = callKernel((kernels) =>
    kernels.rlAdvantages(
      {
        ...rule,
        clipLow: rule.rewardClip?.[0] ?? null,
        clipHigh: rule.rewardClip?.[1] ?? null,
        clipPlace: rule.rewardClipPlace,
        penaltyPerToken: algorithm.kl.perToken,
        whitening
      },
      {
        rewards: input.rewards,
        functions,
        weights: input.weights && Float64Array.from(input.weights),
        scored: input.scored,
        groupOffsets: input.groupOffsets,
        cuSeqlens: input.cuSeqlens,
        mask: input.mask,
        penalties,
        baselines,
        ...perToken
      }
    )
  )
  const { metrics } = result
  return {
    advantages: result.advantages,
    perToken: result.perToken,
    ...(result.returns ? { returns: result.returns } : {}),
    metrics: {
      reward: metrics.reward,
      reward_std: metrics.rewardStd,
      frac_reward_zero_std: metrics.fracRewardZeroStd,
      dead_groups: metrics.deadGroups,
      scored_groups: metrics.scoredGroups,
      unscored: metrics.unscored
    }
  }
}
