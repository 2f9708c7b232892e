/** Monotonic time: nothing here looks at the date, which may jump. */

export interface Clock {
  /** Milliseconds since the machine started, the same for every process of the machine. */
  now(): number
  /** Calls `run` after that many milliseconds; the result takes it back. */
  after(milliseconds: number, run: () => void): () => void
}

/** `performance.now` counts from the start of the process, and is read several times as fast as `hrtime`. */
const origin = Number(process.hrtime.bigint()) / 1e6 - performance.now()

export const systemClock: Clock = {
  now: () => origin + performance.now(),
  after(milliseconds, run) {
    // A longer wait would overflow the timer and run at once.
    const timer = setTimeout(run, Math.min(milliseconds, 2 ** 31 - 1))
    return () => clearTimeout(timer)
  }
}
