/** The preference kernel as the addon exports it (native/napi/rl_preference.cpp). Absent values: undefined or null. */
import type { FloatArray } from './types.js'

export interface NativePreferenceInput {
  logProbs: FloatArray
  referenceLogProbs: FloatArray | undefined
  cuSeqlens?: Int32Array
  mask?: Uint8Array
  nllMask?: Uint8Array
  lengths?: Int32Array
  chosen?: Int32Array
  rejected?: Int32Array
  margins: FloatArray | undefined
  weights: FloatArray | undefined
  desirable?: Uint8Array
  mismatchedLogProbs: FloatArray | undefined
  mismatchedReferenceLogProbs: FloatArray | undefined
  klBaseline?: number
  batchSize?: number
  batchTokens?: number
}

export interface NativePreference {
  loss: number
  gradients: FloatArray
  metrics: {
    rewardChosen: number
    rewardRejected: number
    accuracy: number
    margin: number
    logProbChosen: number
    logProbRejected: number
    nll: number
    logOdds: number
    logSigmoidOdds: number
    kl: number
    rewardLeast: number
    rewardMean: number
    rewardMost: number
  }
}

export interface PreferenceKernels {
  rlPreferenceLoss(rule: object, input: NativePreferenceInput): NativePreference
}
