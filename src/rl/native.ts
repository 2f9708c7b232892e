/** The RL kernels as the addon exports them (native/napi/rl.cpp). Absent values: undefined or null. */
import type { CorrectionKernels } from './nativeCorrections.js'
import type { PreferenceKernels } from './nativePreference.js'
import type { FloatArray } from './types.js'

export interface NativeAdvantageInput {
  rewards: FloatArray
  functions: number
  weights?: Float64Array
  scored?: Uint8Array
  groupOffsets: Int32Array
  cuSeqlens?: Int32Array
  mask?: Uint8Array
  penalties?: FloatArray
  baselines?: FloatArray
  values?: FloatArray
  logProbs?: FloatArray
  sumPiSquared?: FloatArray
  importanceWeights?: FloatArray
}

export interface NativeAdvantages {
  advantages: FloatArray
  perToken: boolean
  returns?: FloatArray
  metrics: {
    reward: number
    rewardStd: number
    fracRewardZeroStd: number
    deadGroups: number
    scoredGroups: number
    unscored: number
  }
}

export interface NativeLossInput {
  logProbs: FloatArray
  oldLogProbs: FloatArray
  referenceLogProbs?: FloatArray
  entropies?: FloatArray
  importanceWeights?: FloatArray
  rolloutLogProbs?: FloatArray
  candidateOrder?: Int32Array
  advantages: FloatArray
  advantagesPerToken: boolean
  mask?: Uint8Array
  cuSeqlens: Int32Array
  batchTokens?: number
  batchSequences?: number
}

export interface NativeLoss {
  loss: number
  logProbGradients: FloatArray
  entropyGradients?: FloatArray
  metrics: {
    tokens: number
    sequences: number
    clipLow: number
    clipHigh: number
    clipDual: number
    clipLowMin: number
    clipHighMax: number
    clipToken: number
    clipBound: number
    selected: number
    phi: number
    policyLoss: number
    kl: number
    entropy: number
    ratioMean: number
    ratioMax: number
    oldKl: number
    oldKlBounded: number
    oldKlAbsolute: number
  }
}

export interface NativeExactInput {
  choiceLogProbs: FloatArray
  referenceChoiceLogProbs?: FloatArray
  rewards: FloatArray
  scored?: Uint8Array
  groupOffsets: Int32Array
  batchGroups?: number
}

export interface NativeExact {
  loss: number
  choiceGradients: FloatArray
  probabilities: FloatArray
  metrics: {
    expectedReward: number
    entropy: number
    kl: number
    mass: number
    scoredGroups: number
    deadGroups: number
    unscored: number
  }
}

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
  rlAdvantages(rule: object, input: NativeAdvantageInput): NativeAdvantages
  rlGae(rule: object, input: NativeReturnsInput): { advantages: FloatArray; returns: FloatArray }
  rlVtrace(rule: object, input: NativeReturnsInput): { targets: FloatArray; advantages: FloatArray }
  rlRetrace(rule: object, input: NativeReturnsInput): { targets: FloatArray }
  rlUpgo(rule: object, input: NativeReturnsInput): { returns: FloatArray; advantages: FloatArray }
  rlRepeatedShare(rule: { size: number }, input: { tokens: Int32Array; cuSeqlens: Int32Array }): Float64Array
  rlPolicyLoss(rule: object, input: NativeLossInput): NativeLoss
  rlKlDivergence(
    rule: object,
    input: { logProbs: FloatArray; referenceLogProbs: FloatArray; oldLogProbs?: FloatArray }
  ): { values: FloatArray; gradients: FloatArray }
  rlExactObjective(rule: object, input: NativeExactInput): NativeExact
}
