/** An RL function of the addon, prepared (native/napi/rl_call.h). */
import type { NativeJob } from '../binding/native.js'

/**
 * A function of the addon whose rule is read. Its arguments by position: whether it runs as a job (then it returns one),
 * where the scalar results go, then typed arrays and numbers in the order of the C++ signature, those that are written
 * last; absent ones undefined. All floating arrays of a call have one element type.
 */
export interface NativeKernel {
  (asynchronous: false, numbers: Float64Array, ...values: unknown[]): void
  (asynchronous: true, numbers: Float64Array, ...values: unknown[]): NativeJob<void>
}
