/** The policy loss and its derivative for every token's log-prob: what `policy.backward` needs, no model involved. */
import { AdjudgeError } from '../errors.js'
import { callKernel, checkFinite, checkLength, covered, sameType } from './kernels.js'
import { klRule } from './kl.js'
import type { Algorithm, FloatArray } from './types.js'

export interface PolicyLossInput {
  /** [tokens]: natural log-probs of the sampled tokens under the policy being trained. On-policy: those of the rollout. */
  logProbs: FloatArray
  /** [tokens]: under the policy before the update. On-policy the same array as `logProbs`: the ratio is exactly 1. */
  oldLogProbs: FloatArray
  /** [tokens]: under the reference; needed for a KL in the loss with a coefficient above 0. */
  referenceLogProbs?: FloatArray
  /** [tokens]: entropy of the policy's distribution at each token; needed for an entropy coefficient or a top quantile. */
  entropies?: FloatArray
  /** [tokens]: constants that multiply the policy term (training / sampling probability), not the KL term. */
  importanceWeights?: FloatArray
  /** [tokens]: as the inference engine reported them, for `off_policy_threshold`; NaN = not known. Default: `oldLogProbs`. */
  rolloutLogProbs?: FloatArray
  /** [candidates]: clip_cov drops the first of this permutation. Default: drawn, the same for the same log-probs. */
  candidateOrder?: Int32Array
  /** [completions], or [tokens]. */
  advantages: FloatArray
  /** True where `advantages` has one value per token, as `advantages()` says. Default: false. */
  advantagesPerToken?: boolean
  /** [tokens]: 1 = counts. Default: all. */
  mask?: Uint8Array
  /** [completions + 1]: boundaries of the completions' tokens. */
  cuSeqlens: Int32Array
  /** Most tokens of a completion: divisor of `aggregation: constant` where the record gives none. */
  maxTokens?: number
  /** Counted tokens and completions of the whole optimizer batch, where this call sees a part of it. Default: of this call. */
  batchTokens?: number
  batchSequences?: number
}

export interface PolicyLossMetrics {
  /** Share of tokens (sequence ratios: of completions) clipped below, above, either. TRL's names. */
  'clip_ratio/low_mean': number
  'clip_ratio/high_mean': number
  'clip_ratio/region_mean': number
  /** Smallest and largest share of a completion. */
  'clip_ratio/low_min': number
  'clip_ratio/high_max': number
  /** Share stopped by the dual clip (dppo: whose weight is at `ratio_cap`). */
  'clip_ratio/dual_mean': number
  /** Share of tokens clipped below or above, whatever the ratio (verl's and OpenRLHF's unit). */
  'clip_ratio/token_mean': number
  /** Share of tokens whose ratio lies outside its bounds, whatever the sign of the advantage. */
  'clip_ratio/bound_mean': number
  /** clip_cov, kl_cov: share of tokens singled out. */
  'covariance/selected_mean'?: number
  /** vespo: mean weight of the completions. */
  'vespo/phi_seq_mean'?: number
  /** The loss without the entropy bonus. */
  policy_loss: number
  /** Mean KL to the reference per counted token. */
  kl: number
  entropy: number
  'ratio/mean': number
  'ratio/max': number
  /** Mean of old log-prob − log-prob. */
  old_kl: number
  /** The same within the bounds that the algorithm sets to a token's log ratio (verl's ppo_kl). */
  'old_kl/bounded': number
  /** Mean of |old log-prob − log-prob|. */
  'old_kl/absolute': number
  /** Counted tokens, and completions that count as sequences, of this call. */
  tokens: number
  sequences: number
}

export interface PolicyLoss {
  loss: number
  /** [tokens]: d loss / d log-prob, 0 where the mask is 0. */
  logProbGradients: FloatArray
  /** [tokens]: d loss / d entropy, where entropies were given. */
  entropyGradients?: FloatArray
  metrics: PolicyLossMetrics
}

/** Whether the loss looks at the entropy of each token's distribution. */
export const needsEntropies = ({ entropy }: Algorithm): boolean => entropy.coefficient !== 0 || entropy.topQuantile < 1

function lossRule(algorithm: Algorithm, maxTokens: number | undefined): object {
  const constant = algorithm.constant ?? maxTokens
  if (algorithm.aggregation === 'constant' && !(constant !== undefined && constant > 0)) {
    throw new AdjudgeError(
      'ARGUMENT_INVALID',
      'maxTokens: aggregation "constant" divides by it; give maxTokens, or set "constant" in the algorithm'
    )
  }
  return {
    ...algorithm.loss,
    ratio: algorithm.ratio,
    kl: klRule(algorithm),
    entropyCoefficient: algorithm.entropy.coefficient,
    entropyTokenMean: algorithm.entropy.aggregation === 'token_mean',
    topEntropyQuantile: algorithm.entropy.topQuantile,
    aggregation: algorithm.aggregation,
    constant,
    tokenEpsilon: algorithm.tokenEpsilon,
    countEmptyRows: algorithm.countEmptyRows
  }
}

const covarianceKinds: ReadonlySet<string> = new Set(['clip_cov', 'kl_cov'])

/** One value per token, all finite where the mask is 1. */
const finiteInputs = ['logProbs', 'oldLogProbs', 'referenceLogProbs', 'entropies', 'importanceWeights'] as const

/**
 * Loss of a packed batch, with gradients. Sums are in f64; `Float32Array` or `Float64Array` as `logProbs` is.
 * Losses of parts of an optimizer batch add up where `batchTokens` and `batchSequences` say what the whole has; a top
 * quantile of entropy and the choice by covariance look at this call's tokens only. Formulas and sources: native/reference/loss_*.h.
 * @throws AdjudgeError `ARGUMENT_INVALID` for a missing or non-finite input, or lengths that disagree.
 */
export function policyLoss(algorithm: Algorithm, input: PolicyLossInput): PolicyLoss {
  const { logProbs, mask, cuSeqlens } = input
  const tokens = covered('cuSeqlens', cuSeqlens)
  const perToken = input.advantagesPerToken ?? false
  checkLength('logProbs', logProbs, tokens, 'the last of cuSeqlens')
  for (const name of [...finiteInputs, 'rolloutLogProbs', 'mask'] as const) {
    checkLength(name, input[name], tokens, 'one per token')
  }
  checkLength('advantages', input.advantages, perToken ? tokens : cuSeqlens.length - 1, 'see advantagesPerToken')
  for (const name of finiteInputs) checkFinite(name, input[name], mask)
  if (algorithm.loss.kind === 'vespo' && algorithm.loss.gammaWeight.maskedImportance) {
    checkFinite('importanceWeights', input.importanceWeights)
  }
  checkFinite('advantages', input.advantages, perToken ? mask : undefined)
  const klInLoss = !algorithm.kl.inReward && algorithm.kl.coefficient > 0
  if (klInLoss && !input.referenceLogProbs) {
    throw new AdjudgeError('ARGUMENT_INVALID', 'referenceLogProbs: needed for the KL of this algorithm')
  }
  if (needsEntropies(algorithm) && !input.entropies) {
    throw new AdjudgeError(
      'ARGUMENT_INVALID',
      'entropies: needed for the entropy coefficient or the top quantile of this algorithm'
    )
  }
  const typed = (values: FloatArray | undefined) => values && sameType(values, logProbs)
  const rule = lossRule(algorithm, input.maxTokens)
  const result = callKernel((kernels) =>
    kernels.rlPolicyLoss(klInLoss ? rule : { ...rule, kl: { ...algorithm.kl, coefficient: 0 } }, {
      logProbs,
      oldLogProbs: sameType(input.oldLogProbs, logProbs),
      referenceLogProbs: typed(input.referenceLogProbs),
      entropies: typed(input.entropies),
      importanceWeights: typed(input.importanceWeights),
      rolloutLogProbs: typed(input.rolloutLogProbs),
      candidateOrder: input.candidateOrder,
      advantages: sameType(input.advantages, logProbs),
      advantagesPerToken: perToken,
      mask,
      cuSeqlens,
      batchTokens: input.batchTokens,
      batchSequences: input.batchSequences
    })
  )
  const { metrics } = result
  return {
    loss: result.loss,
    logProbGradients: result.logProbGradients,
    entropyGradients: result.entropyGradients,
    metrics: {
      'clip_ratio/low_mean': metrics.clipLow,
      'clip_ratio/high_mean': metrics.clipHigh,
      'clip_ratio/region_mean': metrics.clipLow + metrics.clipHigh,
      'clip_ratio/low_min': metrics.clipLowMin,
      'clip_ratio/high_max': metrics.clipHighMax,
      'clip_ratio/dual_mean': metrics.clipDual,
      'clip_ratio/token_mean': metrics.clipToken,
      'clip_ratio/bound_mean': metrics.clipBound,
      ...(covarianceKinds.has(algorithm.loss.kind) ? { 'covariance/selected_mean': metrics.selected } : {}),
      ...(algorithm.loss.kind === 'vespo' ? { 'vespo/phi_seq_mean': metrics.phi } : {}),
      policy_loss: metrics.policyLoss,
      kl: metrics.kl,
      entropy: metrics.entropy,
      'ratio/mean': metrics.ratioMean,
      'ratio/max': metrics.ratioMax,
      old_kl: metrics.oldKl,
      'old_kl/bounded': metrics.oldKlBounded,
      'old_kl/absolute': metrics.oldKlAbsolute,
      tokens: metrics.tokens,
      sequences: metrics.sequences
    }
  }
}
