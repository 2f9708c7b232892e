/** KL in the reward, token by token, with a fixed or an adaptive coefficient. */
import { AdjudgeError } from '../errors.js'
import { callKernel, checkLength, covered, sameType, zeros } from './kernels.js'
import { klRule } from './kl.js'
import { preparedCall, rlCall, type Bound, type Device, type Prepared, type RlCall } from './prepared.js'
import { resolveAlgorithm } from './resolve.js'
import type { Algorithm, AlgorithmOptions, FloatArray } from './types.js'

export interface KlRewardInput {
  /** [completions]: rewards; each goes to its completion's last counted token, within the algorithm's reward_clip. */
  rewards?: FloatArray
  /** [tokens]: rewards that lie on tokens already. */
  tokenRewards?: FloatArray
  /** [tokens]: log-probs of the sampled tokens under the policy of the rollout, and under the reference. */
  logProbs?: FloatArray
  referenceLogProbs?: FloatArray
  /** [tokens]: the KL instead, where it is known already. */
  kl?: FloatArray
  /** [tokens]: 1 = counts. Default: all. */
  mask?: Uint8Array
  /** [completions + 1]: boundaries of the completions' tokens. */
  cuSeqlens: Int32Array
  /** In place of the algorithm's `kl.coefficient`: what an {@link AdaptiveKl} holds. */
  coefficient?: number
  /** [tokens], element type of the rewards: where the results go. Default: a new array. */
  out?: { tokenRewards?: FloatArray }
}

export interface KlReward {
  /** [tokens]: reward − coefficient × KL; 0 where the mask is 0. */
  tokenRewards: FloatArray
  metrics: {
    /** Mean over completions of their mean KL per counted token (0 for a completion without one): what adapts. */
    kl: number
    /** Mean over counted tokens. */
    kl_token: number
    coefficient: number
  }
}

function bind(algorithm: Algorithm, input: KlRewardInput): Bound<{ tokenRewards: FloatArray; coefficient: number }> {
  const { mask, cuSeqlens, kl, logProbs, referenceLogProbs } = input
  const tokens = covered('cuSeqlens', cuSeqlens)
  const like = input.tokenRewards ?? input.rewards
  if (!like) throw new AdjudgeError('ARGUMENT_INVALID', 'rewards: give rewards, tokenRewards or both')
  const coefficient = input.coefficient ?? algorithm.kl.coefficient
  if (!(coefficient >= 0 && coefficient < Infinity)) {
    throw new AdjudgeError('ARGUMENT_INVALID', `coefficient is ${coefficient}, expected a number of at least 0`)
  }
  if (!kl && !(logProbs && referenceLogProbs) && coefficient > 0) {
    throw new AdjudgeError('ARGUMENT_INVALID', 'referenceLogProbs: give logProbs and referenceLogProbs, or kl')
  }
  checkLength('rewards', input.rewards, cuSeqlens.length - 1, 'one per completion')
  for (const name of ['tokenRewards', 'logProbs', 'referenceLogProbs', 'kl'] as const) {
    checkLength(name, input[name], tokens, 'one per token')
  }
  checkLength('mask', mask, tokens, 'one per token')
  const typed = (values: FloatArray | undefined) => values && sameType(values, like)
  const estimate = !kl && referenceLogProbs !== undefined
  const tokenRewards = input.out?.tokenRewards ?? zeros(tokens, like)
  return {
    values: [
      input.tokenRewards,
      typed(input.rewards),
      typed(kl),
      estimate ? typed(logProbs) : undefined,
      estimate ? typed(referenceLogProbs) : undefined,
      mask,
      cuSeqlens,
      coefficient,
      tokenRewards
    ],
    output: { tokenRewards, coefficient }
  }
}

function prepareReward(algorithm: Algorithm, device: Device | undefined): Prepared<KlRewardInput, KlReward> {
  const [clipLow, clipHigh] = algorithm.advantage.rewardClip ?? [null, null]
  const kernel = callKernel((kernels) => kernels.rlKlReward({ ...klRule(algorithm), clipLow, clipHigh, device }))
  return preparedCall(
    kernel,
    2,
    (input: KlRewardInput) => bind(algorithm, input),
    ({ tokenRewards, coefficient }, numbers): KlReward => {
      const [kl, klToken] = numbers as unknown as readonly [kl: number, klToken: number]
      return { tokenRewards, metrics: { kl, kl_token: klToken, coefficient } }
    }
  )
}

/**
 * Rewards per token with the KL to the reference taken off, by the algorithm's `kl` (estimator, limits, coefficient)
 * and `advantage.reward_clip`: verl's `apply_kl_penalty`, OpenRLHF's `compute_reward`. Element type of the result: that
 * of the rewards.
 * @throws AdjudgeError `ARGUMENT_INVALID` for a missing or non-finite input, or lengths that disagree; `BUFFER_OVERLAP`,
 *   `BUFFER_DETACHED`, `BUFFER_BUSY` for memory that cannot be used.
 */
export const klReward: RlCall<Algorithm, AlgorithmOptions, KlRewardInput, KlReward> = rlCall(
  prepareReward,
  resolveAlgorithm
)

export interface AdaptiveKlOptions {
  /** First coefficient. */
  coefficient: number
  /** KL per token, in nats, that the coefficient steers to. Default: 0.1. */
  target?: number
  /** Steps over which the coefficient doubles at an error of 1; larger = slower. Default: 10000. */
  horizon?: number
  /** Largest relative error of one update. Default: 0.2. */
  limit?: number
}

/**
 * A KL coefficient that rises while the observed KL lies above its target and falls below it: β ← β (1 + e n / horizon)
 * with e = observed / target − 1 within ±limit (Ziegler et al. 2019, arXiv 1909.08593; verl and OpenRLHF alike). Its
 * state is its `coefficient`: a checkpoint needs nothing else.
 */
export class AdaptiveKl {
  coefficient: number
  readonly target: number
  readonly horizon: number
  readonly limit: number

  /** @throws AdjudgeError `ALGORITHM_INVALID` for a number out of range. */
  constructor(options: AdaptiveKlOptions) {
    const { coefficient, target = 0.1, horizon = 10000, limit = 0.2 } = options
    if (!(coefficient >= 0 && coefficient < Infinity)) {
      throw new AdjudgeError('ALGORITHM_INVALID', `adaptive_kl: "coefficient" is ${coefficient}, expected at least 0`)
    }
    for (const [name, value] of Object.entries({ target, horizon, limit })) {
      if (value > 0 && value < Infinity) continue
      throw new AdjudgeError('ALGORITHM_INVALID', `adaptive_kl: "${name}" is ${value}, expected a number above 0`)
    }
    this.coefficient = coefficient
    this.target = target
    this.horizon = horizon
    this.limit = limit
  }

  /**
   * @param observed KL per token of the last batch, as `klReward` reports it.
   * @param steps completions of that batch (verl, OpenRLHF).
   * @returns the coefficient for the next batch.
   */
  update(observed: number, steps: number): number {
    if (!Number.isFinite(observed)) {
      throw new AdjudgeError('ARGUMENT_INVALID', `observed is ${observed}, expected a finite number`)
    }
    if (!(steps >= 0 && steps < Infinity)) {
      throw new AdjudgeError('ARGUMENT_INVALID', `steps is ${steps}, expected a number of at least 0`)
    }
    const { coefficient, target, horizon, limit } = this
    this.coefficient = Math.max(
      0,
      callKernel((kernels) => kernels.rlAdaptedKlCoefficient({ coefficient, target, horizon, limit, observed, steps }))
    )
    return this.coefficient
  }
}
