/** The prompt of the modes that show several answers, or take a rubric apart: what stays the same stands first. */
import { stampedImages, textOf } from '../content.js'
import { askFor, askForOne, constantOf, judgeSystem, secretNumber } from '../prompt.js'
import { fence, neutralise, nonceOf, visibleAnswer } from '../fence.js'
import type { Field, Question } from '../question.js'
import type { JudgeInput, JudgeMessage, Verdict } from '../types.js'
import type { ModeContext } from './mode.js'

/** One text to show, already neutralised. */
export interface Material {
  heading: string
  label: string
  text: string
}

export interface Framed {
  /** The rubric and what is to be done: the same for every input. */
  task: string
  /** Whose conversation, images and reference are shown. */
  input: JudgeInput
  answers: readonly Material[]
  fields: Field[]
  reasoning: boolean
  injected: boolean
}

/** Messages for a chat judge, and one prompt per field for a judge that compares continuations. */
export function frame(framed: Framed): Omit<Question, 'rule' | 'combine'> {
  const { task, input, answers, fields, reasoning, injected } = framed
  const materials = [...contextOf(input), ...answers]
  const images = input.messages.flatMap(({ content }) => stampedImages(content))
  const nonce = nonceOf(materials.map(({ label, text }) => `${label} ${text}`))
  const shown = [
    secretNumber(nonce),
    ...materials.map(({ heading, label, text }) => `${heading}\n\n${fence(label, nonce, text)}`)
  ]
  const asking = (ask: string): JudgeMessage[] => {
    const text = [task, ...shown, ask].join('\n\n')
    return [
      { role: 'system', content: judgeSystem },
      { role: 'user', content: images.length === 0 ? text : [{ type: 'text', text }, ...images] }
    ]
  }
  return {
    fields,
    reasoning,
    injected,
    constant: constantOf(task),
    untrusted: answers.map(({ text }) => text).join('\n'),
    messages: asking(askFor(fields, reasoning)),
    choicePrompts: fields.map((field) => asking(askForOne(field)))
  }
}

/** The conversation and, where there is one, the reference. */
function contextOf({ messages, reference }: JudgeInput): Material[] {
  const text = messages.map(({ role, content }) => `${role}: ${neutralise(textOf(content)).text}`).join('\n\n')
  const conversation = { heading: 'The conversation:', label: 'CONVERSATION', text }
  if (reference === undefined) return [conversation]
  const heading = 'A reference answer, known to be good:'
  return [conversation, { heading, label: 'REFERENCE', text: neutralise(reference).text }]
}

export function answerMaterial(heading: string, label: string, completion: string): Material & { injected: boolean } {
  return { heading, label, ...neutralise(visibleAnswer(completion)) }
}

/** Shows each answer by itself. */
export function askEach(
  inputs: readonly JudgeInput[],
  context: ModeContext,
  asked: Pick<Question, 'fields' | 'rule' | 'combine'> & { task: string }
): Promise<Verdict[]> {
  const { task, fields, rule, combine } = asked
  return Promise.all(
    inputs.map((input) => {
      const answer = answerMaterial('The answer to judge:', 'ANSWER', input.completion)
      const reasoning = context.reasoning === 'before'
      const framed = frame({ task, input, answers: [answer], fields, reasoning, injected: answer.injected })
      return context.ask({ ...framed, rule, combine })
    })
  )
}
