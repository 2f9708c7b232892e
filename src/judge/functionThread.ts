/**
 * A user's module on a worker thread: the event loop stays free, and a loop that never ends is ended. Inputs travel in
 * batches, for a task costs as much as many a function. One thread per judge, so that what a module keeps in its
 * variables is kept in one place; it begins anew where the thread had to be ended.
 */
import { fileURLToPath } from 'node:url'
import { Piscina } from 'piscina'
import { AdjudgeError } from '../errors.js'
import { unscoredFunction } from './function.js'
import { messageOf } from './retry.js'
import type { JudgeInput, Verdict } from './types.js'

/** Inputs per task, at most. */
const most = 64
/** Milliseconds beyond the time limit for what waits in the thread: timers there are late when it is busy. */
const grace = 250
/** Milliseconds for loading the module. */
const loadLimit = 60_000

interface Task {
  path: string
  inputs: JudgeInput[]
  timeout: number
  place: Int32Array
}

interface Waiting {
  input: JudgeInput
  /** Sent by itself: something went wrong in its company. */
  alone: boolean
  done: boolean
  resolve(verdict: Verdict): void
}

export class FunctionThread {
  private readonly pool: Piscina<Task, { verdicts?: Verdict[]; error?: string }>
  private readonly waiting: Waiting[] = []
  private running = false

  private constructor(
    private readonly path: string,
    private readonly timeout: number
  ) {
    this.pool = new Piscina({
      filename: fileURLToPath(new URL('./functionWorker.mjs', import.meta.url)),
      minThreads: 1,
      maxThreads: 1,
      execArgv: []
    })
  }

  /** Loads the module, too. Throws FUNCTION_INVALID. */
  static async open(path: string, timeout: number): Promise<FunctionThread> {
    const thread = new FunctionThread(path, timeout)
    try {
      const { error } = await thread.task([], loadLimit)
      if (error !== undefined) throw new AdjudgeError('FUNCTION_INVALID', error)
    } catch (cause) {
      await thread.close()
      if (cause instanceof AdjudgeError) throw cause
      throw new AdjudgeError('FUNCTION_INVALID', `function ${path}: cannot be loaded (${messageOf(cause)})`, { cause })
    }
    return thread
  }

  run(input: JudgeInput, signal?: AbortSignal): Promise<Verdict> {
    return new Promise((resolve) => {
      const cancelled = (): void => entry.resolve(unscoredFunction(input, 'cancelled', 'the run was cancelled'))
      const entry: Waiting = {
        input,
        alone: false,
        done: false,
        resolve: (verdict) => {
          entry.done = true
          signal?.removeEventListener('abort', cancelled)
          resolve(verdict)
        }
      }
      if (signal?.aborted) return cancelled()
      signal?.addEventListener('abort', cancelled, { once: true })
      this.waiting.push(entry)
      if (this.running) return
      this.running = true
      setImmediate(() => void this.drain())
    })
  }

  close(): Promise<void> {
    return this.pool.destroy()
  }

  private async drain(): Promise<void> {
    for (let batch = this.next(); batch.length > 0; batch = this.next()) {
      const place = new Int32Array(new SharedArrayBuffer(8))
      const inputs = batch.map(({ input }) => input)
      try {
        const { verdicts = [], error } = await this.task(inputs, this.timeout, place)
        if (error !== undefined) throw new Error(error)
        verdicts.forEach((verdict, index) => batch[index].resolve(verdict))
        this.waiting.unshift(...batch.slice(verdicts.length))
      } catch (error) {
        this.failed(batch, Atomics.load(place, 0) - 1, error)
      }
    }
    this.running = false
  }

  private next(): Waiting[] {
    const batch: Waiting[] = []
    while (batch.length < most && this.waiting.length > 0) {
      if (this.waiting[0].alone && batch.length > 0) break
      const entry = this.waiting.shift()!
      if (entry.done) continue
      batch.push(entry)
      if (entry.alone) break
    }
    return batch
  }

  /** The thread was ended, or came to its end: by the input it was at, where that is known. */
  private failed(batch: Waiting[], at: number, error: unknown): void {
    const culprit = batch.length === 1 ? batch[0] : batch[at]
    const timedOut = error instanceof Overdue
    const rest = batch.filter((entry) => entry !== culprit)
    if (!culprit) for (const entry of rest) entry.alone = true
    culprit?.resolve(
      unscoredFunction(
        culprit.input,
        timedOut ? 'timeout' : 'function_error',
        timedOut ? `no result within ${this.timeout} ms` : `the function's thread ended (${messageOf(error)})`
      )
    )
    this.waiting.unshift(...rest)
  }

  /** Throws Overdue, the thread ended and another one started, where no input was begun or ended in time. */
  private async task(
    inputs: JudgeInput[],
    timeout: number,
    place = new Int32Array(new SharedArrayBuffer(8))
  ): Promise<{ verdicts?: Verdict[]; error?: string }> {
    const controller = new AbortController()
    let begun = 0
    let since = performance.now()
    const look = setInterval(
      () => {
        const now = performance.now()
        const count = Atomics.load(place, 1)
        if (count !== begun) since = now
        begun = count
        const limit = begun === 0 ? loadLimit : Atomics.load(place, 0) > 0 ? timeout : timeout + grace
        if (now - since > limit) controller.abort()
      },
      Math.max(5, Math.min(100, timeout / 4))
    )
    try {
      return await this.pool.run({ path: this.path, inputs, timeout, place }, { signal: controller.signal })
    } catch (error) {
      throw controller.signal.aborted ? new Overdue(`no result within ${timeout} ms`) : error
    } finally {
      clearInterval(look)
    }
  }
}

class Overdue extends Error {}
