/** The Q-learning and replay kernels as the addon exports them (native/napi/rl_q.cpp, rl_replay.cpp). */
import { callKernel } from '../kernels.js'
import type { FloatArray } from '../types.js'

export interface NativeTree {
  capacity: number
  sums: Float64Array
  minima: Float64Array
}

export interface NativeDraws {
  count: number
  size: number
  seed: number
  firstDraw: number
}

export interface NativeShape {
  steps: number
  actionCount: number
  quantiles: number
}

export type RowArray = Float32Array | Float64Array | Int32Array | Uint8Array

/** Gradients of the loss, of the shapes of what they belong to; 0 where the mask is 0. */
export interface QLossArrays {
  loss: number
  qGradients?: FloatArray
  twinQGradients?: FloatArray
  actionQGradients?: FloatArray
  twinActionQGradients?: FloatArray
  logSumExpQGradients?: FloatArray
  twinLogSumExpQGradients?: FloatArray
  valueGradients?: FloatArray
  logProbGradients?: FloatArray
  /** [steps], with targets: |TD error|, of twins the larger; the step's loss with quantiles. For `updatePriorities`. */
  priorities?: FloatArray
  /** [steps], for a policy term: min(exp(beta · (target Q − V)), weight limit). */
  policyWeights?: FloatArray
}

export interface NativeQLoss extends QLossArrays {
  metrics: {
    td: number
    conservative: number
    value: number
    policy: number
    steps: number
    actionQ: number
    target: number
    priority: number
    stateValue: number
    policyWeight: number
  }
}

export interface QKernels {
  rlQTargets(rule: object, input: object): FloatArray
  rlQLoss(rule: object, input: object): NativeQLoss
  rlDuelingQ(rule: { centre: string }, input: NativeShape & { values: FloatArray; advantages: FloatArray }): FloatArray
  rlDuelingGradients(
    rule: { centre: string },
    input: NativeShape & { advantages: FloatArray; qGradients: FloatArray }
  ): { valueGradients: FloatArray; advantageGradients: FloatArray }
  rlPolyakAverage(rule: { rate: number }, input: { target: FloatArray; online: FloatArray }): void
  rlTreeLengths(rule: object, input: { capacity: number }): { sums: number; minima: number }
  rlTreeRebuild(rule: object, input: NativeTree): void
  rlTreeTotal(rule: object, input: NativeTree): number
  rlSetPriorities(
    rule: { alpha: number; epsilon: number },
    input: NativeTree & { size: number; indices: Int32Array; errors: FloatArray }
  ): number
  rlSampleUniform(rule: object, input: NativeDraws): Int32Array
  rlSamplePrioritized(
    rule: { sampling: string; normalization: string; beta: number },
    input: NativeTree & NativeDraws
  ): { indices: Int32Array; weights: Float64Array }
  rlGatherRows(rule: object, input: { source: RowArray; target: RowArray; indices: Int32Array; width: number }): void
}

/** Calls a Q-learning kernel, its errors turned into AdjudgeError. */
export function callQKernel<Result>(call: (kernels: QKernels) => Result): Result {
  return callKernel((kernels) => call(kernels as unknown as QKernels))
}
