/** Mean and deviation of all rewards seen so far. */
import { AdjudgeError } from '../errors.js'
import type { FloatArray } from './types.js'

export interface RewardStatisticsState {
  count: number
  mean: number
  /** Sum of the squared differences from the mean. */
  squares: number
}

/**
 * Running statistics of rewards, kept from batch to batch and in checkpoints (`state`). Batches are merged by the rule of
 * Chan, Golub and LeVeque (1979), in f64: how the rewards were split changes no more than the rounding.
 */
export class RewardStatistics {
  #count = 0
  #mean = 0
  #squares = 0

  /** @throws AdjudgeError `ARGUMENT_INVALID` for a state that cannot be. */
  constructor(state?: RewardStatisticsState) {
    if (!state) return
    const { count, mean, squares } = state
    if (!(Number.isInteger(count) && count >= 0 && Number.isFinite(mean) && squares >= 0 && squares < Infinity)) {
      throw new AdjudgeError('ARGUMENT_INVALID', `state is ${JSON.stringify(state)}, expected what \`state\` returned`)
    }
    this.#count = count
    this.#mean = mean
    this.#squares = squares
  }

  get count(): number {
    return this.#count
  }

  /** NaN before the first reward. */
  get mean(): number {
    return this.#count > 0 ? this.#mean : NaN
  }

  /** With n-1; NaN below two rewards. */
  get deviation(): number {
    return this.#count > 1 ? Math.sqrt(this.#squares / (this.#count - 1)) : NaN
  }

  get state(): RewardStatisticsState {
    return { count: this.#count, mean: this.#mean, squares: this.#squares }
  }

  /**
   * Takes in a batch; NaN (unscored) is left out.
   * @throws AdjudgeError `REWARD_INVALID`, naming the index, for an infinite reward; nothing is taken in then.
   */
  update(rewards: FloatArray): void {
    const infinite = rewards.findIndex((reward) => Math.abs(reward) === Infinity)
    if (infinite >= 0) {
      throw new AdjudgeError('REWARD_INVALID', `rewards[${infinite}] is ${rewards[infinite]}, expected a finite number`)
    }
    let count = 0
    let sum = 0
    for (const reward of rewards) {
      if (Number.isNaN(reward)) continue
      count++
      sum += reward
    }
    if (count === 0) return
    const mean = sum / count
    let squares = 0
    for (const reward of rewards) if (!Number.isNaN(reward)) squares += (reward - mean) ** 2
    const total = this.#count + count
    const difference = mean - this.#mean
    this.#squares += squares + (difference ** 2 * this.#count * count) / total
    this.#mean += (difference * count) / total
    this.#count = total
  }

  /**
   * Rewards divided by the deviation plus `epsilon` (default 1e-8), the mean subtracted first if `center`, and kept
   * within ±`limit` if one is given. Below two rewards the deviation counts as 1; where all were equal, as 0.
   * @returns [completions], a new array of the same type; NaN stays NaN.
   * @throws AdjudgeError `ARGUMENT_INVALID` for numbers out of range.
   */
  scale<Rewards extends FloatArray>(
    rewards: Rewards,
    options: { center?: boolean; epsilon?: number; limit?: number | null } = {}
  ): Rewards {
    const { center = false, epsilon = 1e-8, limit = null } = options
    if (!(epsilon > 0 && epsilon < Infinity)) {
      throw new AdjudgeError('ARGUMENT_INVALID', `epsilon is ${epsilon}, expected a number above 0`)
    }
    if (limit !== null && !(limit > 0)) {
      throw new AdjudgeError('ARGUMENT_INVALID', `limit is ${limit}, expected a number above 0, or null`)
    }
    const shift = center && this.#count > 0 ? this.#mean : 0
    const divisor = (this.#count > 1 ? this.deviation : 1) + epsilon
    const bound = limit ?? Infinity
    return rewards.map((reward) => Math.min(Math.max((reward - shift) / divisor, -bound), bound)) as Rewards
  }
}
