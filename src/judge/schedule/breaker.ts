/** Stops asking a server that cannot be reached: after some failures in a row only a probe goes through, ever more rarely. */

const failuresToOpen = 5
/** Milliseconds. */
const firstPause = 500
const longestPause = 10_000

export type BreakerState = 'closed' | 'open' | 'half-open'

export class Breaker {
  private failures = 0
  private pause = firstPause
  private until = 0
  private probing = false
  private downSince: number | undefined
  private current: 'closed' | 'open' = 'closed'

  state(now: number): BreakerState {
    return this.current === 'closed' ? 'closed' : now >= this.until ? 'half-open' : 'open'
  }

  /** Milliseconds until a call may go; 0 = now, Infinity = when the probe that is under way has ended. */
  wait(now: number): number {
    if (this.current === 'closed') return 0
    return this.probing ? Infinity : Math.max(0, this.until - now)
  }

  /** Milliseconds for which nothing but failures has come back; 0 where the server answers. */
  downFor(now: number): number {
    return this.current === 'closed' || this.downSince === undefined ? 0 : now - this.downSince
  }

  /** A call is sent; true where it is the probe. */
  sent(): boolean {
    if (this.current === 'closed') return false
    return (this.probing = true)
  }

  /** The server answered, whatever it said. Returns true where the breaker was open until now. */
  answered(): boolean {
    const opened = this.current === 'open'
    this.current = 'closed'
    this.failures = 0
    this.pause = firstPause
    this.probing = false
    this.downSince = undefined
    return opened
  }

  /** A connection-type failure. Returns true where it opens a closed breaker. */
  failed(now: number, probe: boolean): boolean {
    this.downSince ??= now
    if (this.current === 'open') {
      if (!probe) return false
      this.probing = false
      this.pause = Math.min(longestPause, this.pause * 2)
      this.until = now + this.pause
      return false
    }
    if (++this.failures < failuresToOpen) return false
    this.current = 'open'
    this.until = now + this.pause
    return true
  }

  /** The probe ended without telling anything (it was cancelled). */
  abandoned(probe: boolean): void {
    if (probe) this.probing = false
  }
}
