/** Makes a grader from its specification. */
import { AdjudgeError } from '../errors.js'
import { nearest } from '../judge/document.js'
import { endpointGrader } from './endpoint.js'
import { javascriptGrader } from './javascript.js'
import { labelModelGrader, scoreModelGrader } from './model.js'
import { multiGrader } from './multi.js'
import { stringCheckGrader, textSimilarityGrader } from './text.js'
import type { Grader, GraderOptions, GraderSpec, MakerOptions } from './types.js'

type Maker = (spec: GraderSpec, where: string, options: MakerOptions) => Grader | Promise<Grader>

const makers: Record<string, Maker> = {
  string_check: stringCheckGrader,
  text_similarity: textSimilarityGrader,
  score_model: scoreModelGrader,
  label_model: labelModelGrader,
  endpoint: endpointGrader,
  javascript: javascriptGrader,
  multi: (spec, where, options) => multiGrader(spec, where, (part, place) => makeGrader(part, place, options))
}

/** Throws GRADER_INVALID naming the field, what was found and what was expected. */
export function createGrader(spec: GraderSpec, options: GraderOptions = {}): Promise<Grader> {
  return makeGrader(spec, 'grader', options)
}

/**
 * Checks a grader without opening what it asks (no key is needed). Gives the specification back, in the form of the reply
 * to OpenAI's `graders/validate`; throws what `createGrader` throws.
 */
export async function validateGrader(spec: GraderSpec, options: GraderOptions = {}): Promise<{ grader: GraderSpec }> {
  const checked: MakerOptions = { ...options, checkOnly: true }
  await (await makeGrader(spec, 'grader', checked)).close()
  return { grader: spec }
}

async function makeGrader(spec: GraderSpec, where: string, options: MakerOptions): Promise<Grader> {
  if (typeof spec !== 'object' || spec === null || Array.isArray(spec)) {
    throw new AdjudgeError('GRADER_INVALID', `${where}: expected an object with a type`)
  }
  const maker = Object.hasOwn(makers, String(spec.type)) ? makers[spec.type] : undefined
  if (!maker) {
    const known = Object.keys(makers)
    const near = nearest(String(spec.type), known)
    if (spec.type === 'python') throw pythonRefused(where, known)
    const hint = near ? `did you mean ${near}?` : `expected one of ${known.join(', ')}`
    throw new AdjudgeError('GRADER_INVALID', `${where}.type is ${JSON.stringify(spec.type) ?? 'missing'}; ${hint}`)
  }
  return maker(spec, spec.name ? `${where} ${spec.name}` : where, options)
}

function pythonRefused(where: string, known: string[]): AdjudgeError {
  return new AdjudgeError(
    'GRADER_INVALID',
    `${where}.type is "python": Python code is not run here; expected one of ${known.join(', ')}. ` +
      'The equivalent of `def grade(sample, item): return 1.0 if sample["output_text"] == item["label"] else 0.0` is ' +
      'type: javascript with source: function grade(sample, item) { return sample.output_text === item.label ? 1 : 0 }'
  )
}
