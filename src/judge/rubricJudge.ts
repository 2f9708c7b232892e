/** A judge with a rubric: a mode that asks, over a pipeline that answers. */
import { bestFirst } from './baseJudge.js'
import { GroupJudge } from './groupJudge.js'
import type { Caller } from './pipeline.js'
import { visibleAnswer } from './fence.js'
import { free } from './modes/merge.js'
import type { Mode, ModeContext } from './modes/mode.js'
import { comparePair } from './modes/pairwise.js'
import { playTournament } from './modes/tournament.js'
import type { PromptTemplate } from './prompt.js'
import type { Rubric } from './rubric.js'
import type {
  Comparison,
  JudgeInput,
  JudgeMetrics,
  RankOptions,
  Ranking,
  Scale,
  ScoreOptions,
  Verdict
} from './types.js'

export interface RubricJudgeOptions {
  rubric: Rubric
  reasoning: 'none' | 'before'
  emptyAnswer: 'low' | 'unscored'
  template?: PromptTemplate
}

export class RubricJudge extends GroupJudge {
  readonly name: string
  readonly metrics: JudgeMetrics
  readonly together: boolean
  readonly scale: Scale

  constructor(
    private readonly caller: Caller,
    private readonly mode: Mode,
    private readonly options: RubricJudgeOptions
  ) {
    super()
    this.name = caller.name
    this.metrics = caller.pipeline.metrics
    this.together = mode.together
    const { low, high } = options.rubric.scale
    this.scale = { low, high }
  }

  override get window(): number | undefined {
    return this.caller.window
  }

  override async scoreGroup(inputs: readonly JudgeInput[], options: ScoreOptions = {}): Promise<Verdict[]> {
    const context = this.context(options.signal)
    const verdicts = this.mode.together
      ? await this.mode.judge(inputs, context)
      : await Promise.all(
          inputs.map(async (input) =>
            visibleAnswer(input.completion) === '' ? context.empty() : (await this.mode.judge([input], context))[0]
          )
        )
    return verdicts.map((verdict, index) => this.caller.pipeline.given(verdict, inputs[index].id))
  }

  override async compare(first: JudgeInput, second: JudgeInput, options: ScoreOptions = {}): Promise<Comparison> {
    return comparePair(first, first.completion, second.completion, this.context(options.signal))
  }

  override async rank(inputs: readonly JudgeInput[], options: RankOptions = {}): Promise<Ranking> {
    if (inputs.length === 0) return { order: [], ratings: [], standardErrors: [], comparisons: [] }
    const answers = inputs.map(({ completion }) => completion)
    const { standings, comparisons } = await playTournament(
      inputs[0],
      answers,
      this.context(options.signal),
      options.rounds ?? 'all'
    )
    const judged = <T>(values: T[]): (T | null)[] =>
      values.map((value, index) => (standings[index].winProbability === null && inputs.length > 1 ? null : value))
    const ratings = judged(standings.map(({ rating }) => rating))
    const standardErrors = judged(standings.map(({ standardError }) => standardError))
    return { order: bestFirst(ratings), ratings, standardErrors, comparisons }
  }

  override async close(): Promise<void> {
    await super.close()
    await this.caller.close()
  }

  private context(signal: AbortSignal | undefined): ModeContext {
    const { rubric, reasoning, template } = this.options
    return {
      rubric,
      reasoning,
      ...(template ? { template } : {}),
      ...(signal ? { signal } : {}),
      ask: (question) => this.caller.pipeline.answer(question, signal ? { signal } : {}),
      empty: () => this.empty()
    }
  }

  private empty(): Verdict {
    return this.options.emptyAnswer === 'unscored'
      ? { score: null, reason: 'empty_answer', detail: 'the answer is empty or ends inside its reasoning', ...free() }
      : {
          score: this.options.rubric.scale.low,
          rationale: 'The answer is empty or ends inside its reasoning.',
          ...free()
        }
  }
}
