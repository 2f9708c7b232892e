/** Decides when a call may go. */
import type { ReplyHeaders } from '../providers/provider.js'
import type { Failure } from '../retry.js'
import type { Abortable } from '../signal.js'
import { telemetry } from '../telemetry.js'
import type { UnscoredReason, Usage } from '../types.js'
import { AllowanceWatch } from './allowance.js'
import { Breaker, type BreakerState } from './breaker.js'
import { systemClock, type Clock } from './clock.js'
import { AdaptiveConcurrency } from './concurrency.js'
import { TokenEstimate } from './estimate.js'
import { allowancesOf } from './headers.js'
import { KeyRates, type KeyLimits } from './keyRates.js'
import { Place, type PlaceOwner } from './place.js'
import { WaitingQueue, type Waiting } from './queue.js'
import type { Rates } from './rates.js'
import { SlowTail } from './tail.js'

/** A call that wants to go. */
export interface Ask extends Omit<Waiting, 'gone' | 'order'> {
  /** What it will take of the tokens per minute. */
  tokens: number
  /** Milliseconds: a pause that the server asks for and that is longer than this ends the call instead. */
  patience: number
  /** Whether it waits where the server does not answer; otherwise it ends at once (there is somebody else to ask). */
  waits: boolean
  signal: Abortable
}

/** Why a call did not get to go. */
export class NotSent extends Error {
  constructor(
    readonly reason: UnscoredReason,
    detail: string
  ) {
    super(detail)
  }
}

/** A server that has been down this many times as long as a verdict may take is not waited for any more. */
const outagePatience = 5
/** Milliseconds, below what the bucket of a limit holds. */
const sharedDelay = 100
const overloadStatus = new Set([429, 503, 529])

interface Entry extends Ask {
  resolve(place: Place): void
  reject(error: Error): void
  order?: number
  gone?: boolean
  since: number
}

export class Scheduler implements PlaceOwner {
  private readonly queue = new WaitingQueue<Entry>()
  private readonly concurrency = new AdaptiveConcurrency()
  private readonly breaker = new Breaker()
  private readonly requests = new AllowanceWatch()
  private readonly tokens = new AllowanceWatch()
  private readonly models = new Map<string, { estimate: TokenEstimate; tail: SlowTail }>()
  private readonly rates: KeyRates
  /** Places given out, and those of them whose call is at the server. */
  private active = 0
  private calling = 0
  private sequence = 0
  private reserved = 0
  private pausedUntil = 0
  private cancelTimer: (() => void) | undefined
  private timerAt = Infinity
  private pumping = false
  /** When a call last had to wait for a rate limit or a pause. */
  private limitedAt = -Infinity

  constructor(
    readonly key: string,
    private readonly clock: Clock = systemClock
  ) {
    this.rates = new KeyRates(key, clock)
  }

  /** A judge that uses the key from now on; the result takes it off again. */
  join(limits: KeyLimits): () => void {
    return this.rates.join(limits)
  }

  /** What is known of a model's calls. */
  model(name: string): { estimate: TokenEstimate; tail: SlowTail } {
    let model = this.models.get(name)
    if (!model) this.models.set(name, (model = { estimate: new TokenEstimate(), tail: new SlowTail() }))
    return model
  }

  /** Waits for a place. Rejects with the signal's reason, or with NotSent. */
  acquire(ask: Ask): Place | Promise<Place> {
    if (ask.signal.aborted) throw ask.signal.reason as Error
    const now = this.clock.now()
    const refusal = this.refusal(ask, now)
    if (refusal) throw refusal
    if (this.queue.length === 0) {
      const place = this.tryAcquire(ask)
      if (place) return place
    }
    return new Promise<Place>((resolve, reject) => {
      const abort = (): void => {
        if (entry.gone) return
        this.queue.remove(entry)
        reject(ask.signal.reason as Error)
      }
      const left = (): void => ask.signal.removeEventListener('abort', abort)
      const entry: Entry = {
        ...ask,
        since: now,
        resolve: (place) => (left(), resolve(place)),
        reject: (error) => (left(), reject(error))
      }
      ask.signal.addEventListener('abort', abort, { once: true })
      this.queue.push(entry)
      // Where a rate limit holds those ahead, its timer comes: no need to look again for each newcomer.
      if (this.timerAt === Infinity) this.pump()
    })
  }

  /** A place, where one is free this moment and nobody waits for it. */
  private tryAcquire(ask: Ask): Place | undefined {
    if (this.queue.length > 0 || !this.room(ask.limit)) return undefined
    const now = this.clock.now()
    return this.rates.use(now, (rates) => (this.wait(ask, rates, now) > 0 ? undefined : this.start(ask, now, 0, false)))
  }

  get state(): {
    queued: number
    inFlight: number
    limit: number
    limited: boolean
    breaker: BreakerState
  } {
    const now = this.clock.now()
    return {
      queued: this.queue.length,
      inFlight: this.active,
      limit: this.concurrency.limit,
      limited: this.queue.length > 0 && this.timerAt !== Infinity,
      breaker: this.breaker.state(now)
    }
  }

  answered(place: Place, usage: Usage, headers: ReplyHeaders | undefined): void {
    this.calling--
    this.concurrency.succeeded(place.start)
    this.read(place, headers)
    this.rates.settle(place.start.startedAt, usage.inputTokens + usage.outputTokens - place.start.tokens)
    this.alive()
    this.pump()
  }

  failed(place: Place, failure: Failure): void {
    this.calling--
    const now = this.clock.now()
    const { status, kind, retryAfter } = failure
    if (status !== undefined && overloadStatus.has(status) && kind !== 'fatal') {
      this.concurrency.overloaded(place.start, this.sequence, this.calling)
      // Then it is the key that has to wait, not this call alone.
      if (status === 429 && retryAfter !== undefined) this.pause(now + retryAfter)
    }
    this.read(place, failure.headers)
    // A request that was turned away is counted by servers, its tokens are not. What broke off may have been answered.
    if (status !== undefined && status !== 408 && status !== 504)
      this.rates.settle(place.start.startedAt, -place.start.tokens)
    if (kind === 'connection' || (place.start.probe && failure.reason === 'timeout')) this.down(now, place.start.probe)
    else if (failure.reason !== 'timeout') this.alive()
    this.pump()
  }

  abandoned(place: Place): void {
    this.calling--
    this.breaker.abandoned(place.start.probe)
  }

  released(): void {
    this.active--
    this.pump()
  }

  private room(limit: number): boolean {
    return this.active < limit && this.calling < this.concurrency.limit
  }

  /** Starts what may start. */
  private pump(): void {
    if (this.pumping || this.queue.length === 0) return
    this.pumping = true
    try {
      const now = this.clock.now()
      if (this.candidate(now)) this.rates.use(now, (rates) => this.startWaiting(rates, now))
    } finally {
      this.pumping = false
    }
  }

  private startWaiting(rates: Rates, now: number): void {
    for (let entry = this.candidate(now); entry; entry = this.candidate(now)) {
      const wait = this.wait(entry, rates, now)
      if (wait > 0) {
        this.limitedAt = now
        // Processes that share a key would all look at the same time, and the same one would always be first.
        this.wake(this.rates.shared ? wait + Math.random() * sharedDelay : wait, now)
        return
      }
      this.queue.start(entry)
      entry.resolve(this.start(entry, now, now - entry.since, this.limitedAt >= entry.since))
    }
  }

  /** The next call for which there is a place. Those ahead of it that need not wait any longer are told so. */
  private candidate(now: number): Entry | undefined {
    for (;;) {
      if (this.calling >= this.concurrency.limit) return undefined
      const entry = this.queue.next(this.active)
      if (!entry) return undefined
      const refusal = this.refusal(entry, now)
      if (!refusal) return entry
      this.queue.start(entry)
      entry.gone = true
      entry.reject(refusal)
    }
  }

  private start(ask: Ask, now: number, waited: number, limited: boolean): Place {
    this.active++
    this.calling++
    this.sequence++
    this.requests.take(1)
    this.tokens.take(ask.tokens)
    const reservedBefore = (this.reserved += ask.tokens)
    return new Place(this, {
      startedAt: now,
      sequence: this.sequence,
      inFlight: this.calling,
      tokens: ask.tokens,
      reservedBefore,
      probe: this.breaker.sent(),
      waited,
      limited
    })
  }

  /** Milliseconds until a call may go; takes its cost where that is now. */
  private wait(ask: Ask, rates: Rates, now: number): number {
    this.pausedUntil = Math.max(this.pausedUntil, rates.pausedUntil)
    const standing = this.standingWait(now, ask)
    return standing > 0 ? standing : rates.take(now, [1, ask.tokens], this.rates.limits)
  }

  private standingWait(now: number, ask: Ask): number {
    return Math.max(
      this.breaker.wait(now),
      this.pausedUntil - now,
      this.requests.wait(1, now),
      this.tokens.wait(ask.tokens, now)
    )
  }

  private refusal(ask: Ask, now: number): NotSent | undefined {
    const pause = this.pausedUntil - now
    if (pause > ask.patience) {
      return new NotSent('rate_limited', `the server asks to wait ${Math.ceil(pause / 1000)} s more`)
    }
    if (this.breaker.state(now) === 'closed') return undefined
    const down = this.breaker.downFor(now)
    if (down > outagePatience * ask.patience) {
      return new NotSent('provider_error', `the server has not answered for ${Math.round(down / 1000)} s`)
    }
    return ask.waits ? undefined : new NotSent('provider_error', 'the server does not answer')
  }

  private pause(until: number): void {
    const now = this.clock.now()
    if (until <= this.pausedUntil) return
    this.pausedUntil = until
    this.rates.use(now, (rates) => rates.pause(until))
    telemetry.emit('pause', () => ({ key: this.key, reason: 'rate_limited', milliseconds: until - now }))
  }

  private down(now: number, probe: boolean): void {
    const opened = this.breaker.failed(now, probe)
    if (!opened && !probe) return
    telemetry.emit('pause', () => ({ key: this.key, reason: 'unreachable', milliseconds: this.breaker.wait(now) }))
    for (const entry of [...this.queue]) {
      const refusal = this.refusal(entry, now)
      if (!refusal) continue
      this.queue.remove(entry)
      entry.reject(refusal)
    }
  }

  private alive(): void {
    if (!this.breaker.answered()) return
    this.concurrency.forget()
    telemetry.emit('resume', () => ({ key: this.key }))
  }

  private read(place: Place, headers: ReplyHeaders | undefined): void {
    if (!headers) return
    const { sequence, reservedBefore } = place.start
    const { requests, tokens } = allowancesOf(headers)
    const now = this.clock.now()
    if (requests) this.requests.read(requests, sequence, now, this.sequence - sequence)
    if (tokens) this.tokens.read(tokens, sequence, now, this.reserved - reservedBefore)
  }

  private wake(wait: number, now: number): void {
    if (wait === Infinity || now + wait >= this.timerAt) return
    this.cancelTimer?.()
    this.timerAt = now + wait
    this.cancelTimer = this.clock.after(Math.max(1, wait), () => {
      this.cancelTimer = undefined
      this.timerAt = Infinity
      this.pump()
    })
  }
}
