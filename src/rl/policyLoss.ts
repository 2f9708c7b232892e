/** The policy loss and its derivative for every token's log-prob: what `policy.backward` needs, no model involved. */
import { AdjudgeError } from '../errors.js'
import { constantOf } from './aggregation.js'
import { callKernel, checkLength, covered, sameType, zeros } from './kernels.js'
import { klRule } from './kl.js'
import { preparedCall, rlCall, type Bound, type Device, type Prepared, type RlCall } from './prepared.js'
import { resolveAlgorithm } from './resolve.js'
import type { Algorithm, AlgorithmOptions, FloatArray } from './types.js'

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
  /** [tokens] each, element type of `logProbs`: where the gradients go. Default: new arrays. */
  out?: { logProbGradients?: FloatArray; entropyGradients?: FloatArray }
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

const klInLoss = ({ kl }: Algorithm): boolean => !kl.inReward && kl.coefficient > 0

function lossRule(algorithm: Algorithm): object {
  return {
    ...algorithm.loss,
    ratio: algorithm.ratio,
    kl: klInLoss(algorithm) ? klRule(algorithm) : { ...algorithm.kl, coefficient: 0 },
    entropyCoefficient: algorithm.entropy.coefficient,
    entropyTokenMean: algorithm.entropy.aggregation === 'token_mean',
    topEntropyQuantile: algorithm.entropy.topQuantile,
    aggregation: algorithm.aggregation,
    tokenEpsilon: algorithm.tokenEpsilon,
    countEmptyRows: algorithm.countEmptyRows
  }
}

interface Gradients {
  logProbGradients: FloatArray
  entropyGradients: FloatArray | undefined
}

function bindLoss(algorithm: Algorithm, input: PolicyLossInput): Bound<Gradients> {
  const { logProbs, oldLogProbs, referenceLogProbs, entropies, importanceWeights, rolloutLogProbs, out } = input
  const { advantages, mask, cuSeqlens } = input
  const tokens = covered('cuSeqlens', cuSeqlens)
  const perToken = input.advantagesPerToken ?? false
  checkLength('logProbs', logProbs, tokens, 'the last of cuSeqlens')
  checkLength('oldLogProbs', oldLogProbs, tokens, 'one per token')
  checkLength('referenceLogProbs', referenceLogProbs, tokens, 'one per token')
  checkLength('entropies', entropies, tokens, 'one per token')
  checkLength('importanceWeights', importanceWeights, tokens, 'one per token')
  checkLength('rolloutLogProbs', rolloutLogProbs, tokens, 'one per token')
  checkLength('mask', mask, tokens, 'one per token')
  checkLength('advantages', advantages, perToken ? tokens : cuSeqlens.length - 1, 'see advantagesPerToken')
  if (!referenceLogProbs && klInLoss(algorithm)) {
    throw new AdjudgeError('ARGUMENT_INVALID', 'referenceLogProbs: needed for the KL of this algorithm')
  }
  if (!entropies && needsEntropies(algorithm)) {
    throw new AdjudgeError(
      'ARGUMENT_INVALID',
      'entropies: needed for the entropy coefficient or the top quantile of this algorithm'
    )
  }
  const logProbGradients = out?.logProbGradients ?? zeros(tokens, logProbs)
  const entropyGradients = entropies && (out?.entropyGradients ?? zeros(tokens, logProbs))
  const values = [
    logProbs,
    sameType(oldLogProbs, logProbs),
    referenceLogProbs && sameType(referenceLogProbs, logProbs),
    entropies && sameType(entropies, logProbs),
    importanceWeights && sameType(importanceWeights, logProbs),
    rolloutLogProbs && sameType(rolloutLogProbs, logProbs),
    input.candidateOrder,
    sameType(advantages, logProbs),
    perToken ? 1 : 0,
    mask,
    cuSeqlens,
    constantOf(algorithm, input.maxTokens),
    input.batchTokens,
    input.batchSequences,
    logProbGradients,
    entropyGradients
  ]
  return { values, output: { logProbGradients, entropyGradients } }
}

/** What the kernel writes, in its order. */
type LossNumbers = readonly [
  loss: number,
  tokens: number,
  sequences: number,
  clipLow: number,
  clipHigh: number,
  clipDual: number,
  clipLowMin: number,
  clipHighMax: number,
  clipToken: number,
  clipBound: number,
  selected: number,
  phi: number,
  policyLoss: number,
  kl: number,
  entropy: number,
  ratioMean: number,
  ratioMax: number,
  oldKl: number,
  oldKlBounded: number,
  oldKlAbsolute: number
]

function metricsOf(numbers: LossNumbers): PolicyLossMetrics {
  return {
    'clip_ratio/low_mean': numbers[3],
    'clip_ratio/high_mean': numbers[4],
    'clip_ratio/region_mean': numbers[3] + numbers[4],
    'clip_ratio/low_min': numbers[6],
    'clip_ratio/high_max': numbers[7],
    'clip_ratio/dual_mean': numbers[5],
    'clip_ratio/token_mean': numbers[8],
    'clip_ratio/bound_mean': numbers[9],
    policy_loss: numbers[12],
    kl: numbers[13],
    entropy: numbers[14],
    'ratio/mean': numbers[15],
    'ratio/max': numbers[16],
    old_kl: numbers[17],
    'old_kl/bounded': numbers[18],
    'old_kl/absolute': numbers[19],
    tokens: numbers[1],
    sequences: numbers[2]
  }
}

function prepareLoss(algorithm: Algorithm, device: Device | undefined): Prepared<PolicyLossInput, PolicyLoss> {
  const { kind } = algorithm.loss
  const kernel = callKernel((kernels) => kernels.rlPolicyLoss({ ...lossRule(algorithm), device }))
  return preparedCall(
    kernel,
    20,
    (input: PolicyLossInput) => bindLoss(algorithm, input),
    ({ logProbGradients, entropyGradients }, values): PolicyLoss => {
      const numbers = values as unknown as LossNumbers
      const metrics = metricsOf(numbers)
      if (kind === 'clip_cov' || kind === 'kl_cov') metrics['covariance/selected_mean'] = numbers[10]
      if (kind === 'vespo') metrics['vespo/phi_seq_mean'] = numbers[11]
      return { loss: numbers[0], logProbGradients, entropyGradients, metrics }
    }
  )
}

/**
 * Loss of a packed batch, with gradients. Sums are in f64; `Float32Array` or `Float64Array` as `logProbs` is.
 * Losses of parts of an optimizer batch add up where `batchTokens` and `batchSequences` say what the whole has; a top
 * quantile of entropy and the choice by covariance look at this call's tokens only. Formulas and sources: native/reference/loss_*.h.
 * @throws AdjudgeError `ARGUMENT_INVALID` for a missing or non-finite input, or lengths that disagree; `BUFFER_OVERLAP`,
 *   `BUFFER_DETACHED`, `BUFFER_BUSY` for memory that cannot be used.
 */
export const policyLoss: RlCall<Algorithm, AlgorithmOptions, PolicyLossInput, PolicyLoss> = rlCall(
  prepareLoss,
  resolveAlgorithm
)
