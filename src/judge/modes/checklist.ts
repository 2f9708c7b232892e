/**
 * Criteria as predicates: each holds or not, all asked in one call. The score is the weighted share that holds, by
 * probabilities where the judge returns log-probs (rubrics as rewards: arXiv 2507.17746; checklists: 2507.18624).
 */
import { AdjudgeError } from '../../errors.js'
import { describeAim, readable } from '../prompt.js'
import type { Answers, Combined, Field, FieldAnswer } from '../question.js'
import type { Rubric } from '../rubric.js'
import { askEach } from './frame.js'
import type { Mode } from './mode.js'

function fields(rubric: Rubric): Field[] {
  return (rubric.criteria ?? []).map((criterion) => ({
    name: criterion.name,
    kind: 'boolean',
    description: `whether it holds: ${readable(criterion)}`
  }))
}

const probabilityOf = ({ value, distribution }: FieldAnswer): number => distribution?.true ?? (value ? 1 : 0)

/** A veto that more probably fails than holds makes the score the lowest. */
function combine(rubric: Rubric, answers: Answers): Combined {
  const criteria: Record<string, number> = {}
  let sum = 0
  let weights = 0
  let vetoed = false
  for (const { name, weight = 1, veto } of rubric.criteria ?? []) {
    const probability = probabilityOf(answers[name])
    criteria[name] = probability
    if (veto) vetoed ||= probability < 0.5
    else {
      sum += weight * probability
      weights += weight
    }
  }
  const { low, high } = rubric.scale
  const share = vetoed ? 0 : weights > 0 ? sum / weights : 1
  const masses = Object.values(answers).flatMap(({ mass }) => (mass === undefined ? [] : [mass]))
  return {
    score: low + share * (high - low),
    criteria,
    ...(masses.length > 0 ? { mass: Math.min(...masses) } : {})
  }
}

export const checklist: Mode = {
  name: 'checklist',
  together: false,
  fields,
  check(rubric) {
    if (!rubric.criteria) {
      throw new AdjudgeError('RUBRIC_INVALID', 'rubric: mode checklist needs criteria: the statements that are to hold')
    }
  },
  judge: async (inputs, context) => {
    const { rubric } = context
    const list = (rubric.criteria ?? []).map((criterion) => `  - ${criterion.name}: ${readable(criterion)}`)
    const task = [
      describeAim(rubric),
      'Say of each statement whether it holds for the answer (true or false); half is not enough:',
      ...list
    ].join('\n')
    return askEach(inputs, context, {
      task,
      fields: fields(rubric),
      rule: { mode: 'checklist', scale: [rubric.scale.low, rubric.scale.high], criteria: rubric.criteria },
      combine: (answers) => combine(rubric, answers)
    })
  }
}
