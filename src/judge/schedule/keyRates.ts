/** The rate limits of a key: the strictest of its judges' hold, kept in this process or with others in a common file. */
import type { Clock } from './clock.js'
import { Rates, type Limits } from './rates.js'
import type { RateStore } from './store.js'

/** What a judge asks of its key. */
export interface KeyLimits {
  requestsPerMinute?: number | undefined
  tokensPerMinute?: number | undefined
  /** Keeps the limits together with other processes. */
  store?: RateStore | undefined
}

/** Milliseconds after which what calls did cost is written to the common file, where no call does it before. */
const settleDelay = 200

export class KeyRates {
  limits: Limits = [Infinity, Infinity]
  private readonly members = new Set<KeyLimits>()
  private readonly own: Rates
  private store: RateStore | undefined
  private settlements: { startedAt: number; difference: number }[] = []

  constructor(
    private readonly key: string,
    private readonly clock: Clock
  ) {
    this.own = new Rates(clock.now())
  }

  /** A judge that uses the key from now on; the result takes it off again. */
  join(limits: KeyLimits): () => void {
    this.members.add(limits)
    this.adopt()
    return () => {
      this.write()
      this.members.delete(limits)
      this.adopt()
    }
  }

  get unlimited(): boolean {
    return this.limits[0] === Infinity && this.limits[1] === Infinity
  }

  get shared(): boolean {
    return this.store !== undefined
  }

  /** Works on the numbers, while no other process can. */
  use<Result>(now: number, work: (rates: Rates) => Result): Result {
    // Nothing is read from a common file where it could change nothing.
    if (this.unlimited) return work(this.own)
    const run = (rates: Rates): Result => {
      for (const { startedAt, difference } of this.settlements) rates.settle(startedAt, now, 1, difference)
      this.settlements = []
      return work(rates)
    }
    return this.store ? this.useShared(this.store, now, run) : run(this.own)
  }

  private useShared<Result>(store: RateStore, now: number, run: (rates: Rates) => Result): Result {
    const results: Result[] = []
    try {
      store.update(this.key, now, (rates) => results.push(run(rates)))
    } catch (error) {
      // A full disk, say. Calls go on, each process with limits of its own.
      this.store = undefined
      process.emitWarning(`${store.path}: rate limits are not shared any more (${(error as Error).message})`)
      if (results.length === 0) results.push(run(this.own))
    }
    return results[0]!
  }

  /** A call that started then took so many tokens more than it was thought to. */
  settle(startedAt: number, difference: number): void {
    if (this.limits[1] === Infinity || difference === 0) return
    this.settlements.push({ startedAt, difference })
    // Otherwise the next call does it on its way.
    if (this.store && this.settlements.length === 1) this.clock.after(settleDelay, () => this.write())
  }

  private write(): void {
    if (this.settlements.length > 0) this.use(this.clock.now(), () => undefined)
  }

  private adopt(): void {
    const least = (value: (limits: KeyLimits) => number | undefined): number =>
      Math.min(...[...this.members].map((limits) => value(limits) ?? Infinity))
    this.limits = [least((limits) => limits.requestsPerMinute), least((limits) => limits.tokensPerMinute)]
    this.store = [...this.members].find(({ store }) => store)?.store
  }
}
