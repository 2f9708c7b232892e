/** What a judge can do once it can score all answers to a prompt: for judges some of which must see them together. */
import { BaseJudge } from './baseJudge.js'
import { Gathering, runsOf, togetherOf } from './modes/gathering.js'
import { scoreInOrder } from './stream.js'
import type { JudgeInput, ScoreOptions, Verdict } from './types.js'

export abstract class GroupJudge extends BaseJudge {
  abstract readonly together: boolean
  abstract override scoreGroup(inputs: readonly JudgeInput[], options?: ScoreOptions): Promise<Verdict[]>

  private readonly gathering = new Gathering((inputs, signal) => this.scoreGroup(inputs, signal ? { signal } : {}))

  /** Where all answers to a prompt are needed, the verdict waits for the rest of `input.group`. */
  async scoreOne(input: JudgeInput, options: ScoreOptions = {}): Promise<Verdict> {
    if (this.together && (input.group?.size ?? 1) > 1) return this.gathering.add(input, options.signal)
    return (await this.scoreGroup([input], options))[0]
  }

  override score(
    inputs: Iterable<JudgeInput> | AsyncIterable<JudgeInput>,
    options?: ScoreOptions
  ): AsyncIterable<Verdict> {
    if (!this.together) return super.score(inputs, options)
    return flat(scoreInOrder(runsOf(inputs), (run) => this.scoreGroup(run, options)))
  }

  override async scoreAll(inputs: JudgeInput[], options?: ScoreOptions): Promise<Verdict[]> {
    if (!this.together) return super.scoreAll(inputs, options)
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

  override close(): Promise<void> {
    this.gathering.close()
    return Promise.resolve()
  }
}

async function* flat<T>(groups: AsyncIterable<T[]>): AsyncGenerator<T> {
  for await (const group of groups) yield* group
}
