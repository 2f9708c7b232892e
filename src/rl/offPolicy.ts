/**
 * Importance weights, rejection and measures of the mismatch between the policy being trained and the one that sampled
 * (another engine, older weights). r = probability in training / probability in the rollout, token by token.
 */
import { AdjudgeError } from '../errors.js'
import { callKernel, checkFinite, checkLength, covered, sameType } from './kernels.js'
import type { NativeRolloutInput } from './nativeCorrections.js'
import type { CriterionMetrics, ImportanceMetrics, MismatchMetrics } from './offPolicyMetrics.js'
import type { OffPolicySpec } from './offPolicySpec.js'
import type { FloatArray } from './types.js'

export interface RolloutInput {
  /** [tokens]: natural log-probs of the sampled tokens under the policy of training (see the record's `old_log_probs`). */
  logProbs: FloatArray
  /** [tokens]: under the policy that sampled them, as its engine reported them; NaN = it did not. */
  rolloutLogProbs: FloatArray
  /** [completions]: needed for a criterion with `only_negative`. */
  advantages?: FloatArray
  /** [tokens]: 1 = counts. Default: all. */
  mask?: Uint8Array
  /** [completions + 1]: boundaries of the completions' tokens. */
  cuSeqlens: Int32Array
}

function checkRollout(values: FloatArray, mask: Uint8Array | undefined, missing: 'error' | 'ratio_one'): void {
  for (let index = 0; index < values.length; index++) {
    const value = values[index] as number
    if (Number.isFinite(value) || (mask && mask[index] === 0)) continue
    if (missing === 'ratio_one' && Number.isNaN(value)) continue
    const cure = Number.isNaN(value) ? '; or set "missing" to ratio_one' : ''
    throw new AdjudgeError('ARGUMENT_INVALID', `rolloutLogProbs[${index}] is ${value}, expected a finite number${cure}`)
  }
}

function nativeInput(input: RolloutInput, missing: 'error' | 'ratio_one'): NativeRolloutInput {
  const { logProbs, mask, cuSeqlens } = input
  const tokens = covered('cuSeqlens', cuSeqlens)
  checkLength('logProbs', logProbs, tokens, 'the last of cuSeqlens')
  checkLength('rolloutLogProbs', input.rolloutLogProbs, tokens, 'one per token')
  checkLength('mask', mask, tokens, 'one per token')
  checkLength('advantages', input.advantages, cuSeqlens.length - 1, 'one per completion')
  checkFinite('logProbs', logProbs, mask)
  checkRollout(input.rolloutLogProbs, mask, missing)
  checkFinite('advantages', input.advantages)
  return {
    logProbs,
    rolloutLogProbs: sameType(input.rolloutLogProbs, logProbs),
    advantages: input.advantages && sameType(input.advantages, logProbs),
    mask,
    cuSeqlens
  }
}

export interface ImportanceWeights {
  /** [tokens]: constants that multiply the policy loss (`importanceWeights` there); 0 where the mask is 0. */
  weights: FloatArray
  /** [completions]: the same once per completion, for sequence weights. */
  sequenceWeights?: FloatArray
  metrics: ImportanceMetrics
}

function checkWeights(weights: FloatArray): void {
  const index = weights.findIndex((weight) => !Number.isFinite(weight))
  if (index < 0) return
  throw new AdjudgeError(
    'ARGUMENT_INVALID',
    `the importance weight of token ${index} is ${weights[index]}: set "importance.high" or "log_ratio_limit"`
  )
}

/**
 * Weights that correct a loss for the rollout's policy: truncated (TIS), masked (MIS, IcePop) or gated by a divergence,
 * per token or per completion (Yao et al. 2025, "Your efficient RL framework secretly brings you off-policy RL
 * training"; Liu et al. 2025, "When speed kills stability"; the rules of verl's `rollout_corr_helper`, TRL's
 * `vllm_importance_sampling_mode`, OpenRLHF's `is_correction_*`). The trainer takes them as constants. Element type:
 * that of `logProbs`.
 * @throws AdjudgeError `ARGUMENT_INVALID` for lengths that disagree, numbers that are not finite, an infinite weight, or
 *   a record without `importance`.
 */
export function importanceWeights(spec: OffPolicySpec, input: RolloutInput): ImportanceWeights {
  const { importance, logRatioLimit, countEpsilon } = spec
  if (!importance) {
    throw new AdjudgeError('ARGUMENT_INVALID', `importance: preset "${spec.preset}" has no importance weights`)
  }
  const native = nativeInput(input, spec.missing)
  const { weights, sequenceWeights, metrics } = callKernel((kernels) =>
    kernels.rlImportanceWeights({ ...importance, logRatioLimit, countEpsilon }, native)
  )
  checkWeights(weights)
  const sequence = importance.level === 'sequence'
  return {
    weights,
    sequenceWeights,
    metrics: {
      'sampling/importance_sampling_ratio/min': metrics.minimum,
      'sampling/importance_sampling_ratio/mean': metrics.mean,
      'sampling/importance_sampling_ratio/max': metrics.maximum,
      rollout_is_mean: metrics.tokenMean,
      rollout_is_max: sequence ? metrics.rawMaximum : metrics.maximum,
      rollout_is_min: sequence ? metrics.rawMinimum : metrics.minimum,
      rollout_is_std: metrics.deviation,
      rollout_is_eff_sample_size: metrics.effectiveSampleSize,
      rollout_is_ratio_fraction_high: metrics.fractionHigh,
      rollout_is_ratio_fraction_low: metrics.fractionLow,
      rollout_is_seq_mean: metrics.sequenceMean,
      rollout_is_seq_std: metrics.sequenceDeviation,
      rollout_is_seq_max: metrics.sequenceMaximum,
      rollout_is_seq_min: metrics.sequenceMinimum,
      rollout_is_seq_max_deviation: metrics.sequenceMaxDeviation,
      rollout_is_seq_fraction_high: metrics.sequenceFractionHigh,
      rollout_is_seq_fraction_low: metrics.sequenceFractionLow,
      rollout_is_oob_ratio: metrics.outsideTokens,
      filter_ratio: metrics.outside,
      rollout_is_batch_norm_factor: metrics.normalizer
    }
  }
}

export interface Rejection {
  /** [tokens]: 1 = counted and kept by every criterion; the mask for advantages' use in the loss. */
  mask: Uint8Array
  /** [completions]: 1 = nothing of it is rejected. */
  keep: Uint8Array
  metrics: {
    rollout_rs_masked_fraction: number
    /** Among all completions, empty ones too. */
    rollout_rs_seq_masked_fraction: number
    /** In the order of the record. */
    criteria: CriterionMetrics[]
  }
}

/**
 * Takes tokens or whole completions out of the loss where rollout and training lie too far apart: bands on the ratio,
 * its product or geometric mean, k1, k2, k3 (verl's `rollout_rs`), binary KL, and off-policy sequence masking, which
 * spares positive advantages (DeepSeek-V3.2; TRL's `off_policy_mask_threshold`).
 * @throws AdjudgeError `ARGUMENT_INVALID` for lengths that disagree, numbers that are not finite, missing advantages, or
 *   a record without criteria.
 */
export function rejectionMask(spec: OffPolicySpec, input: RolloutInput): Rejection {
  const { rejection: criteria, logRatioLimit, countEpsilon } = spec
  if (criteria.length === 0) {
    throw new AdjudgeError('ARGUMENT_INVALID', `rejection: preset "${spec.preset}" rejects nothing`)
  }
  if (criteria.some((criterion) => criterion.onlyNegative) && !input.advantages) {
    throw new AdjudgeError('ARGUMENT_INVALID', 'advantages: needed for a criterion with only_negative')
  }
  const native = nativeInput(input, spec.missing)
  const result = callKernel((kernels) => kernels.rlRejectionMask({ criteria, logRatioLimit, countEpsilon }, native))
  return {
    mask: result.mask,
    keep: result.keep,
    metrics: {
      rollout_rs_masked_fraction: result.maskedFraction,
      rollout_rs_seq_masked_fraction: result.sequenceMaskedFraction,
      criteria: result.criteria
    }
  }
}

/**
 * How far training and rollout lie apart, whatever is done about it.
 * @throws AdjudgeError `ARGUMENT_INVALID` for lengths that disagree or infinite log-probs.
 */
export function mismatchMetrics(input: RolloutInput): MismatchMetrics {
  const native = nativeInput(input, 'ratio_one')
  return callKernel((kernels) => kernels.rlMismatchMetrics({}, native))
}

export interface GammaSpec {
  /** Shape k and rate λ for advantages of at least 0, and below 0. Defaults: TRL's 2, 3, 3, 2. */
  shapePositive?: number
  ratePositive?: number
  shapeNegative?: number
  rateNegative?: number
}

export interface GammaInput {
  /** [tokens]: under the policy being trained, and before the update. */
  logProbs: FloatArray
  oldLogProbs: FloatArray
  /** [tokens]: of `importanceWeights`, per token; they multiply the completion's product. */
  importanceWeights?: FloatArray
  /** [completions] */
  advantages: FloatArray
  mask?: Uint8Array
  cuSeqlens: Int32Array
}

/**
 * The constants of the vespo loss for a completion (TRL 1.16, `get_gamma_weights`): e^λ w^k e^(−λw), which is 1 at
 * w = 1, with w the product of the completion's ratios (and importance weights) within [1e−8, e^20].
 * @returns [completions], in the element type of `logProbs`.
 * @throws AdjudgeError `ARGUMENT_INVALID` for lengths that disagree or numbers that are not finite.
 */
export function gammaWeights(spec: GammaSpec, input: GammaInput): FloatArray {
  const { logProbs, mask, cuSeqlens } = input
  const tokens = covered('cuSeqlens', cuSeqlens)
  for (const [name, value] of Object.entries(spec)) {
    if (Number.isFinite(value) && value > 0) continue
    throw new AdjudgeError('ARGUMENT_INVALID', `${name} is ${value}, expected a number above 0`)
  }
  for (const name of ['logProbs', 'oldLogProbs', 'importanceWeights'] as const) {
    checkLength(name, input[name], tokens, 'one per token')
    checkFinite(name, input[name], mask)
  }
  checkLength('mask', mask, tokens, 'one per token')
  checkLength('advantages', input.advantages, cuSeqlens.length - 1, 'one per completion')
  checkFinite('advantages', input.advantages)
  return callKernel((kernels) =>
    kernels.rlGammaWeights(
      { ...spec },
      {
        logProbs,
        oldLogProbs: sameType(input.oldLogProbs, logProbs),
        importanceWeights: input.importanceWeights && sameType(input.importanceWeights, logProbs),
        advantages: sameType(input.advantages, logProbs),
        mask,
        cuSeqlens
      }
    )
  )
}
