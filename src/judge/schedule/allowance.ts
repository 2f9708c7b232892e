/** Follows one limit of the server from one reply to the next: what is left now, and when a call will fit. */
import type { Allowance } from './headers.js'

/** Milliseconds that a limit is taken to need where the server does not say. */
const unknownReset = 1000

export class AllowanceWatch {
  private remaining = 0
  private limit = 0
  /** Comes back per millisecond. */
  private rate = 0
  private at = 0
  /** By then all is back; a server that stopped telling must not hold anything longer. */
  private until = 0
  private sequence = 0
  /** Taken by calls that the last reply could not know of. */
  private taken = 0

  /** A reply to call number `sequence`. Replies overtake one another: only the newest call's counts. */
  read(allowance: Allowance, sequence: number, now: number, takenSince: number): void {
    if (sequence < this.sequence) return
    this.sequence = sequence
    const { remaining, limit = Math.max(1, remaining), reset = unknownReset } = allowance
    this.remaining = remaining
    this.limit = Math.max(limit, remaining)
    this.rate = reset > 0 ? (this.limit - remaining) / reset : Infinity
    this.at = now
    this.until = now + Math.max(reset, unknownReset)
    this.taken = takenSince
  }

  /** Milliseconds until `cost` fits; 0 = now. */
  wait(cost: number, now: number): number {
    if (now >= this.until) return 0
    const back = now > this.at && this.rate > 0 ? (now - this.at) * this.rate : 0
    const left = Math.min(this.limit, this.remaining + back) - this.taken
    const missing = Math.min(cost, this.limit) - left
    if (missing <= 0) return 0
    const wait = this.rate > 0 ? missing / this.rate : Infinity
    return Math.max(1, Math.min(wait, this.until - now))
  }

  take(cost: number): void {
    this.taken += cost
  }
}
