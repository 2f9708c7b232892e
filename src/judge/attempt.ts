/** One attempt at a reply: the call, its time limit, and a second equal call where the first is slow. */
import type { Watch } from './performer.js'
import type { Provider, ProviderReply, ProviderRequest } from './providers/provider.js'
import { classify, type Failure } from './retry.js'
import type { Place } from './schedule/place.js'
import type { Ask, Scheduler } from './schedule/scheduler.js'
import { CallSignal } from './signal.js'
import type { CallCounters } from './telemetryCounters.js'

export interface AttemptSettings {
  model: string
  /** Milliseconds. */
  timeout: number
  /** Most second calls, as a share of all; 0 = none. */
  hedge: number
}

export type Outcome =
  | { reply: ProviderReply; place: Place; /** A second call was sent, and its cost is not known. */ hedged: boolean }
  | { failure: Failure; place: Place; hedged: boolean }

/** A call under way. */
interface Running {
  place: Place
  signal: CallSignal
  result: Promise<{ reply: ProviderReply } | { failure: Failure }>
}

export class Attempt {
  private readonly running: Running[] = []
  private timedOut = false
  private readonly startedAt = performance.now()

  constructor(
    private readonly provider: Provider,
    private readonly scheduler: Scheduler,
    private readonly settings: AttemptSettings,
    private readonly counters: CallCounters,
    private readonly watch: Watch
  ) {}

  /** Never rejects. The place that comes back is still taken; others are given back. */
  async run(request: Unsent, ask: Ask, place: Place): Promise<Outcome> {
    const { timeout, hedge, model } = this.settings
    const { tail } = this.scheduler.model(model)
    tail.sent()
    const limit = setTimeout(() => {
      this.timedOut = true
      for (const { signal } of this.running) signal.abort(new Error(`no reply within ${timeout} ms`))
    }, timeout)
    const first = this.send(request, ask, place)
    let slow: NodeJS.Timeout | undefined
    try {
      if (hedge === 0 || tail.threshold >= timeout) return this.outcome(first, await first.result, false)
      const second = new Promise<Running | undefined>((resolve) => {
        slow = setTimeout(() => resolve(this.hedge(request, ask, first)), tail.threshold)
        void first.result.then(() => resolve(undefined))
      })
      return await this.firstGood(first, second)
    } finally {
      clearTimeout(limit)
      clearTimeout(slow)
    }
  }

  /** The second call, as soon as there is a place; none where the first ends before. */
  private async hedge(request: Unsent, ask: Ask, first: Running): Promise<Running | undefined> {
    const { tail } = this.scheduler.model(this.settings.model)
    if (!tail.allows(this.settings.hedge)) return undefined
    tail.hedges++
    const signal = new CallSignal(ask.signal)
    void first.result.then(() => signal.abort(new Error('the first call has ended')))
    const place = await this.placeFor({ ...ask, retry: true, waits: false, signal })
    if (!place || signal.aborted) {
      place?.release()
      tail.hedges--
      return undefined
    }
    this.watch.hedged()
    this.watch.called()
    this.counters.hedged(performance.now() - this.startedAt)
    return this.send(request, ask, place)
  }

  private async placeFor(ask: Ask): Promise<Place | undefined> {
    try {
      return await this.scheduler.acquire(ask)
    } catch {
      return undefined
    }
  }

  /** The first call's reply or the second's, whichever comes first and is good; a failure only where both fail. */
  private async firstGood(first: Running, second: Promise<Running | undefined>): Promise<Outcome> {
    const other = await second
    if (!other) return this.outcome(first, await first.result, false)
    const ended = await Promise.race([
      first.result.then((result) => [first, result] as const),
      other.result.then((result) => [other, result] as const)
    ])
    let [winner, result] = ended
    let loser = winner === first ? other : first
    if ('failure' in result) {
      const rest = await loser.result
      if ('reply' in rest) [winner, result, loser] = [loser, rest, winner]
    }
    loser.place.release()
    loser.signal.abort(new Error('another call was faster'))
    return this.outcome(winner, result, true)
  }

  private outcome(
    { place }: Running,
    result: { reply: ProviderReply } | { failure: Failure },
    hedged: boolean
  ): Outcome {
    if ('reply' in result) this.scheduler.model(this.settings.model).tail.finished(performance.now() - this.startedAt)
    return { ...result, place, hedged }
  }

  private send(request: Unsent, ask: Ask, place: Place): Running {
    const signal = new CallSignal(ask.signal)
    const running: Running = { place, signal, result: this.call(request, place, signal) }
    this.running.push(running)
    return running
  }

  private async call(
    request: Unsent,
    place: Place,
    signal: CallSignal
  ): Promise<{ reply: ProviderReply } | { failure: Failure }> {
    const startedAt = performance.now()
    try {
      const reply = await this.reply(sent(request, signal), signal)
      place.answered(reply.usage, reply.headers)
      this.counters.ended('ok', performance.now() - startedAt)
      return { reply }
    } catch (error) {
      const failure = classify(error, this.timedOut, this.settings.timeout)
      // One that was given up tells nothing about the server.
      if (!signal.aborted || this.timedOut) {
        place.failed(failure)
        this.counters.ended(failure.reason, performance.now() - startedAt)
      }
      return { failure }
    } finally {
      signal.detach()
    }
  }

  /** A client that does not heed its signal must not hold the verdict. */
  private reply(request: ProviderRequest, signal: CallSignal): Promise<ProviderReply> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason as Error)
      signal.addEventListener('abort', () => reject(signal.reason as Error))
      this.provider.call(request).then(resolve, reject)
    })
  }
}

type Unsent = Omit<ProviderRequest, 'signal' | 'stop'>

/** With an AbortSignal only where it is looked at. */
const sent = (request: Unsent, stop: CallSignal): ProviderRequest => ({
  ...request,
  stop,
  get signal() {
    return stop.abortSignal
  }
})
