/** The addon's errors carry a code of the table; here they become `AdjudgeError`. */
import { AdjudgeError, errorCodes, type ErrorCode } from '../errors.js'
import type { NativeJob } from './native.js'

function isCode(code: unknown): code is ErrorCode {
  return typeof code === 'string' && Object.hasOwn(errorCodes, code)
}

/** What the addon threw, as an AdjudgeError where it carries one of our codes. */
export function fromNative(error: unknown): unknown {
  if (error instanceof Error && !(error instanceof AdjudgeError) && 'code' in error) {
    if (isCode(error.code)) return new AdjudgeError(error.code, error.message, { cause: error })
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

/** Starts a job of the addon and waits for it; an aborted signal ends it with CANCELLED, at the next layer at the latest. */
export async function callJob<T>(start: () => NativeJob<T>, signal?: AbortSignal): Promise<T> {
  checkSignal(signal)
  return callNative(async () => {
    const job = start()
    const cancel = (): void => job.cancel()
    signal?.addEventListener('abort', cancel, { once: true })
    try {
      return await job
    } finally {
      signal?.removeEventListener('abort', cancel)
    }
  })
}

/** Throws CANCELLED where the signal is aborted. */
export function checkSignal(signal: AbortSignal | undefined): void {
  if (!signal?.aborted) return
  throw new AdjudgeError('CANCELLED', 'the work was cancelled by its signal', { cause: signal.reason })
}
