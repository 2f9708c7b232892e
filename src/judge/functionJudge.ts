/** A judge that is a function. It is called afresh each time: it costs nothing, and may look at more than its input. */
import { BaseJudge } from './baseJudge.js'
import { runFunction, type JudgeFunction } from './function.js'
import { FunctionThread } from './functionThread.js'
import { emptyMetrics } from './metrics.js'
import { defaults } from './options.js'
import type { JudgeInput, JudgeMetrics, Scale, ScoreOptions, Verdict } from './types.js'

export class FunctionJudge extends BaseJudge {
  readonly metrics: JudgeMetrics = emptyMetrics()

  constructor(
    readonly name: string,
    private readonly judge: JudgeFunction | FunctionThread,
    private readonly timeout = defaults.timeout,
    readonly scale?: Scale
  ) {
    super()
  }

  async scoreOne(input: JudgeInput, options: ScoreOptions = {}): Promise<Verdict> {
    this.metrics.calls++
    this.metrics.inFlight++
    const { judge, timeout } = this
    const verdict = this.within(
      await (judge instanceof FunctionThread
        ? judge.run(input, options.signal)
        : runFunction(judge, input, { ...options, timeout }))
    )
    this.metrics.inFlight--
    this.metrics.verdicts++
    if (verdict.score === null) this.metrics.unscored++
    return verdict
  }

  override async close(): Promise<void> {
    if (this.judge instanceof FunctionThread) await this.judge.close()
  }

  private within(verdict: Verdict): Verdict {
    const { score } = verdict
    const { low, high } = this.scale ?? { low: -Infinity, high: Infinity }
    if (score === null || (score >= low && score <= high)) return verdict
    const detail = `the function returned ${score}; expected a number from ${low} to ${high}, its scale`
    return { ...verdict, score: null, reason: 'out_of_range', detail }
  }
}
