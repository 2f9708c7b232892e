/** The Q-learning and replay kernels as the addon exports them (native/napi/rl_q.cpp, rl_replay.cpp). */
import { callKernel } from '../kernels.js'
import type { NativeKernel } from '../nativeKernel.js'
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

export type RowArray = Float32Array | Float64Array | Int32Array | Uint8Array

export interface QKernels {
  rlQTargets(rule: object): NativeKernel
  rlQLoss(rule: object): NativeKernel
  rlDuelingQ(rule: object): NativeKernel
  rlDuelingGradients(rule: object): NativeKernel
  rlPolyakAverage(rule: object): NativeKernel
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
