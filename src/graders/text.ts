/** string_check and text_similarity. */
import { AdjudgeError } from '../errors.js'
import { choiceField, graderOf, textField } from './common.js'
import { Template } from './template.js'
import { fuzzyMatch } from './textSimilarity.js'
import type { Grader, GraderSpec } from './types.js'

/** 1 or 0. `like`: the input contains the reference; `ilike`: whatever the case. */
export function stringCheckGrader(spec: GraderSpec, where: string): Grader {
  const input = Template.parse(textField(spec, 'input', where), `${where}.input`)
  const reference = Template.parse(textField(spec, 'reference', where), `${where}.reference`)
  const operation = choiceField(spec, 'operation', ['eq', 'ne', 'like', 'ilike'] as const, where)
  return graderOf(spec, where, (scope) => {
    const [found, wanted] = [input.render(scope), reference.render(scope)]
    const holds = {
      eq: () => found === wanted,
      ne: () => found !== wanted,
      like: () => found.includes(wanted),
      ilike: () => found.toLowerCase().includes(wanted.toLowerCase())
    }[operation]()
    return holds ? 1 : 0
  })
}

const otherMetrics = [
  'bleu',
  'gleu',
  'meteor',
  'cosine',
  'rouge_1',
  'rouge_2',
  'rouge_3',
  'rouge_4',
  'rouge_5',
  'rouge_l'
]

/** A similarity in [0, 1]. */
export function textSimilarityGrader(spec: GraderSpec, where: string): Grader {
  const input = Template.parse(textField(spec, 'input', where), `${where}.input`)
  const reference = Template.parse(textField(spec, 'reference', where), `${where}.reference`)
  const metric = textField(spec, 'evaluation_metric', where)
  if (metric !== 'fuzzy_match') {
    const known = otherMetrics.includes(metric) ? `${metric} is not supported` : `${metric} is unknown`
    throw new AdjudgeError('GRADER_INVALID', `${where}.evaluation_metric: ${known}; expected fuzzy_match`)
  }
  return graderOf(spec, where, (scope) => fuzzyMatch(input.render(scope), reference.render(scope)))
}
