/** Rewards of completions become advantages. */
import { AdjudgeError } from '../errors.js'
import { callKernel, checkLength, covered, sameType, zeros } from './kernels.js'
import { klRule } from './kl.js'
import { preparedCall, rlCall, type Bound, type Device, type Prepared, type RlCall } from './prepared.js'
import { resolveAlgorithm } from './resolve.js'
import type { Algorithm, AlgorithmOptions, FloatArray } from './types.js'

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
  /**
   * What a reward that is NaN or infinite means: `error` refuses it, naming its index; `unscored` means that the function
   * did not judge the completion. Default: NaN is unscored, an infinite reward is refused.
   */
  nonFinite?: 'error' | 'unscored'
  /**
   * Where the results go, element type of the rewards. `advantages`: [completions], or [tokens] where `perToken` will be
   * true; `returns`: [tokens], of the estimator `gae`. Default: new arrays.
   */
  out?: { advantages?: FloatArray; returns?: FloatArray }
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

/** Which arrays this algorithm looks at. */
interface Needs {
  values: boolean
  optimalToken: boolean
  baselines: boolean
  /** A KL off the reward, where no penalties are given. */
  kl: boolean
  /** One advantage per token, with or without penalties. */
  perToken: boolean
}

function needsOf({ advantage, kl }: Algorithm): Needs {
  const { estimator, baseline, whitening, gamma } = advantage
  const values = estimator === 'gae'
  const optimalToken = baseline === 'optimal_token'
  return {
    values,
    optimalToken,
    baselines: baseline === 'given',
    kl: kl.inReward && kl.coefficient !== 0,
    perToken: values || optimalToken || whitening !== null || gamma !== 1
  }
}

const invalid = (name: string, why: string) => new AdjudgeError('ARGUMENT_INVALID', `${name}: ${why}`)

function checkBaselines(input: AdvantageInput, completions: number): void {
  const { baselines, groupOffsets } = input
  if (!baselines) {
    throw invalid(
      'baselines',
      'this algorithm subtracts a reward that is given, such as the greedy completion’s: one per completion or per group'
    )
  }
  if (baselines.length === completions) return
  checkLength('baselines', baselines, groupOffsets.length - 1, `one per group, or ${completions}: one per completion`)
}

function checkToken(name: string, why: string, values: FloatArray | undefined, tokens: number): void {
  if (!values) throw invalid(name, `${why} needs one value per token`)
  checkLength(name, values, tokens, 'one per token')
}

/** @returns the number of tokens, where tokens matter. */
function checkTokens(needs: Needs, input: AdvantageInput, completions: number): number {
  const { cuSeqlens, penalties, logProbs, referenceLogProbs } = input
  const estimated = needs.kl && !penalties
  if (estimated && !(logProbs && referenceLogProbs)) {
    throw invalid(
      'referenceLogProbs',
      'this algorithm takes the KL off the reward: give logProbs and referenceLogProbs, or penalties'
    )
  }
  if (!cuSeqlens) {
    if (penalties || estimated) throw invalid('cuSeqlens', 'needed with a KL in the reward')
    if (needs.perToken)
      throw invalid('cuSeqlens', 'expected the completions’ boundaries: this algorithm looks at tokens')
    return 0
  }
  checkLength('cuSeqlens', cuSeqlens, completions + 1, 'completions + 1')
  const tokens = covered('cuSeqlens', cuSeqlens)
  checkLength('mask', input.mask, tokens, 'one per token')
  checkLength('penalties', penalties, tokens, 'one per token')
  if (estimated) {
    checkLength('logProbs', logProbs, tokens, 'one per token')
    checkLength('referenceLogProbs', referenceLogProbs, tokens, 'one per token')
  }
  if (needs.values) checkToken('values', 'the estimator gae', input.values, tokens)
  if (needs.optimalToken) {
    checkToken('logProbs', 'the optimal token baseline', logProbs, tokens)
    checkToken('sumPiSquared', 'the optimal token baseline', input.sumPiSquared, tokens)
    checkLength('importanceWeights', input.importanceWeights, tokens, 'one per token')
  }
  return tokens
}

/** `nonFinite` as the kernel takes it. */
function nonFiniteRule(word: AdvantageInput['nonFinite']): number {
  if (word === undefined) return 0
  if (word === 'unscored') return 1
  if (word === 'error') return 2
  throw invalid('nonFinite', `expected error or unscored and got ${String(word)}`)
}

interface Output {
  advantages: FloatArray
  perToken: boolean
  returns: FloatArray | undefined
}

function bindAdvantages(algorithm: Algorithm, needs: Needs, input: AdvantageInput): Bound<Output> {
  const { rewards, weights, scored, groupOffsets, cuSeqlens, mask, penalties, baselines, out } = input
  const { values, logProbs, referenceLogProbs, sumPiSquared, importanceWeights } = input
  const completions = covered('groupOffsets', groupOffsets)
  const functions = weights?.length ?? Math.max(1, completions > 0 ? Math.floor(rewards.length / completions) : 1)
  checkLength('rewards', rewards, completions * functions, 'completions × functions')
  checkLength('scored', scored, completions, 'one per completion')
  if (needs.baselines) checkBaselines(input, completions)
  const tokens = checkTokens(needs, input, completions)
  const estimated = needs.kl && !penalties
  const perToken = needs.perToken || (algorithm.kl.perToken && (needs.kl || penalties !== undefined))
  const typed = (taken: boolean, array: FloatArray | undefined) =>
    taken && array ? sameType(array, rewards) : undefined
  const advantages = out?.advantages ?? zeros(perToken ? tokens : completions, rewards)
  const returns = needs.values ? (out?.returns ?? zeros(tokens, rewards)) : undefined
  return {
    values: [
      rewards,
      functions,
      weights && Float64Array.from(weights),
      scored,
      groupOffsets,
      cuSeqlens,
      mask,
      typed(true, penalties),
      typed(needs.baselines, baselines),
      typed(needs.values, values),
      typed(estimated || needs.optimalToken, logProbs),
      typed(estimated, referenceLogProbs),
      typed(needs.optimalToken, sumPiSquared),
      typed(needs.optimalToken, importanceWeights),
      nonFiniteRule(input.nonFinite),
      advantages,
      returns
    ],
    output: { advantages, perToken, returns }
  }
}

/** What the kernel writes, in its order. */
type AdvantageNumbers = readonly [
  reward: number,
  rewardStd: number,
  fracRewardZeroStd: number,
  deadGroups: number,
  scoredGroups: number,
  unscored: number
]

function prepareAdvantages(algorithm: Algorithm, device: Device | undefined): Prepared<AdvantageInput, Advantages> {
  const rule = algorithm.advantage
  if (rule.estimator === 'exact') {
    throw new AdjudgeError('ARGUMENT_INVALID', 'advantages: the exact estimator samples nothing; call exactObjective')
  }
  const needs = needsOf(algorithm)
  const kernel = callKernel((kernels) =>
    kernels.rlAdvantages({
      ...rule,
      device,
      clipLow: rule.rewardClip?.[0] ?? null,
      clipHigh: rule.rewardClip?.[1] ?? null,
      clipPlace: rule.rewardClipPlace,
      kl: klRule(algorithm),
      klInReward: needs.kl,
      penaltyPerToken: algorithm.kl.perToken
    })
  )
  return preparedCall(
    kernel,
    6,
    (input: AdvantageInput) => bindAdvantages(algorithm, needs, input),
    (output, values): Advantages => {
      const numbers = values as unknown as AdvantageNumbers
      const { advantages, perToken, returns } = output
      const metrics = {
        reward: numbers[0],
        reward_std: numbers[1],
        frac_reward_zero_std: numbers[2],
        dead_groups: numbers[3],
        scored_groups: numbers[4],
        unscored: numbers[5]
      }
      return returns ? { advantages, perToken, returns, metrics } : { advantages, perToken, metrics }
    }
  )
}

/**
 * Advantages of sampled completions: reward − baseline, scaled, and where the algorithm says so spread over the tokens.
 * Sums are in f64. The exact estimator has its own call, `exactObjective`.
 * @throws AdjudgeError `ARGUMENT_INVALID` (lengths, offsets), `REWARD_INVALID` (an infinite reward, with its index),
 *   `BATCH_TOO_SMALL` (whitening of a single token; a group of one where the algorithm refuses it), `BUFFER_OVERLAP`,
 *   `BUFFER_DETACHED`, `BUFFER_BUSY` (memory that cannot be used).
 */
export const advantages: RlCall<Algorithm, AlgorithmOptions, AdvantageInput, Advantages> = rlCall(
  prepareAdvantages,
  resolveAlgorithm
)
