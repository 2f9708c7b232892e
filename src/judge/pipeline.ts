/** Question in, verdict out: ledger, work in flight, combination of the fields, cost, counters. */
import { hash } from 'node:crypto'
import { reserveAll, type Budget } from './budget.js'
import type { Ledger } from './ledger/ledger.js'
import { emptyMetrics } from './metrics.js'
import { notSent } from './modes/merge.js'
import type { Performed, Performer } from './performer.js'
import { costOf, type Price } from './prices.js'
import { messagesJson, schemaOf, type Question } from './question.js'
import { telemetry } from './telemetry.js'
import { VerdictCounters } from './telemetryCounters.js'
import type { JudgeMetrics, UnscoredReason, Usage, Verdict } from './types.js'

export interface PipelineOptions {
  name: string
  model: string
  performer: Performer
  price: Price | null
  /** All of them must have room for a call. */
  budgets?: readonly Budget[]
  ledger?: Ledger
  /** Asked where this one could not be. */
  fallback?: Pipeline
  /** Shared with the pipeline whose fallback this is. */
  metrics?: JudgeMetrics
}

/** What another judge may mend; a refusal or an answer out of range is this judge's verdict. */
const fallbackReasons = new Set<UnscoredReason | undefined>(['provider_error', 'timeout', 'rate_limited'])

interface Answered {
  verdict: Verdict
  /** It was there before, or another caller asked for it. */
  reused: boolean
}

export class Pipeline {
  readonly metrics: JudgeMetrics
  private readonly working: Map<string, Promise<Verdict>>
  private readonly counters: VerdictCounters
  private last: (Pick<Question, 'fields' | 'reasoning' | 'rule'> & { digest: string }) | undefined

  constructor(private readonly options: PipelineOptions) {
    const { name, model, performer } = options
    this.metrics = options.metrics ?? emptyMetrics()
    this.counters = new VerdictCounters(name, String(performer.identity.provider), model)
    this.working = options.ledger?.working ?? new Map<string, Promise<Verdict>>()
  }

  /**
   * One verdict. Identical questions in flight are asked once. Rejects only where the ledger cannot be written:
   * a verdict that is not durable must not be used.
   */
  async ask(question: Question, request: { id?: string; signal?: AbortSignal } = {}): Promise<Verdict> {
    return this.given(await this.answer(question, request), request.id)
  }

  /** As `ask`, for modes that make their verdicts of several answers: these count, the answers do not. */
  async answer(question: Question, request: { signal?: AbortSignal } = {}): Promise<Verdict> {
    const { verdict, reused } = await this.answered(question, request.signal)
    if (!reused || verdict.score === null) return verdict
    return { ...verdict, cost: 0, latency: 0, attempts: 0, flags: [...verdict.flags, 'cached'] }
  }

  /** Counts a verdict that goes out. */
  given(verdict: Verdict, id: string | undefined): Verdict {
    this.metrics.verdicts++
    if (verdict.score === null) this.metrics.unscored++
    else if (verdict.flags.includes('cached')) this.metrics.cached++
    return id === undefined ? verdict : { ...verdict, id }
  }

  async close(): Promise<void> {
    await this.options.performer.close()
  }

  /** The judge's own answer, or the fallback's. */
  private async answered(question: Question, signal: AbortSignal | undefined): Promise<Answered> {
    const { fallback } = this.options
    if (!fallback) return this.own(question, signal)
    // A run that goes on does not pay again for what the fallback answered.
    const own = !this.has(question) && fallback.has(question) ? undefined : await this.own(question, signal)
    if (own && !fallbackReasons.has(own.verdict.reason)) return own
    const { verdict, reused } = await fallback.own(question, signal)
    this.metrics.fallbacks++
    const { name: by } = fallback.options
    const reason = own?.verdict.reason
    if (reason) telemetry.emit('fallback', () => ({ judge: this.options.name, by, reason }))
    return { verdict: { ...verdict, judge: by, flags: [...verdict.flags, 'fallback'] }, reused }
  }

  private has(question: Question): boolean {
    return this.options.ledger?.get(this.keyOf(question)) !== undefined
  }

  private async own(question: Question, signal: AbortSignal | undefined): Promise<Answered> {
    const key = this.keyOf(question)
    const finish = (verdict: Verdict, reused: boolean): Answered => {
      this.counters.count(verdict, reused)
      return { verdict: { ...verdict, key }, reused }
    }
    for (;;) {
      if (signal?.aborted) return finish(cancelled(), false)
      const known = this.options.ledger?.get(key)
      if (known) return finish(known.verdict, true)
      const sibling = this.working.get(key)
      if (!sibling) break
      const verdict = await sibling
      // The other caller gave up; this one did not.
      if (verdict.reason === 'cancelled' && !signal?.aborted) continue
      return finish(verdict, true)
    }
    const work = this.perform(question, key, signal)
    this.working.set(key, work)
    try {
      return finish(await work, false)
    } finally {
      this.working.delete(key)
    }
  }

  private async perform(question: Question, key: string, signal: AbortSignal | undefined): Promise<Verdict> {
    const { metrics } = this
    let started = false
    metrics.queued++
    const start = (): void => {
      if (started) return
      started = true
      metrics.queued--
      metrics.inFlight++
    }
    let performed: Performed | undefined
    const { budgets = [], price, performer } = this.options
    const provider = String(performer.identity.provider)
    try {
      const full = performer.reserves ? undefined : budgets.map((budget) => budget.full(provider)).find(Boolean)
      if (full !== undefined) return notSent('budget', full)
      performed = await performer.perform(question, signal, {
        called: () => metrics.calls++,
        retried: () => metrics.retries++,
        started: start,
        limited: () => metrics.limited++,
        hedged: () => metrics.hedged++,
        ...(budgets.length === 0
          ? {}
          : {
              reserve: (usage: Usage, signal: AbortSignal) => reserveAll(budgets, provider, usage, price, signal)
            })
      })
      const verdict = verdictOf(question, performed, price)
      // Judges in process do not ask: what they cost is known afterwards.
      if (!performer.reserves) for (const budget of budgets) budget.charge(provider, performed.usage, price)
      metrics.inputTokens += verdict.usage.inputTokens
      metrics.outputTokens += verdict.usage.outputTokens
      metrics.cost += verdict.cost ?? 0
      await this.record(key, question, performed, verdict)
      return verdict
    } finally {
      performed?.release?.()
      start()
      metrics.inFlight--
    }
  }

  private async record(key: string, question: Question, performed: Performed, verdict: Verdict): Promise<void> {
    const { ledger, name, model, performer } = this.options
    if (!ledger || (verdict.score === null && performed.attempts === 0)) return
    const record = {
      key,
      at: new Date().toISOString(),
      judge: name,
      model,
      parameters: performer.identity,
      messages: question.messages,
      reply: performed.reply ?? null,
      verdict
    }
    await ledger.append(record, messagesJson(question))
  }

  private keyOf(question: Question): string {
    const choices = this.options.performer.choices ? JSON.stringify(question.choicePrompts ?? null) : ''
    return hash('sha256', `${this.constantPart(question)}\n${messagesJson(question)}\n${choices}`, 'hex')
  }

  /** What the questions of a rubric have in common: judge, fields and rule, hashed once. */
  private constantPart({ fields, reasoning, rule }: Question): string {
    const { last } = this
    if (last?.fields === fields && last.reasoning === reasoning && last.rule === rule) return last.digest
    const identity = this.options.performer.identity
    const content = { format: 2, identity, schema: schemaOf(fields, reasoning), fields, rule }
    const digest = hash('sha256', canonicalJson(content), 'hex')
    this.last = { fields, reasoning, rule, digest }
    return digest
  }
}

/** A pipeline with what must be closed after it. Graders ask their own questions through it. */
export interface Caller {
  name: string
  pipeline: Pipeline
  /** How many inputs of a stream are worth asking about at once, where that is more than usual. */
  window?: number
  close(): Promise<void>
}

function verdictOf(question: Question, performed: Performed, price: Price | null): Verdict {
  const { usage, latency, attempts, flags } = performed
  const common = { usage, cost: costOf(usage, price), latency, attempts, flags }
  const rationale = performed.rationale === undefined ? {} : { rationale: performed.rationale }
  if (!performed.answers) {
    const detail = performed.detail === undefined ? {} : { detail: performed.detail }
    return { score: null, reason: performed.reason ?? 'provider_error', ...detail, ...rationale, ...common }
  }
  return { ...question.combine(performed.answers), ...rationale, ...common }
}

const cancelled = (): Verdict => notSent('cancelled', 'the run was cancelled')

/** JSON with sorted keys: the same content gives the same text. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_, part: unknown) =>
    typeof part === 'object' && part !== null && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)))
      : part
  )
}
