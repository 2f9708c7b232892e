/** The counters of one judge's model, looked up once. */
import { telemetry, type Counter, type Labels } from './telemetry.js'
import type { UnscoredReason, Verdict } from './types.js'

type Outcome = 'ok' | UnscoredReason

/** Counters that differ in their `reason` only. */
function byReason<Reason extends string>(name: string, help: string, labels: Labels): (reason: Reason) => Counter {
  const known = new Map<Reason, Counter>()
  return (reason) => {
    let counter = known.get(reason)
    if (!counter) known.set(reason, (counter = telemetry.counter(name, help, { ...labels, reason })))
    return counter
  }
}

/** Single calls. */
export class CallCounters {
  private readonly attempts: (reason: Outcome) => Counter
  private readonly queue
  private readonly latency
  private readonly hedges: Counter
  private readonly waited: Counter

  constructor(
    private readonly provider: string,
    private readonly model: string
  ) {
    const labels = { provider, model }
    this.attempts = byReason('adjudge_judge_attempts_total', 'Calls by how they ended', labels)
    this.queue = telemetry.histogram('adjudge_judge_queue_seconds', 'Wait of a call for its place', labels)
    this.latency = telemetry.histogram('adjudge_judge_attempt_seconds', 'Duration of a call', labels)
    this.hedges = telemetry.counter('adjudge_judge_hedged_total', 'Second calls for slow ones', labels)
    this.waited = telemetry.counter(
      'adjudge_judge_limited_total',
      'Calls that waited for a rate limit or a pause',
      labels
    )
  }

  ended(outcome: Outcome, milliseconds: number): void {
    this.attempts(outcome).add()
    this.latency.observe(milliseconds / 1000)
    telemetry.emit('attempt', () => ({ provider: this.provider, model: this.model, outcome, milliseconds }))
  }

  hedged(afterMilliseconds: number): void {
    this.hedges.add()
    telemetry.emit('hedge', () => ({ provider: this.provider, model: this.model, afterMilliseconds }))
  }

  /** A call got its place after that many milliseconds. */
  started(waited: number, limited: boolean): void {
    this.queue.observe(waited / 1000)
    if (limited) this.waited.add()
  }
}

/** Whole verdicts. */
export class VerdictCounters {
  private readonly verdicts: (reason: 'scored' | 'cached' | UnscoredReason) => Counter
  private readonly latency
  private readonly input: Counter
  private readonly output: Counter
  private readonly dollars: Counter

  constructor(
    private readonly judge: string,
    provider: string,
    model: string
  ) {
    const labels = { provider, model }
    this.verdicts = byReason('adjudge_judge_verdicts_total', 'Verdicts, and why they are unscored', labels)
    this.latency = telemetry.histogram('adjudge_judge_verdict_seconds', 'First attempt to verdict', labels)
    this.input = telemetry.counter('adjudge_judge_input_tokens_total', 'Tokens of prompts', labels)
    this.output = telemetry.counter('adjudge_judge_output_tokens_total', 'Tokens of replies', labels)
    this.dollars = telemetry.counter('adjudge_judge_cost_dollars_total', 'Cost of calls with a known price', labels)
  }

  /** `cached`: it was there before. */
  count(verdict: Verdict, cached: boolean): void {
    this.verdicts(verdict.reason ?? (cached ? 'cached' : 'scored')).add()
    if (!cached) {
      this.latency.observe(verdict.latency / 1000)
      this.input.add(verdict.usage.inputTokens)
      this.output.add(verdict.usage.outputTokens)
      this.dollars.add(verdict.cost ?? 0)
    }
    telemetry.emit('verdict', () => ({
      judge: this.judge,
      score: verdict.score,
      ...(verdict.reason === undefined ? {} : { reason: verdict.reason }),
      usage: verdict.usage,
      cost: verdict.cost,
      latency: verdict.latency,
      cached
    }))
  }
}
