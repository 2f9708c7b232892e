/** string_check and text_similarity. */
import { AdjudgeError } from '../errors.js'
import { choiceField, graderOf, textField } from './common.js'
import { cosineGrader } from './cosine.js'
import { textMetric, textMetricNames } from './metrics/index.js'
import { Template } from './template.js'
import type { Grader, GraderSpec, MakerOptions } from './types.js'

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

/**
 * A similarity in [0, 1]; `cosine` is the cosine of the texts' embeddings, in [-1, 1]. `stemmer: true` (ours) compares
 * stems in the rouge metrics.
 */
export async function textSimilarityGrader(spec: GraderSpec, where: string, options: MakerOptions): Promise<Grader> {
  const input = Template.parse(textField(spec, 'input', where), `${where}.input`)
  const reference = Template.parse(textField(spec, 'reference', where), `${where}.reference`)
  const metric = choiceField(spec, 'evaluation_metric', [...textMetricNames, 'cosine'] as const, where)
  if (spec.stemmer !== undefined && typeof spec.stemmer !== 'boolean') {
    throw new AdjudgeError(
      'GRADER_INVALID',
      `${where}.stemmer is ${JSON.stringify(spec.stemmer)}; expected true or false`
    )
  }
  if (metric === 'cosine') return cosineGrader(spec, where, options, input, reference)
  const stemmer = spec.stemmer ?? false
  return graderOf(spec, where, (scope) => textMetric(metric, input.render(scope), reference.render(scope), { stemmer }))
}
