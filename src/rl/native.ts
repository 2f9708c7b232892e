/** The RL kernels as the addon exports them (native/napi/rl.cpp). Absent values: undefined or null. */
import type { CorrectionKernels } from './nativeCorrections.js'
import type { NativeKernel } from './nativeKernel.js'
import type { PreferenceKernels } from './nativePreference.js'
import type { FloatArray } from './types.js'

/** Of GAE, V-trace, Retrace and UPGO; all arrays [tokens] but the last, [sequences]. */
export interface NativeReturnsInput {
  rewards: FloatArray
  values: FloatArray
  actionValues?: FloatArray
  logRatios?: FloatArray
  cuSeqlens: Int32Array
  mask?: Uint8Array
  bootstrapValues?: FloatArray
}

export interface RlKernels extends PreferenceKernels, CorrectionKernels {
  rlAdvantages(rule: object): NativeKernel
  rlGae(rule: object, input: NativeReturnsInput): { advantages: FloatArray; returns: FloatArray }
  rlVtrace(rule: object, input: NativeReturnsInput): { targets: FloatArray; advantages: FloatArray }
  rlRetrace(rule: object, input: NativeReturnsInput): { targets: FloatArray }
  rlUpgo(rule: object, input: NativeReturnsInput): { returns: FloatArray; advantages: FloatArray }
  rlRepeatedShare(rule: { size: number }, input: { tokens: Int32Array; cuSeqlens: Int32Array }): Float64Array
  rlPolicyLoss(rule: object): NativeKernel
  rlKlDivergence(
    rule: object,
    input: { logProbs: FloatArray; referenceLogProbs: FloatArray; oldLogProbs?: FloatArray }
  ): { values: FloatArray; gradients: FloatArray }
  rlExactObjective(rule: object): NativeKernel
  rlLogitsStatistics(rule: object): NativeKernel
  rlLogitsGradient(rule: object): NativeKernel
}
