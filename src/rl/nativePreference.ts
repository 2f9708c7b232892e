/** The preference kernels as the addon exports them (native/napi/rl_preference.cpp). */
import type { NativeKernel } from './nativeKernel.js'

export interface PreferenceKernels {
  rlPreferenceLoss(rule: object): NativeKernel
  /** The same for a reward model's scores in place of log-probs. */
  rlPreferenceScoreLoss(rule: object): NativeKernel
}
