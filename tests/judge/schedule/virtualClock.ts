import type { Clock } from '../../../src/judge/schedule/clock.js'

/** Time that passes only as far as a test says. */
export class VirtualClock implements Clock {
  private time = 1e6
  private timers: { at: number; order: number; run: () => void }[] = []
  private order = 0

  now(): number {
    return this.time
  }

  after(milliseconds: number, run: () => void): () => void {
    const timer = { at: this.time + milliseconds, order: this.order++, run }
    this.timers.push(timer)
    return () => void (this.timers = this.timers.filter((other) => other !== timer))
  }

  sleep(milliseconds: number): Promise<void> {
    return new Promise((resolve) => this.after(milliseconds, resolve))
  }

  async advance(milliseconds: number): Promise<void> {
    const end = this.time + milliseconds
    await settled()
    for (;;) {
      const next = this.timers.reduce<(typeof this.timers)[number] | undefined>(
        (best, timer) =>
          !best || timer.at < best.at || (timer.at === best.at && timer.order < best.order) ? timer : best,
        undefined
      )
      if (!next || next.at > end) break
      this.timers = this.timers.filter((other) => other !== next)
      this.time = Math.max(this.time, next.at)
      next.run()
      await settled()
    }
    this.time = end
  }
}

/** Lets everything go on that need not wait. */
export async function settled(): Promise<void> {
  for (let round = 0; round < 12; round++) await Promise.resolve()
}

/** Most of `amounts` within any window of that length, which begins at one of `times` (ascending). */
export function mostWithin(times: readonly number[], amounts: readonly number[], window: number): number {
  let [most, sum, end] = [0, 0, 0]
  for (let begin = 0; begin < times.length; begin++) {
    while (end < times.length && times[end]! < times[begin]! + window) sum += amounts[end++]!
    most = Math.max(most, sum)
    sum -= amounts[begin]!
  }
  return most
}
