/** Value loss, KL and off-policy corrections as the addon exports them (rl_value_loss, rl_kl, rl_off_policy.cpp). */
import type { CriterionMetrics, MismatchMetrics } from './offPolicyMetrics.js'
import type { NativeKernel } from './nativeKernel.js'
import type { FloatArray } from './types.js'

export interface NativeKlRewardInput {
  tokenRewards: FloatArray
  rewards?: FloatArray
  kl?: FloatArray
  logProbs?: FloatArray
  referenceLogProbs?: FloatArray
  mask?: Uint8Array
  cuSeqlens: Int32Array
}

export interface NativeRolloutInput {
  logProbs: FloatArray
  rolloutLogProbs: FloatArray
  advantages?: FloatArray
  mask?: Uint8Array
  cuSeqlens: Int32Array
}

export interface NativeWeights {
  weights: FloatArray
  sequenceWeights?: FloatArray
  metrics: {
    minimum: number
    mean: number
    maximum: number
    rawMinimum: number
    rawMaximum: number
    tokenMean: number
    deviation: number
    effectiveSampleSize: number
    fractionHigh: number
    fractionLow: number
    outsideTokens: number
    outside: number
    sequenceMean: number
    sequenceDeviation: number
    sequenceMaximum: number
    sequenceMinimum: number
    sequenceMaxDeviation: number
    sequenceFractionHigh: number
    sequenceFractionLow: number
    normalizer: number
  }
}

export interface NativeRejection {
  mask: Uint8Array
  keep: Uint8Array
  maskedFraction: number
  sequenceMaskedFraction: number
  criteria: CriterionMetrics[]
}

export interface NativeGammaInput {
  logProbs: FloatArray
  oldLogProbs: FloatArray
  importanceWeights?: FloatArray
  advantages: FloatArray
  mask?: Uint8Array
  cuSeqlens: Int32Array
}

export interface CorrectionKernels {
  rlKlRows(
    rule: { direction: 'reverse' | 'forward' },
    input: { logits: FloatArray; referenceLogits: FloatArray; width: number; mask?: Uint8Array; gradients: boolean }
  ): { values: FloatArray; logitGradients?: FloatArray }
  rlKlReward(rule: object, input: NativeKlRewardInput): { tokenRewards: FloatArray; kl: number; klToken: number }
  rlAdaptedKlCoefficient(rule: Record<string, number>): number
  rlImportanceWeights(rule: object, input: NativeRolloutInput): NativeWeights
  rlRejectionMask(rule: object, input: NativeRolloutInput): NativeRejection
  rlMismatchMetrics(rule: object, input: NativeRolloutInput): MismatchMetrics
  rlGammaWeights(rule: object, input: NativeGammaInput): FloatArray
  rlValueLoss(rule: object): NativeKernel
}
