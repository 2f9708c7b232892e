/** A label from the rubric's list; its score is the label's, or the mean over the labels' probabilities. */
import { AdjudgeError } from '../../errors.js'
import { describeAim } from '../prompt.js'
import type { Answers, Combined, Field } from '../question.js'
import type { Rubric } from '../rubric.js'
import { askEach } from './frame.js'
import type { Mode } from './mode.js'

const fields = ({ labels }: Rubric): Field[] => [{ name: 'label', kind: 'label', labels: Object.keys(labels ?? {}) }]

function combine(rubric: Rubric, { label }: Answers): Combined {
  const { distribution, mass, value } = label
  const scoreOf = (name: string): number => rubric.labels![name].score
  const score = distribution
    ? Object.entries(distribution).reduce((sum, [name, probability]) => sum + probability * scoreOf(name), 0)
    : scoreOf(value as string)
  return {
    score,
    label: value as string,
    ...(distribution ? { distribution } : {}),
    ...(mass === undefined ? {} : { mass })
  }
}

export const label: Mode = {
  name: 'label',
  together: false,
  fields,
  check(rubric) {
    if (!rubric.labels) {
      throw new AdjudgeError(
        'RUBRIC_INVALID',
        'rubric: mode label needs labels, each with its score; for example labels: { right: { score: 1 }, wrong: { score: 0 } }'
      )
    }
  },
  judge: async (inputs, context) => {
    const { rubric } = context
    const list = Object.entries(rubric.labels!).map(([name, { description }]) =>
      description === undefined ? `  - ${name}` : `  - ${name}: ${description}`
    )
    const task = [describeAim(rubric), 'Give the answer the one label that fits best:', ...list].join('\n')
    return askEach(inputs, context, {
      task,
      fields: fields(rubric),
      rule: { mode: 'label', labels: rubric.labels },
      combine: (answers) => combine(rubric, answers)
    })
  }
}
