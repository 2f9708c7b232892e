/** A judge without a rubric: a reward server or a reward model, which scores conversations as they are. */
import { BaseJudge } from './baseJudge.js'
import { visibleAnswer } from './fence.js'
import { free } from './modes/merge.js'
import type { Caller } from './pipeline.js'
import type { Combined, Question } from './question.js'
import type { JudgeInput, JudgeMetrics, Scale, ScoreOptions, Verdict } from './types.js'

export class RewardJudge extends BaseJudge {
  readonly name: string
  readonly metrics: JudgeMetrics

  /** `wholeItem`: whether the data set's other fields are part of what is asked. */
  constructor(
    private readonly caller: Caller,
    private readonly wholeItem: boolean,
    readonly scale?: Scale
  ) {
    super()
    this.name = caller.name
    this.metrics = caller.pipeline.metrics
  }

  async scoreOne(input: JudgeInput, options: ScoreOptions = {}): Promise<Verdict> {
    const { pipeline } = this.caller
    // There is no scale whose lowest score could stand for an answer that is not there.
    if (visibleAnswer(input.completion) === '') {
      const detail = 'the answer is empty or ends inside its reasoning'
      return pipeline.given({ score: null, reason: 'empty_answer', detail, ...free() }, input.id)
    }
    return pipeline.ask(questionOf(input, this.wholeItem, this.scale), {
      ...(input.id === undefined ? {} : { id: input.id }),
      ...(options.signal ? { signal: options.signal } : {})
    })
  }

  override close(): Promise<void> {
    return this.caller.close()
  }
}

/** Nothing is clamped: a panel that mixes scales must be able to rely on them. */
function within(score: number, low: number, high: number): Pick<Combined, 'score' | 'reason' | 'detail'> {
  if (score >= low && score <= high) return { score }
  const detail = `the reward is ${score}; expected a number from ${low} to ${high}, the judge's scale`
  return { score: null, reason: 'out_of_range', detail }
}

function questionOf(
  input: JudgeInput,
  wholeItem: boolean,
  { low, high }: Scale = { low: -Infinity, high: Infinity }
): Question {
  const { messages, completion, reference, item } = input
  const beside = {
    ...(reference === undefined ? {} : { reference }),
    ...(wholeItem && item !== undefined ? { item } : {})
  }
  return {
    messages: [...messages, { role: 'assistant', content: completion }],
    fields: [{ name: 'score', kind: 'number', low, high, integer: false }],
    reasoning: false,
    injected: false,
    material: { messages, completion, ...beside },
    rule: { reward: true, ...beside },
    combine: ({ score }) => ({
      ...within(score.value as number, low, high),
      ...(score.distribution ? { distribution: score.distribution } : {})
    })
  }
}
