/** Value loss, KL and off-policy corrections as the addon exports them (rl_value_loss, rl_kl, rl_off_policy.cpp). */
import type { NativeKernel } from './nativeKernel.js'

export interface CorrectionKernels {
  rlKlDivergence(rule: object): NativeKernel
  rlKlRows(rule: object): NativeKernel
  rlKlReward(rule: object): NativeKernel
  rlAdaptedKlCoefficient(rule: Record<string, number>): number
  rlImportanceWeights(rule: object): NativeKernel
  rlRejectionMask(rule: object): NativeKernel
  rlMismatchMetrics(rule: object): NativeKernel
  rlGammaWeights(rule: object): NativeKernel
  rlValueLoss(rule: object): NativeKernel
}
