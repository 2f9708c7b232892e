/**
 * What a key has used of its requests and tokens per minute, as one block of numbers, so that several processes can
 * keep it in a common file. Two rules hold at once: a continuously refilled bucket spreads the calls over the minute
 * (it holds 1 % of it, or the one call that is due), and the sum over a sliding minute, counted in quarters of a
 * second, never exceeds the limit.
 */

/** Milliseconds. */
const minute = 60_000
const slotLength = 250
/** One more than a minute has: the oldest counts until all of it is over. */
const slots = minute / slotLength + 1
const kinds = 2

/** Layout: version, time of the last refill, end of the pause, the slot of the last refill, two levels, the slots. */
const at = { version: 0, refilled: 1, pausedUntil: 2, slot: 3, levels: 4, used: 4 + kinds }
const version = 1

/** Requests and tokens of a minute; Infinity = unlimited. */
export type Limits = readonly [requests: number, tokens: number]
export type Cost = readonly [requests: number, tokens: number]

export class Rates {
  static readonly length = at.used + kinds * slots
  readonly numbers: Float64Array

  /** `numbers`: what another process wrote; a block of an unknown kind, or of a time before the machine's last start, counts for nothing. */
  constructor(now: number, numbers?: Float64Array) {
    this.numbers = new Float64Array(Rates.length)
    const known = numbers?.length === Rates.length && numbers[at.version] === version
    if (known && numbers[at.refilled]! <= now + 1000) this.numbers.set(numbers)
    else {
      this.numbers[at.version] = version
      this.numbers[at.refilled] = now
      this.numbers[at.slot] = Math.floor(now / slotLength)
      // Full: the first call need not wait.
      this.numbers.fill(Infinity, at.levels, at.levels + kinds)
    }
  }

  get pausedUntil(): number {
    return this.numbers[at.pausedUntil]!
  }

  pause(until: number): void {
    this.numbers[at.pausedUntil] = Math.max(this.pausedUntil, until)
  }

  /** Takes the cost of a call that starts now and returns 0, or takes nothing and returns the milliseconds to wait. */
  take(now: number, cost: Cost, limits: Limits): number {
    if (limits[0] === Infinity && limits[1] === Infinity) return 0
    this.refill(now, cost, limits)
    let wait = 0
    for (let kind = 0; kind < kinds; kind++) {
      const limit = limits[kind]!
      if (limit === Infinity) continue
      const wanted = Math.min(cost[kind]!, limit)
      const missing = wanted - this.numbers[at.levels + kind]!
      if (missing > 1e-9) wait = Math.max(wait, (missing * minute) / limit)
      wait = Math.max(wait, this.untilRoom(now, kind, wanted, limit))
    }
    if (wait > 0) return wait
    for (let kind = 0; kind < kinds; kind++) this.add(now, kind, cost[kind]!)
    return 0
  }

  /** Puts right what a call that started at `started` was taken to cost. */
  settle(started: number, now: number, kind: 0 | 1, difference: number): void {
    this.advance(now)
    this.numbers[at.levels + kind]! -= difference
    if (now - started < minute) this.numbers[this.place(kind, Math.floor(started / slotLength))]! += difference
  }

  private refill(now: number, cost: Cost, limits: Limits): void {
    this.advance(now)
    const passed = Math.max(0, now - this.numbers[at.refilled]!)
    this.numbers[at.refilled] = now
    for (let kind = 0; kind < kinds; kind++) {
      const limit = limits[kind]!
      const room = Math.max(limit / 100, Math.min(cost[kind]!, limit), kind === 0 ? 1 : 0)
      const level = this.numbers[at.levels + kind]! + (passed * limit) / minute
      this.numbers[at.levels + kind] = limit === Infinity ? 0 : Math.min(room, level)
    }
  }

  /** Empties the slots that a minute has gone by since. */
  private advance(now: number): void {
    const slot = Math.floor(now / slotLength)
    const last = this.numbers[at.slot]!
    for (let next = Math.max(last + 1, slot - slots + 1); next <= slot; next++) {
      for (let kind = 0; kind < kinds; kind++) this.numbers[this.place(kind, next)] = 0
    }
    this.numbers[at.slot] = Math.max(last, slot)
  }

  /** Milliseconds until the sliding minute has room; 0 = now. */
  private untilRoom(now: number, kind: number, wanted: number, limit: number): number {
    const slot = this.numbers[at.slot]!
    let used = 0
    for (let index = 0; index < slots; index++) used += this.numbers[at.used + kind * slots + index]!
    for (let oldest = slot - slots + 1; used + wanted > limit + 1e-9 && oldest <= slot; oldest++) {
      used -= this.numbers[this.place(kind, oldest)]!
      if (used + wanted <= limit + 1e-9) return Math.max(1, (oldest + slots) * slotLength - now)
    }
    return 0
  }

  private add(now: number, kind: number, amount: number): void {
    this.numbers[at.levels + kind]! -= amount
    this.numbers[this.place(kind, Math.floor(now / slotLength))]! += amount
  }

  private place(kind: number, slot: number): number {
    return at.used + kind * slots + (slot % slots)
  }
}
