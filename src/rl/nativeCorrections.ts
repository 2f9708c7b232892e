/** Value loss, KL and off-policy corrections as the addon exports them (rl_value_loss, rl_kl, rl_off_policy.cpp). */
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

export interface CorrectionKernels {
  rlKlRows(
    rule: { direction: 'reverse' | 'forward' },
    input: { logits: FloatArray; referenceLogits: FloatArray; width: number; mask?: Uint8Array; gradients: boolean }
  ): { values: FloatArray; logitGradients?: FloatArray }
  rlKlReward(rule: object, input: NativeKlRewardInput): { tokenRewards: FloatArray; kl: number; klToken: number }
  rlAdaptedKlCoefficient(rule: Record<string, number>): number
  rlImportanceWeights(rule: object): NativeKernel
  rlRejectionMask(rule: object): NativeKernel
  rlMismatchMetrics(rule: object): NativeKernel
  rlGammaWeights(rule: object): NativeKernel
  rlValueLoss(rule: object): NativeKernel
}
