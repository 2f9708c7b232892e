/** One score per answer, by the rubric's scale and criteria; guided by a reference where it is told to be. */
import { fieldsOf, renderQuestion } from '../prompt.js'
import type { JudgeInput } from '../types.js'
import { itemOf, notSent } from './merge.js'
import type { Mode, ModeContext } from './mode.js'

const question = (input: JudgeInput, { rubric, reasoning, template }: ModeContext, guided = false) =>
  renderQuestion(rubric, input, { reasoning, guided, ...(template ? { template } : {}) })

export const pointwise: Mode = {
  name: 'pointwise',
  together: false,
  fields: fieldsOf,
  judge: async (inputs, context) => Promise.all(inputs.map((input) => context.ask(question(input, context))))
}

/** Asks how far the answer agrees with the reference, which every input must have. */
export const reference: Mode = {
  name: 'reference',
  together: false,
  fields: fieldsOf,
  judge: async (inputs, context) =>
    Promise.all(
      inputs.map(async (input) =>
        input.reference === undefined
          ? notSent('missing_reference', `${itemOf(input)} has no reference; mode reference compares with one`)
          : context.ask(question(input, context, true))
      )
    )
}
