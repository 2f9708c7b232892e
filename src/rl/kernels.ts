/** The addon's RL kernels, their errors turned into AdjudgeError, and the checks that every call shares. */
import { fromNative } from '../binding/errors.js'
import { loadAddon } from '../binding/load.js'
import { AdjudgeError } from '../errors.js'
import type { RlKernels } from './native.js'
import type { FloatArray } from './types.js'

/** Calls the addon. */
export function callKernel<Result>(call: (kernels: RlKernels) => Result): Result {
  const kernels = loadAddon() as unknown as RlKernels
  try {
    return call(kernels)
  } catch (error) {
    throw fromNative(error)
  }
}

/** The same numbers in the element type of `like`. */
export function sameType(values: FloatArray, like: FloatArray): FloatArray {
  if (like instanceof Float64Array) return values instanceof Float64Array ? values : new Float64Array(values)
  return values instanceof Float32Array ? values : new Float32Array(values)
}

/** Zeros in the element type of `like`. */
export function zeros(length: number, like: FloatArray): FloatArray {
  return like instanceof Float64Array ? new Float64Array(length) : new Float32Array(length)
}

/** Whether the memory went to another thread: such an array has no element left. `ArrayBuffer.detached` came with Node 22. */
function isDetached(values: unknown): boolean {
  if (!ArrayBuffer.isView(values) || values.byteLength > 0) return false
  try {
    new Uint8Array(values.buffer)
    return false
  } catch {
    return true
  }
}

/** @throws AdjudgeError `BUFFER_DETACHED` */
export function checkAttached(name: string, values: unknown): void {
  if (!isDetached(values)) return
  throw new AdjudgeError(
    'BUFFER_DETACHED',
    `${name}: its buffer was transferred and has no memory any more; give another array, or share the buffer instead`
  )
}

/** @throws AdjudgeError `ARGUMENT_INVALID` where `values` is given with another length, `BUFFER_DETACHED`. */
export function checkLength(name: string, values: { length: number } | undefined, length: number, of: string): void {
  if (values && values.length !== length) {
    checkAttached(name, values)
    throw new AdjudgeError('ARGUMENT_INVALID', `${name}: expected ${length} values (${of}) and got ${values.length}`)
  }
}

/** The last boundary: how many elements the ranges cover. */
export function covered(name: string, offsets: Int32Array): number {
  if (!(offsets instanceof Int32Array)) throw new AdjudgeError('ARGUMENT_INVALID', `${name}: expected an Int32Array`)
  const last = offsets[offsets.length - 1]
  if (last === undefined) checkAttached(name, offsets)
  if (last === undefined) throw new AdjudgeError('ARGUMENT_INVALID', `${name} is empty; it starts with 0`)
  if (last < 0) throw new AdjudgeError('ARGUMENT_INVALID', `${name} ends with ${last}; its elements never fall from 0`)
  return last
}
