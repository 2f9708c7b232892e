/** A judge without a rubric: a reward server or a reward model, which scores conversations as they are. */
import { BaseJudge } from './baseJudge.js'
import { visibleAnswer } from './fence.js'
import { free } from './modes/merge.js'
import type { Caller } from './pipeline.js'
import type { Question } from './question.js'
import type { JudgeInput, JudgeMetrics, ScoreOptions, Verdict } from './types.js'

export class RewardJudge extends BaseJudge {
  readonly name: string
  readonly metrics: JudgeMetrics

  /** `wholeItem`: whether the data set's other fields are part of what is asked. */
  constructor(
    private readonly caller: Caller,
    private readonly wholeItem: boolean
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
    return pipeline.ask(questionOf(input, this.wholeItem), {
      ...(input.id === undefined ? {} : { id: input.id }),
      ...(options.signal ? { signal: options.signal } : {})
    })
  }

  override close(): Promise<void> {
    return this.caller.close()
  }
}

function questionOf(input: JudgeInput, wholeItem: boolean): Question {
  const { messages, completion, reference, item } = input
  const beside = {
    ...(reference === undefined ? {} : { reference }),
    ...(wholeItem && item !== undefined ? { item } : {})
  }
  return {
    messages: [...messages, { role: 'assistant', content: completion }],
    fields: [{ name: 'score', kind: 'number', low: -Infinity, high: Infinity, integer: false }],
    reasoning: false,
    injected: false,
    material: { messages, completion, ...beside },
    rule: { reward: true, ...beside },
    combine: ({ score }) => ({
      score: score.value as number,
      ...(score.distribution ? { distribution: score.distribution } : {})
    })
  }
}
