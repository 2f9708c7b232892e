/** Asks a chat provider: places, attempts, time limits, one re-ask; a failure is a result, not an exception. */
import { limiterOf } from './limiter.js'
import { answerFrom, leastMass, spreadAt } from './distribution.js'
import { parseReply } from './parse.js'
import type { Performed, Performer, Watch } from './performer.js'
import type { Provider, ProviderReply } from './providers/provider.js'
import { schemaOf, type Answers, type Question } from './question.js'
import { backOff, classify, type Failure } from './retry.js'
import type { JudgeMessage, UnscoredReason, Usage, VerdictFlag } from './types.js'

export interface ChatSettings {
  model: string
  concurrency: number
  timeout: number
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

  constructor(
    private readonly provider: Provider,
    private readonly settings: ChatSettings,
    /** What else the answers depend on. */
    where: { baseURL: string | undefined; extraBody?: Record<string, unknown> }
  ) {
    const { model, temperature, maxTokens, seed, logProbs } = settings
    this.identity = { provider: provider.name, ...where, model, temperature, maxTokens, seed, logProbs }
  }

  async perform(question: Question, signal: AbortSignal | undefined, watch: Watch): Promise<Performed> {
    return new Conversation(this.provider, this.settings, question, signal, watch).run()
  }

  async close(): Promise<void> {
    await this.provider.close?.()
  }
}

/** One verdict's calls. */
class Conversation {
  private readonly deadline = new AbortController()
  private readonly signal: AbortSignal
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
    private readonly provider: Provider,
    private readonly settings: ChatSettings,
    private readonly question: Question,
    private readonly callerSignal: AbortSignal | undefined,
    private readonly watch: Watch
  ) {
    this.signal = callerSignal ? AbortSignal.any([callerSignal, this.deadline.signal]) : this.deadline.signal
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

  private async converse(): Promise<Pick<Performed, 'answers' | 'rationale'>> {
    const messages: JudgeMessage[] = [...this.question.messages]
    for (let ask = 0; ; ask++) {
      const reply = await this.call(messages)
      this.replies.push(reply.text)
      if (reply.finishReason === 'refusal') {
        this.flags.add('refused')
        throw new Stop('refusal', reply.refusal ?? (reply.text.slice(0, 300) || 'the judge refused'))
      }
      if (reply.answers) return { answers: reply.answers }
      const parsed = parseReply(reply.text, this.question.fields, reply.finishReason === 'length')
      if (reply.finishReason === 'length') this.flags.add('truncated')
      if (parsed.ok) {
        if (parsed.repaired) this.flags.add('repaired')
        return {
          answers: this.expectations(parsed.answers, reply),
          ...(parsed.rationale === undefined ? {} : { rationale: parsed.rationale })
        }
      }
      if (reply.finishReason === 'length') {
        throw new Stop('truncated', `the reply was cut after ${this.settings.maxTokens} tokens; raise maxTokens`)
      }
      if (ask > 0) throw new Stop(parsed.reason, `${parsed.error} Reply: ${reply.text.slice(0, 200)}`)
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
      const written = answers[field.name]
      const spread = spreadAt(field, text, reply.tokens)
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
  private async call(messages: JudgeMessage[]): Promise<ProviderReply> {
    const limiter = limiterOf(this.provider.limitKey)
    let counted = 0
    for (let attempt = 1; ; attempt++) {
      let release: () => void
      this.release()
      this.pause()
      try {
        release = await limiter.acquire(this.settings.concurrency, this.attempts === 0, this.signal)
      } catch {
        throw this.stopped()
      }
      this.begin()
      this.attempts++
      this.watch.called()
      const outcome = await this.once(messages)
      if ('reply' in outcome) {
        this.release = release
        return outcome.reply
      }
      release()
      if (this.signal.aborted) throw this.stopped()
      const failure = outcome.failure
      this.lastFailure = failure
      if (failure.kind === 'fatal') throw new Stop(failure.reason, failure.detail)
      if (failure.kind === 'retry' && ++counted >= this.settings.attempts) {
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

  private async once(messages: JudgeMessage[]): Promise<{ reply: ProviderReply } | { failure: Failure }> {
    const { timeout, temperature, maxTokens, seed, logProbs } = this.settings
    const limit = new AbortController()
    let timedOut = false
    const timer = setTimeout(() => {
      timedOut = true
      limit.abort(new Error(`no reply within ${timeout} ms`))
    }, timeout)
    const signal = AbortSignal.any([this.signal, limit.signal])
    // A client that does not heed its signal must not hold the verdict.
    let stop: () => void = () => undefined
    const aborted = new Promise<never>((_, reject) => {
      stop = () => reject(signal.reason as Error)
      signal.addEventListener('abort', stop, { once: true })
    })
    aborted.catch(() => undefined)
    try {
      const call = this.provider.call({
        messages,
        fields: this.question.fields,
        schema: schemaOf(this.question.fields, this.question.reasoning),
        logProbs: logProbs === 'auto',
        maxTokens,
        temperature,
        seed,
        signal
      })
      call.catch(() => undefined)
      const reply = await Promise.race([call, aborted])
      this.usage.inputTokens += reply.usage.inputTokens
      this.usage.outputTokens += reply.usage.outputTokens
      return { reply }
    } catch (error) {
      return { failure: classify(error, timedOut, timeout) }
    } finally {
      clearTimeout(timer)
      signal.removeEventListener('abort', stop)
    }
  }

  private begin(): void {
    const now = performance.now()
    if (this.startedAt === undefined) {
      this.startedAt = now
      this.watch.started()
    }
    this.runningSince = now
    this.timer = setTimeout(() => this.deadline.abort(new Error('deadline')), this.settings.deadline - this.spent)
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

function sleep(milliseconds: number, signal: AbortSignal): Promise<void> {
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
    signal.addEventListener('abort', abort, { once: true })
  })
}
