/** Asks a chat provider: places, attempts, time limits, one re-ask; a failure is a result, not an exception. */
import { Attempt, type AttemptSettings } from './attempt.js'
import { BudgetSpent, type Held } from './budget.js'
import { answerFrom, leastMass, spreadAt } from './distribution.js'
import { parseReply } from './parse.js'
import type { Performed, Performer, Watch } from './performer.js'
import type { Provider, ProviderReply } from './providers/provider.js'
import { schemaOf, type Answers, type Question } from './question.js'
import { backOff, type Failure } from './retry.js'
import { charactersOf } from './schedule/estimate.js'
import type { Place } from './schedule/place.js'
import type { Priority } from './schedule/queue.js'
import type { KeyLimits } from './schedule/keyRates.js'
import { NotSent, type Scheduler } from './schedule/scheduler.js'
import { schedulerOf } from './schedule/schedulers.js'
import { CallSignal, callSignalOf } from './signal.js'
import { CallCounters } from './telemetryCounters.js'
import type { JudgeMessage, UnscoredReason, Usage, VerdictFlag } from './types.js'

export interface ChatSettings extends AttemptSettings {
  concurrency: number
  priority: Priority
  /** Whether another judge is asked where this one's server does not answer. */
  fallback: boolean
  deadline: number
  attempts: number
  temperature: number
  maxTokens: number
  seed: number
  logProbs: 'auto' | 'never'
}

/** Why a verdict ends without an answer. */
class Stop extends Error {
  constructor(
    readonly reason: UnscoredReason,
    detail: string
  ) {
    super(detail)
  }
}

export class ChatPerformer implements Performer {
  readonly identity: Record<string, unknown>
  readonly reserves = true
  private readonly caller: Caller
  private readonly leave: () => void

  constructor(
    provider: Provider,
    settings: ChatSettings,
    /** What else the answers depend on. */
    where: { baseURL: string | undefined; extraBody?: Record<string, unknown> },
    limits: KeyLimits = {}
  ) {
    const { model, temperature, maxTokens, seed, logProbs } = settings
    const scheduler = schedulerOf(provider.limitKey)
    this.leave = scheduler.join(limits)
    this.caller = { provider, settings, scheduler, counters: new CallCounters(provider.name, model) }
    this.identity = { provider: provider.name, ...where, model, temperature, maxTokens, seed, logProbs }
  }

  async perform(question: Question, signal: AbortSignal | undefined, watch: Watch): Promise<Performed> {
    return new Conversation(this.caller, question, signal, watch).run()
  }

  async close(): Promise<void> {
    this.leave()
    await this.caller.provider.close?.()
  }
}

/** What all verdicts of a judge have in common. */
interface Caller {
  provider: Provider
  settings: ChatSettings
  scheduler: Scheduler
  counters: CallCounters
}

/** How often a question is asked from the start, each time with the next seed. */
const mostRounds = 3

/** One verdict's calls. */
class Conversation {
  private readonly settings: ChatSettings
  private readonly signal: CallSignal
  private timer: NodeJS.Timeout | undefined
  private startedAt: number | undefined
  private runningSince: number | undefined
  /** Milliseconds of the deadline that are used up. */
  private spent = 0
  private attempts = 0
  private lastFailure: Failure | undefined
  /** Gives the place of the last reply back. */
  private release: () => void = () => undefined
  private readonly usage: Usage = { inputTokens: 0, outputTokens: 0 }
  private readonly flags = new Set<VerdictFlag>()
  private readonly replies: string[] = []

  constructor(
    private readonly caller: Caller,
    private readonly question: Question,
    private readonly callerSignal: AbortSignal | undefined,
    private readonly watch: Watch
  ) {
    this.settings = caller.settings
    this.signal = new CallSignal(callerSignal && callSignalOf(callerSignal))
    if (question.injected) this.flags.add('injected')
  }

  async run(): Promise<Performed> {
    try {
      return this.result(await this.converse())
    } catch (error) {
      if (error instanceof Stop) return this.result({ reason: error.reason, detail: error.message })
      this.release()
      throw error
    } finally {
      clearTimeout(this.timer)
      this.signal.detach()
    }
  }

  private result(outcome: Pick<Performed, 'answers' | 'reason' | 'detail' | 'rationale'>): Performed {
    return {
      ...outcome,
      ...(this.replies.length > 0 ? { reply: this.replies.join('\n---\n') } : {}),
      usage: this.usage,
      latency: this.startedAt === undefined ? 0 : Math.round(performance.now() - this.startedAt),
      attempts: this.attempts,
      flags: [...this.flags],
      release: this.release
    }
  }

  /** Asks, and asks afresh where a reply is of no use, while attempts are left: a bad reply is often bad luck. */
  private async converse(): Promise<Pick<Performed, 'answers' | 'rationale'>> {
    let { maxTokens } = this.settings
    for (let round = 0; ; round++) {
      const outcome = await this.round(round, maxTokens)
      if (!(outcome instanceof Stop)) return outcome
      if (round + 1 >= mostRounds || this.replies.length >= this.settings.attempts) throw outcome
      if (outcome.reason === 'truncated') maxTokens *= 2
      // What is said of the verdict is how it came about, and it comes about anew.
      this.flags.delete('refused')
      this.flags.delete('truncated')
      this.flags.add('reasked')
    }
  }

  /** One question, and where its answer cannot be used, one more that shows why. */
  private async round(round: number, maxTokens: number): Promise<Pick<Performed, 'answers' | 'rationale'> | Stop> {
    const messages: JudgeMessage[] = [...this.question.messages]
    for (let ask = 0; ; ask++) {
      const reply = await this.call(messages, { maxTokens, seed: this.settings.seed + round })
      this.replies.push(reply.text)
      if (reply.finishReason === 'refusal') {
        this.flags.add('refused')
        return new Stop('refusal', reply.refusal ?? (reply.text.slice(0, 300) || 'the judge refused'))
      }
      if (reply.answers) return { answers: reply.answers }
      const parsed = parseReply(
        reply.text,
        this.question.fields,
        reply.finishReason === 'length',
        this.question.untrusted
      )
      if (reply.finishReason === 'length') this.flags.add('truncated')
      if (parsed.ok) {
        if (parsed.repaired) this.flags.add('repaired')
        return {
          answers: this.expectations(parsed.answers, reply),
          ...(parsed.rationale === undefined ? {} : { rationale: parsed.rationale })
        }
      }
      if (reply.finishReason === 'length') {
        return new Stop('truncated', `the reply was cut after ${maxTokens} tokens; raise maxTokens`)
      }
      if (ask > 0 && this.question.partial && Object.keys(parsed.answers ?? {}).length > 0) {
        return { answers: this.expectations(parsed.answers!, reply) }
      }
      if (ask > 0 || this.replies.length >= this.settings.attempts) {
        return new Stop(parsed.reason, `${parsed.error} Reply: ${reply.text.slice(0, 200)}`)
      }
      this.flags.add('reasked')
      messages.push(
        { role: 'assistant', content: reply.text.slice(0, 2000) || '(empty)' },
        {
          role: 'user',
          content:
            `That reply could not be used. ${parsed.error} Answer again with one JSON object with the ` +
            `keys ${Object.keys(schemaOf(this.question.fields, this.question.reasoning).properties as object).join(', ')} and nothing else.`
        }
      )
    }
  }

  /** Replaces written values by expectations where the reply's tokens allow it. */
  private expectations(answers: Answers, reply: ProviderReply): Answers {
    if (!reply.tokens || this.settings.logProbs === 'never') return answers
    const text = reply.tokens.map(({ token }) => token).join('')
    const result: Answers = {}
    for (const field of this.question.fields) {
      const written = answers[field.name] as Answers[string] | undefined
      if (!written) continue
      const spread = spreadAt(field, text, reply.tokens, written.value)
      if (!spread) result[field.name] = written
      else if (spread.mass >= leastMass) result[field.name] = answerFrom(field, spread)
      else {
        this.flags.add('low_mass')
        result[field.name] = { ...written, mass: spread.mass }
      }
    }
    return result
  }

  /** One reply, after as many attempts as are allowed. */
  private async call(
    messages: JudgeMessage[],
    { maxTokens, seed }: { maxTokens: number; seed: number }
  ): Promise<ProviderReply> {
    const { provider, scheduler, counters, settings } = this.caller
    const { temperature, logProbs } = settings
    const { fields, reasoning, constant, material, json } = this.question
    const request = {
      messages,
      // A question that is asked again is longer.
      ...(json !== undefined && messages.length === this.question.messages.length ? { json } : {}),
      ...(constant ? { constant } : {}),
      fields,
      ...(material ? { material } : {}),
      schema: schemaOf(fields, reasoning),
      logProbs: logProbs === 'auto',
      maxTokens,
      temperature,
      seed
    }
    const characters = charactersOf(messages)
    const { estimate } = scheduler.model(settings.model)
    let counted = 0
    for (let attempt = 1; ; attempt++) {
      const ask = {
        limit: settings.concurrency,
        priority: settings.priority,
        retry: this.attempts > 0,
        tokens: estimate.tokens(characters, maxTokens),
        patience: this.remaining(),
        waits: !settings.fallback,
        signal: this.signal
      }
      const place = await this.place(ask)
      // A second call for a slow one costs the same again.
      const calls = settings.hedge > 0 ? 2 : 1
      const most = { inputTokens: calls * estimate.input(characters), outputTokens: calls * maxTokens }
      const held = await this.hold(place, most)
      this.begin()
      this.attempts++
      this.watch.called()
      if (place.start.limited) this.watch.limited()
      counters.started(place.start.waited, place.start.limited)
      const outcome = await new Attempt(provider, scheduler, settings, counters, this.watch).run(request, ask, place)
      this.release = () => outcome.place.release()
      if (outcome.hedged) this.flags.add('hedged')
      if ('reply' in outcome) {
        const { usage } = outcome.reply
        estimate.learn(characters, usage)
        // What the slower call did cost nobody tells.
        const paid = {
          inputTokens: usage.inputTokens * (outcome.hedged ? 2 : 1),
          outputTokens: usage.outputTokens + (outcome.hedged ? estimate.outputTokens : 0)
        }
        held?.settle(paid)
        this.usage.inputTokens += paid.inputTokens
        this.usage.outputTokens += paid.outputTokens
        return outcome.reply
      }
      // What a call cost that was given up nobody tells: it stays paid at its estimate.
      const givenUp = this.signal.aborted || outcome.failure.reason === 'timeout'
      held?.settle(givenUp ? most : { inputTokens: 0, outputTokens: 0 })
      this.release()
      if (this.signal.aborted) throw this.stopped()
      const failure = outcome.failure
      this.lastFailure = failure
      if (failure.kind === 'fatal') throw new Stop(failure.reason, failure.detail)
      if (failure.kind === 'retry' && ++counted >= settings.attempts) {
        throw new Stop(failure.reason, `${failure.detail} (${counted} attempts)`)
      }
      const wait = backOff(failure, attempt)
      if (wait >= this.remaining()) throw new Stop(failure.reason, this.overdue(failure.detail))
      this.watch.retried()
      await sleep(wait, this.signal).catch(() => {
        throw this.stopped()
      })
    }
  }

  private async place(ask: Parameters<Scheduler['acquire']>[0]): Promise<Place> {
    this.release()
    // Where the server cannot be reached, waiting for it is this verdict's own back-off.
    if (this.lastFailure?.kind !== 'connection') this.pause()
    try {
      return await this.caller.scheduler.acquire(ask)
    } catch (error) {
      if (!(error instanceof NotSent)) throw this.stopped()
      const last = this.lastFailure ? `${this.lastFailure.detail}; ` : ''
      throw new Stop(error.reason, last + error.message)
    }
  }

  /** Room in the budgets, where there are some; the place is given back where there is none. */
  private async hold(place: Place, most: Usage): Promise<Held | undefined> {
    try {
      return await this.watch.reserve?.(most, this.signal.abortSignal)
    } catch (error) {
      place.release()
      if (error instanceof BudgetSpent) throw new Stop('budget', error.message)
      throw this.signal.aborted ? this.stopped() : error
    }
  }

  private begin(): void {
    if (this.runningSince !== undefined) return
    const now = performance.now()
    if (this.startedAt === undefined) {
      this.startedAt = now
      this.watch.started()
    }
    this.runningSince = now
    this.timer = setTimeout(() => this.signal.abort(new Error('deadline')), this.settings.deadline - this.spent)
  }

  /** The deadline's clock stands while a verdict waits for a place: the queue after an outage must cost no verdicts. */
  private pause(): void {
    clearTimeout(this.timer)
    if (this.runningSince !== undefined) this.spent += performance.now() - this.runningSince
    this.runningSince = undefined
  }

  private remaining(): number {
    const running = this.runningSince === undefined ? 0 : performance.now() - this.runningSince
    return this.settings.deadline - this.spent - running
  }

  private stopped(): Stop {
    if (this.callerSignal?.aborted) return new Stop('cancelled', 'the run was cancelled')
    return new Stop(this.lastFailure?.reason ?? 'timeout', this.overdue(this.lastFailure?.detail ?? 'no reply'))
  }

  private overdue(detail: string): string {
    return `${detail} (deadline of ${this.settings.deadline} ms, ${this.attempts} attempts)`
  }
}

function sleep(milliseconds: number, signal: CallSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason as Error)
    const abort = (): void => {
      clearTimeout(timer)
      reject(signal.reason as Error)
    }
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', abort)
      resolve()
    }, milliseconds)
    signal.addEventListener('abort', abort)
  })
}
