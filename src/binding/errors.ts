/** The addon's errors carry a code of the table; here they become `AdjudgeError`. */
import { AdjudgeError, errorCodes, type ErrorCode } from '../errors.js'

/** Native codes that mean the same as one of the table. */
const aliases: Record<string, ErrorCode> = { OUT_OF_MEMORY: 'MEMORY_EXCEEDED' }

function isCode(code: unknown): code is ErrorCode {
  return typeof code === 'string' && Object.hasOwn(errorCodes, code)
}

/** What the addon threw, as an AdjudgeError where it carries one of our codes. */
export function fromNative(error: unknown): unknown {
  if (error instanceof Error && !(error instanceof AdjudgeError) && 'code' in error) {
    const code = aliases[String(error.code)] ?? error.code
    if (isCode(code)) return new AdjudgeError(code, error.message, { cause: error })
  }
  return error
}

/** Calls the addon and turns what it throws, now or later, into AdjudgeError. */
export async function callNative<T>(call: () => T | Promise<T>): Promise<T> {
  try {
    return await call()
  } catch (error) {
    throw fromNative(error)
  }
}
