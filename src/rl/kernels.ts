/** The addon's RL kernels, their errors turned into AdjudgeError, and the checks that every call shares. */
import { loadAddon } from '../binding/load.js'
import { AdjudgeError, errorCodes, type ErrorCode } from '../errors.js'
import type { RlKernels } from './native.js'
import type { FloatArray } from './types.js'

/** Calls a kernel. */
export function callKernel<Result>(call: (kernels: RlKernels) => Result): Result {
  const kernels = loadAddon() as unknown as RlKernels
  try {
    return call(kernels)
  } catch (error) {
    const code = (error as { code?: unknown }).code
    if (error instanceof Error && typeof code === 'string' && Object.hasOwn(errorCodes, code)) {
      throw new AdjudgeError(code as ErrorCode, error.message, { cause: error })
    }
    throw error
  }
}

/** The same numbers in the element type of `like`. */
export function sameType(values: FloatArray, like: FloatArray): FloatArray {
  if (like instanceof Float64Array) return values instanceof Float64Array ? values : Float64Array.from(values)
  return values instanceof Float32Array ? values : Float32Array.from(values)
}

/** @throws AdjudgeError `ARGUMENT_INVALID` where `values` is given with another length. */
export function checkLength(name: string, values: { length: number } | undefined, length: number, of: string): void {
  if (values && values.length !== length) {
    throw new AdjudgeError('ARGUMENT_INVALID', `${name}: expected ${length} values (${of}) and got ${values.length}`)
  }
}

/** @throws AdjudgeError `ARGUMENT_INVALID`, naming the index, where a value is NaN or infinite. */
export function checkFinite(name: string, values: FloatArray | undefined, mask?: Uint8Array): void {
  if (!values) return
  for (let index = 0; index < values.length; index++) {
    if (Number.isFinite(values[index]) || (mask && mask[index] === 0)) continue
    throw new AdjudgeError('ARGUMENT_INVALID', `${name}[${index}] is ${values[index]}, expected a finite number`)
  }
}

/** The last boundary: how many elements the ranges cover. */
export function covered(name: string, offsets: Int32Array): number {
  const last = offsets.at(-1)
  if (last === undefined) throw new AdjudgeError('ARGUMENT_INVALID', `${name} is empty; it starts with 0`)
  return last
}
