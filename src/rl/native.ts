/** The RL kernels as the addon exports them (native/napi/rl.cpp). Absent values: undefined or null. */
import type { CorrectionKernels } from './nativeCorrections.js'
import type { NativeKernel } from './nativeKernel.js'
import type { PreferenceKernels } from './nativePreference.js'

export interface RlKernels extends PreferenceKernels, CorrectionKernels {
  rlAdvantages(rule: object): NativeKernel
  rlGae(rule: object): NativeKernel
  rlVtrace(rule: object): NativeKernel
  rlRetrace(rule: object): NativeKernel
  rlUpgo(rule: object): NativeKernel
  rlRepetitionPenalty(rule: { size: number; factor: number }): NativeKernel
  rlPolicyLoss(rule: object): NativeKernel
  rlExactObjective(rule: object): NativeKernel
  rlLogitsStatistics(rule: object): NativeKernel
  rlLogitsGradient(rule: object): NativeKernel
}
