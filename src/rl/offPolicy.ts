/**
 * Importance weights, rejection and measures of the mismatch between the policy being trained and the one that sampled
 * (another engine, older weights). r = probability in training / probability in the rollout, token by token.
 */
import { AdjudgeError } from '../errors.js'
import { callKernel, checkLength, covered, sameType, zeros } from './kernels.js'
import {
  criterionColumns,
  criterionMetrics,
  importanceMetrics,
  mismatchOf,
  type CriterionMetrics,
  type ImportanceMetrics,
  type MismatchMetrics
} from './offPolicyMetrics.js'
import { resolveOffPolicy, type OffPolicyOptions, type OffPolicySpec } from './offPolicySpec.js'
import {
  plainCall,
  preparedCall,
  rlCall,
  type Bound,
  type Device,
  type PlainCall,
  type Prepared,
  type RlCall
} from './prepared.js'
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

/** The arrays of a rollout in the order of the addon's arguments, and how many tokens they have. */
function bindRollout(input: RolloutInput): { tokens: number; values: unknown[] } {
  const { logProbs, rolloutLogProbs, advantages, mask, cuSeqlens } = input
  const tokens = covered('cuSeqlens', cuSeqlens)
  checkLength('logProbs', logProbs, tokens, 'the last of cuSeqlens')
  checkLength('rolloutLogProbs', rolloutLogProbs, tokens, 'one per token')
  checkLength('mask', mask, tokens, 'one per token')
  checkLength('advantages', advantages, cuSeqlens.length - 1, 'one per completion')
  return {
    tokens,
    values: [
      logProbs,
      sameType(rolloutLogProbs, logProbs),
      advantages && sameType(advantages, logProbs),
      mask,
      cuSeqlens
    ]
  }
}

export interface ImportanceInput extends RolloutInput {
  /** Element type of `logProbs`: where the results go. Default: new arrays. `sequenceWeights` for weights of sequences. */
  out?: { weights?: FloatArray; sequenceWeights?: FloatArray }
}

export interface ImportanceWeights {
  /** [tokens]: constants that multiply the policy loss (`importanceWeights` there); 0 where the mask is 0. */
  weights: FloatArray
  /** [completions]: the same once per completion, for sequence weights. */
  sequenceWeights?: FloatArray
  metrics: ImportanceMetrics
}

type WeightArrays = Omit<ImportanceWeights, 'metrics'>

function bindWeights(sequence: boolean, input: ImportanceInput): Bound<WeightArrays> {
  const { tokens, values } = bindRollout(input)
  const weights = input.out?.weights ?? zeros(tokens, input.logProbs)
  const sequenceWeights = sequence
    ? (input.out?.sequenceWeights ?? zeros(input.cuSeqlens.length - 1, input.logProbs))
    : undefined
  return { values: [...values, weights, sequenceWeights], output: { weights, sequenceWeights } }
}

function prepareWeights(spec: OffPolicySpec, device: Device | undefined): Prepared<ImportanceInput, ImportanceWeights> {
  const { importance, logRatioLimit, countEpsilon, missing } = spec
  if (!importance) {
    throw new AdjudgeError('ARGUMENT_INVALID', `importance: preset "${spec.preset}" has no importance weights`)
  }
  const sequence = importance.level === 'sequence'
  const kernel = callKernel((kernels) =>
    kernels.rlImportanceWeights({ ...importance, logRatioLimit, countEpsilon, missing, device })
  )
  return preparedCall(
    kernel,
    20,
    (input: ImportanceInput) => bindWeights(sequence, input),
    (output, numbers): ImportanceWeights => ({ ...output, metrics: importanceMetrics(numbers, sequence) })
  )
}

/**
 * Weights that correct a loss for the rollout's policy: truncated (TIS), masked (MIS, IcePop) or gated by a divergence,
 * per token or per completion (Yao et al. 2025, "Your efficient RL framework secretly brings you off-policy RL
 * training"; Liu et al. 2025, "When speed kills stability"; the rules of verl's `rollout_corr_helper`, TRL's
 * `vllm_importance_sampling_mode`, OpenRLHF's `is_correction_*`). The trainer takes them as constants. Element type:
 * that of `logProbs`.
 * @throws AdjudgeError `ARGUMENT_INVALID` for lengths that disagree, numbers that are not finite, an infinite weight, or
 *   a record without `importance`; `BUFFER_OVERLAP`, `BUFFER_DETACHED`, `BUFFER_BUSY` for memory that cannot be used.
 */
export const importanceWeights: RlCall<OffPolicySpec, OffPolicyOptions, ImportanceInput, ImportanceWeights> = rlCall(
  prepareWeights,
  resolveOffPolicy
)

export interface RejectionInput extends RolloutInput {
  /** Where the results go. Default: new arrays. */
  out?: { mask?: Uint8Array; keep?: Uint8Array }
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

interface RejectionArrays {
  mask: Uint8Array
  keep: Uint8Array
  criteria: Float64Array
}

function bindRejection(spec: OffPolicySpec, input: RejectionInput): Bound<RejectionArrays> {
  if (spec.rejection.some((criterion) => criterion.onlyNegative) && !input.advantages) {
    throw new AdjudgeError('ARGUMENT_INVALID', 'advantages: needed for a criterion with only_negative')
  }
  const { tokens, values } = bindRollout(input)
  const mask = input.out?.mask ?? new Uint8Array(tokens)
  const keep = input.out?.keep ?? new Uint8Array(input.cuSeqlens.length - 1)
  const criteria = new Float64Array(criterionColumns * spec.rejection.length)
  return { values: [...values, mask, keep, criteria], output: { mask, keep, criteria } }
}

function prepareRejection(spec: OffPolicySpec, device: Device | undefined): Prepared<RejectionInput, Rejection> {
  const { rejection: criteria, logRatioLimit, countEpsilon, missing } = spec
  if (criteria.length === 0) {
    throw new AdjudgeError('ARGUMENT_INVALID', `rejection: preset "${spec.preset}" rejects nothing`)
  }
  const kernel = callKernel((kernels) =>
    kernels.rlRejectionMask({ criteria, logRatioLimit, countEpsilon, missing, device })
  )
  return preparedCall(
    kernel,
    2,
    (input: RejectionInput) => bindRejection(spec, input),
    (output, numbers): Rejection => ({
      mask: output.mask,
      keep: output.keep,
      metrics: {
        rollout_rs_masked_fraction: numbers[0] as number,
        rollout_rs_seq_masked_fraction: numbers[1] as number,
        criteria: criterionMetrics(output.criteria)
      }
    })
  )
}

/**
 * Takes tokens or whole completions out of the loss where rollout and training lie too far apart: bands on the ratio,
 * its product or geometric mean, k1, k2, k3 (verl's `rollout_rs`), binary KL, and off-policy sequence masking, which
 * spares positive advantages (DeepSeek-V3.2; TRL's `off_policy_mask_threshold`).
 * @throws AdjudgeError `ARGUMENT_INVALID` for lengths that disagree, numbers that are not finite, missing advantages, or
 *   a record without criteria; `BUFFER_OVERLAP`, `BUFFER_DETACHED`, `BUFFER_BUSY` for memory that cannot be used.
 */
export const rejectionMask: RlCall<OffPolicySpec, OffPolicyOptions, RejectionInput, Rejection> = rlCall(
  prepareRejection,
  resolveOffPolicy
)

/**
 * How far training and rollout lie apart, whatever is done about it; log-probs that the rollout did not report are left
 * out. Forms as of {@link importanceWeights}.
 * @throws AdjudgeError `ARGUMENT_INVALID` for lengths that disagree or infinite log-probs.
 */
export const mismatchMetrics: PlainCall<RolloutInput, MismatchMetrics> = plainCall((device) =>
  preparedCall(
    callKernel((kernels) => kernels.rlMismatchMetrics({ device })),
    16,
    (input: RolloutInput): Bound<undefined> => ({ values: bindRollout(input).values, output: undefined }),
    (_, numbers) => mismatchOf(numbers)
  )
)
