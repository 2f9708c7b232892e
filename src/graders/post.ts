/** A request that is tried again, for the graders that ask a server of their own. */
import { setTimeout as sleep } from 'node:timers/promises'
import { backOff, classify } from '../judge/retry.js'
import type { HttpClient } from '../judge/transport/client.js'
import { GraderFailure, type GraderErrorName } from './failure.js'

export interface PostOptions {
  path: string
  /** JSON. */
  body: string
  /** Tries in all. */
  attempts: number
  /** Milliseconds for each try. */
  timeout: number
  signal?: AbortSignal | undefined
  /** What the failure is called after the last try. */
  error: GraderErrorName
  /** Waited for before each try, outside of its time limit. */
  before?: () => Promise<void>
}

/** The reply's JSON. Throws GraderFailure when the tries are used up, or at once where another has no use. */
export async function post(client: HttpClient, options: PostOptions): Promise<{ value: unknown; attempts: number }> {
  const { path, body, attempts, timeout, signal, error, before } = options
  for (let attempt = 1; ; attempt++) {
    try {
      await before?.()
    } catch {
      throw cancelled(attempt - 1)
    }
    const limit = AbortSignal.timeout(timeout)
    try {
      const reply = await client.send({
        path,
        body,
        signal: signal ? AbortSignal.any([signal, limit]) : limit
      })
      return { value: JSON.parse(reply.text) as unknown, attempts: attempt }
    } catch (cause) {
      if (signal?.aborted) throw cancelled(attempt)
      const failure = classify(cause, limit.aborted, timeout)
      if (failure.kind === 'fatal' || attempt === attempts) {
        throw new GraderFailure(failure.detail, failure.reason, error, attempt)
      }
      try {
        await sleep(backOff(failure, attempt), undefined, signal ? { signal } : {})
      } catch {
        throw cancelled(attempt)
      }
    }
  }
}

const cancelled = (attempts: number): GraderFailure =>
  new GraderFailure('the run was cancelled', 'cancelled', 'other_error', attempts)
