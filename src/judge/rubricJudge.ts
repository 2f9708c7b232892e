/** A judge with a rubric: a mode that asks, over a pipeline that answers. */
import { BaseJudge, bestFirst } from './baseJudge.js'
import type { Caller } from './pipeline.js'
import { visibleAnswer } from './fence.js'
import { Gathering, runsOf, togetherOf } from './modes/gathering.js'
import { free } from './modes/merge.js'
import type { Mode, ModeContext } from './modes/mode.js'
import { comparePair } from './modes/pairwise.js'
import { playTournament } from './modes/tournament.js'
import type { PromptTemplate } from './prompt.js'
import type { Rubric } from './rubric.js'
import { scoreInOrder } from './stream.js'
import type { Comparison, JudgeInput, JudgeMetrics, RankOptions, Ranking, ScoreOptions, Verdict } from './types.js'

export interface RubricJudgeOptions {
  rubric: Rubric
  reasoning: 'none' | 'before'
  emptyAnswer: 'low' | 'unscored'
  template?: PromptTemplate
}

export class RubricJudge extends BaseJudge {
  readonly name: string
  readonly metrics: JudgeMetrics
  private readonly gathering: Gathering

  constructor(
    private readonly caller: Caller,
    private readonly mode: Mode,
    private readonly options: RubricJudgeOptions
  ) {
    super()
    this.name = caller.name
    this.metrics = caller.pipeline.metrics
    this.gathering = new Gathering((inputs, signal) => this.scoreGroup(inputs, signal ? { signal } : {}))
  }

  override get window(): number | undefined {
    return this.caller.window
  }

  /** Where the mode needs all answers to a prompt, the verdict waits for the rest of `input.group`. */
  async scoreOne(input: JudgeInput, options: ScoreOptions = {}): Promise<Verdict> {
    if (this.mode.together && (input.group?.size ?? 1) > 1) return this.gathering.add(input, options.signal)
    return (await this.scoreGroup([input], options))[0]
  }

  override score(
    inputs: Iterable<JudgeInput> | AsyncIterable<JudgeInput>,
    options?: ScoreOptions
  ): AsyncIterable<Verdict> {
    if (!this.mode.together) return super.score(inputs, options)
    return flat(scoreInOrder(runsOf(inputs), (run) => this.scoreGroup(run, options)))
  }

  override async scoreAll(inputs: JudgeInput[], options?: ScoreOptions): Promise<Verdict[]> {
    if (!this.mode.together) return super.scoreAll(inputs, options)
    const verdicts = new Array<Verdict>(inputs.length)
    await Promise.all(
      togetherOf(inputs).map(async (places) => {
        const group = await this.scoreGroup(
          places.map((place) => inputs[place]),
          options
        )
        places.forEach((place, index) => (verdicts[place] = group[index]))
      })
    )
    return verdicts
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
    this.gathering.close()
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

async function* flat<T>(groups: AsyncIterable<T[]>): AsyncGenerator<T> {
  for await (const group of groups) yield* group
}
