/** Concurrency limits, one per server and key, shared by all judges of the process. */

interface Waiting {
  limit: number
  run: () => void
}

export class Limiter {
  private active = 0
  private readonly waiting: Waiting[] = []

  /**
   * Waits for a place; retries go before first attempts. Rejects with the signal's reason when aborted.
   * Returns the function that gives the place back.
   */
  async acquire(limit: number, first: boolean, signal: AbortSignal): Promise<() => void> {
    signal.throwIfAborted()
    if (this.active >= limit || this.waiting.length > 0) {
      await new Promise<void>((resolve, reject) => {
        const entry: Waiting = { limit, run: () => (signal.removeEventListener('abort', abort), resolve()) }
        const abort = (): void => {
          const index = this.waiting.indexOf(entry)
          if (index >= 0) this.waiting.splice(index, 1)
          reject(signal.reason as Error)
        }
        signal.addEventListener('abort', abort, { once: true })
        if (first) this.waiting.push(entry)
        else this.waiting.unshift(entry)
        this.next()
      })
    } else this.active++
    let given = false
    return () => {
      if (given) return
      given = true
      this.active--
      this.next()
    }
  }

  /** Starts what may start: judges may have different limits, so the first that fits its own goes. */
  private next(): void {
    for (;;) {
      const index = this.waiting.findIndex((entry) => this.active < entry.limit)
      if (index < 0) return
      const [entry] = this.waiting.splice(index, 1)
      this.active++
      entry.run()
    }
  }
}

const limiters = new Map<string, Limiter>()

export function limiterOf(key: string): Limiter {
  let limiter = limiters.get(key)
  if (!limiter) limiters.set(key, (limiter = new Limiter()))
  return limiter
}
