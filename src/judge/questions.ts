/** What a judge would ask, without asking it: for previews and estimates. */
import { visibleAnswer } from './fence.js'
import { modeOf } from './modes/index.js'
import { free, notSent } from './modes/merge.js'
import type { JudgeOptions } from './options.js'
import { checkTemplate } from './prompt.js'
import type { Question } from './question.js'
import { checkRubric, loadRubric } from './rubric.js'
import type { JudgeInput } from './types.js'

/**
 * The questions for answers to one prompt. A mode that asks on by what it was answered (Swiss rounds) gives those of its
 * first round; a function has none. Throws RUBRIC_INVALID or JUDGE_INVALID.
 */
export async function questionsFor(
  options: Pick<JudgeOptions, 'provider' | 'rubric' | 'mode' | 'reasoning' | 'prompt'>,
  inputs: readonly JudgeInput[]
): Promise<Question[]> {
  if (options.rubric === undefined) return []
  const rubric = typeof options.rubric === 'string' ? loadRubric(options.rubric) : checkRubric(options.rubric)
  const mode = modeOf(options.mode, rubric)
  mode.check?.(rubric)
  if (options.prompt) checkTemplate(options.prompt, mode.name)
  const questions: Question[] = []
  const context = {
    rubric,
    reasoning: options.reasoning ?? rubric.reasoning ?? 'none',
    ...(options.prompt ? { template: options.prompt } : {}),
    ask: (question: Question) => {
      questions.push(question)
      return Promise.resolve(notSent('cancelled', 'nothing is asked'))
    },
    empty: () => ({ score: rubric.scale.low, ...free() })
  }
  if (mode.together) await mode.judge(inputs, context)
  else {
    for (const input of inputs) if (visibleAnswer(input.completion) !== '') await mode.judge([input], context)
  }
  return questions
}
