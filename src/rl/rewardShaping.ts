/**
 * Rewards are shaped before they become advantages: clipped, scaled by what was seen so far, lowered for length,
 * repetition and truncation. NaN is an unscored completion and stays NaN everywhere.
 */
import { AdjudgeError } from '../errors.js'
import { checkLength, covered } from './kernels.js'
import { repetitionPenalty, type RepetitionOptions } from './repetition.js'
import type { RewardStatistics } from './rewardStatistics.js'
import type { FloatArray } from './types.js'

function need(condition: boolean, name: string, value: unknown, expected: string): void {
  if (!condition) throw new AdjudgeError('ARGUMENT_INVALID', `${name} is ${String(value)}, expected ${expected}`)
}

const whole = (value: number, least: number) => Number.isInteger(value) && value >= least
const finite = (value: number, least: number) => Number.isFinite(value) && value >= least

/** [completions]: how many tokens of each count. `mask` [tokens]: 1 = counts; default all. */
export function completionLengths(cuSeqlens: Int32Array, mask?: Uint8Array): Int32Array {
  checkLength('mask', mask, covered('cuSeqlens', cuSeqlens), 'one per token')
  return Int32Array.from(cuSeqlens.subarray(1), (end, row) => {
    if (!mask) return end - cuSeqlens[row]
    return mask.subarray(cuSeqlens[row], end).reduce((sum, one) => sum + (one ? 1 : 0), 0)
  })
}

/**
 * Rewards between two bounds.
 * @param range lowest and highest reward; -Infinity and Infinity are no bound.
 * @returns [completions], a new array of the same type.
 * @throws AdjudgeError `ARGUMENT_INVALID` where the bounds are NaN or in the wrong order.
 */
export function clipRewards<Rewards extends FloatArray>(rewards: Rewards, range: readonly [number, number]): Rewards {
  const [low, high] = range
  need(low <= high, 'clip', `[${low}, ${high}]`, 'the lowest reward, then the highest')
  return rewards.map((reward) => Math.min(Math.max(reward, low), high)) as Rewards
}

export interface OverlongOptions {
  /** L_max: tokens that a completion may have. */
  maxTokens: number
  /** L_cache: over the last so many of them the penalty grows; 0 = none up to the limit, all of it beyond. */
  cacheTokens: number
  /** Penalty at and beyond the limit. Default 1. */
  factor?: number
}

/**
 * DAPO's soft over-length penalty (Yu et al. 2025, arXiv 2503.14476, equation 13), times `factor`: 0 up to
 * L_max − L_cache tokens, then down in a line to −1 at L_max, and −1 beyond. verl’s goes on falling beyond L_max.
 * @param lengths [completions], in tokens.
 * @returns [completions], 0 or less: to be added to the rewards.
 * @throws AdjudgeError `ARGUMENT_INVALID` for numbers out of range.
 */
export function overlongPenalty(lengths: ArrayLike<number>, options: OverlongOptions): Float64Array {
  const { maxTokens, cacheTokens, factor = 1 } = options
  need(whole(maxTokens, 1), 'maxTokens', maxTokens, 'a whole number of at least 1')
  need(whole(cacheTokens, 0) && cacheTokens <= maxTokens, 'cacheTokens', cacheTokens, `0 … ${maxTokens} (maxTokens)`)
  need(finite(factor, 0), 'factor', factor, 'a number of at least 0')
  const free = maxTokens - cacheTokens
  return Float64Array.from(lengths, (length) => {
    if (length <= free) return 0
    return length > maxTokens ? -factor : (factor * (free - length)) / cacheTokens
  })
}

export interface LengthOptions {
  /** Tokens that cost nothing. Default 0. */
  freeTokens?: number
  /** What each token beyond them costs. */
  perToken: number
  /** The most that a completion pays; null (the default) = no bound. */
  limit?: number | null
}

/**
 * A price per token: −min(limit, perToken · max(0, length − freeTokens)).
 * @param lengths [completions], in tokens.
 * @returns [completions], 0 or less: to be added to the rewards.
 * @throws AdjudgeError `ARGUMENT_INVALID` for numbers out of range.
 */
export function lengthPenalty(lengths: ArrayLike<number>, options: LengthOptions): Float64Array {
  const { freeTokens = 0, perToken, limit = null } = options
  need(finite(freeTokens, 0), 'freeTokens', freeTokens, 'a number of at least 0')
  need(finite(perToken, 0), 'perToken', perToken, 'a number of at least 0')
  need(limit === null || finite(limit, 0), 'limit', limit, 'a number of at least 0, or null')
  return Float64Array.from(lengths, (length) => {
    const over = length - freeTokens
    return over > 0 ? -Math.min(limit ?? Infinity, perToken * over) : 0
  })
}

/**
 * Kimi k1.5's length reward (arXiv 2501.12599, section 2.3.3): λ = 0.5 − (length − shortest) / (longest − shortest) of
 * the group, for a wrong answer at most 0; 0 in a group of equal lengths.
 * @param lengths [completions], in tokens.
 * @param groupOffsets [groups + 1]: boundaries of the groups.
 * @param options correct: [completions], 1 = right answer, default all; scored: [completions], 0 = left out of shortest
 *   and longest, reward 0, default all.
 * @returns [completions], −0.5 … 0.5: to be added to the rewards, times a weight of the caller's.
 * @throws AdjudgeError `ARGUMENT_INVALID` for lengths that disagree.
 */
export function relativeLengthReward(
  lengths: ArrayLike<number>,
  groupOffsets: Int32Array,
  options: { correct?: ArrayLike<number>; scored?: ArrayLike<number> } = {}
): Float64Array {
  const { correct, scored } = options
  const completions = covered('groupOffsets', groupOffsets)
  checkLength('lengths', lengths, completions, 'one per completion')
  checkLength('correct', correct, completions, 'one per completion')
  checkLength('scored', scored, completions, 'one per completion')
  const rewards = new Float64Array(completions)
  for (let group = 0; group + 1 < groupOffsets.length; group++) {
    const members: number[] = []
    for (let row = groupOffsets[group]; row < groupOffsets[group + 1]; row++) {
      if (scored?.[row] !== 0) members.push(row)
    }
    const shortest = Math.min(...members.map((row) => lengths[row]))
    const spread = Math.max(...members.map((row) => lengths[row])) - shortest
    if (!(spread > 0)) continue
    for (const row of members) {
      const reward = 0.5 - (lengths[row] - shortest) / spread
      rewards[row] = correct?.[row] === 0 ? Math.min(0, reward) : reward
    }
  }
  return rewards
}

/**
 * ProRL's penalty for completions cut at the limit: a coefficient of 0 … 1 multiplies their reward, one below 0 stands
 * in its place (OpenRLHF's `stop_properly_penalty_coef`).
 * @param truncated [completions]: 1 = cut.
 * @returns [completions], a new array of the same type.
 * @throws AdjudgeError `ARGUMENT_INVALID` for a coefficient above 1 and lengths that disagree.
 */
export function truncationPenalty<Rewards extends FloatArray>(
  rewards: Rewards,
  truncated: ArrayLike<number>,
  coefficient: number
): Rewards {
  checkLength('truncated', truncated, rewards.length, 'one per completion')
  need(coefficient <= 1 && Number.isFinite(coefficient), 'coefficient', coefficient, 'a number of at most 1')
  return rewards.map((reward, row) => {
    if (!truncated[row] || Number.isNaN(reward)) return reward
    return coefficient < 0 ? coefficient : reward * coefficient
  }) as Rewards
}

/** What is done to rewards, in this order; what is absent or null is left out. */
export interface RewardShaping {
  /** 1. Coefficient of {@link truncationPenalty}. */
  truncated?: number | null
  /** 2. Lowest and highest reward. */
  clip?: readonly [number, number] | null
  /** 3. By the statistics of the input, which take in this batch first. */
  scale?: { center?: boolean; epsilon?: number; limit?: number | null } | null
  /** 4. These are added, unscaled. */
  overlong?: OverlongOptions | null
  length?: LengthOptions | null
  repetition?: RepetitionOptions | null
}

export interface RewardShapingInput {
  /** [completions]; NaN = unscored. */
  rewards: FloatArray
  /** [completions + 1]: boundaries of the completions' tokens. */
  cuSeqlens: Int32Array
  /** [tokens]: 1 = counts for the length. Default: all. */
  mask?: Uint8Array
  /** Packed token ids, for `repetition`. */
  tokens?: Int32Array
  /** [completions]: 1 = cut at the limit, for `truncated`. */
  truncated?: ArrayLike<number>
  /** Kept by the caller from batch to batch, for `scale`. */
  statistics?: RewardStatistics
}

function given<Value>(name: string, value: Value | undefined, rule: string): Value {
  if (value !== undefined) return value
  throw new AdjudgeError('ARGUMENT_INVALID', `${name}: needed by "${rule}"`)
}

/**
 * All shaping of a batch in one call, in the order of {@link RewardShaping}.
 * @returns [completions], a new array of the rewards' type.
 * @throws AdjudgeError `ARGUMENT_INVALID` for missing inputs, lengths that disagree and numbers out of range.
 */
export function shapeRewards(shaping: RewardShaping, input: RewardShapingInput): FloatArray {
  const { cuSeqlens } = input
  const completions = cuSeqlens.length - 1
  checkLength('rewards', input.rewards, completions, 'one per completion')
  let rewards: FloatArray = input.rewards.slice()
  if (shaping.truncated !== undefined && shaping.truncated !== null) {
    rewards = truncationPenalty(rewards, given('truncated', input.truncated, 'truncated'), shaping.truncated)
  }
  if (shaping.clip) rewards = clipRewards(rewards, shaping.clip)
  if (shaping.scale) {
    const statistics = given('statistics', input.statistics, 'scale')
    statistics.update(rewards)
    rewards = statistics.scale(rewards, shaping.scale)
  }
  const penalties: Float64Array[] = []
  const lengths = completionLengths(cuSeqlens, input.mask)
  if (shaping.overlong) penalties.push(overlongPenalty(lengths, shaping.overlong))
  if (shaping.length) penalties.push(lengthPenalty(lengths, shaping.length))
  if (shaping.repetition) {
    penalties.push(repetitionPenalty(given('tokens', input.tokens, 'repetition'), cuSeqlens, shaping.repetition))
  }
  return rewards.map((reward, row) => penalties.reduce((sum, penalty) => sum + penalty[row], reward))
}
