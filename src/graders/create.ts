/** Makes a grader from its specification. */
import { AdjudgeError } from '../errors.js'
import { nearest } from '../judge/document.js'
import { javascriptGrader } from './javascript.js'
import { labelModelGrader, scoreModelGrader } from './model.js'
import { multiGrader } from './multi.js'
import { stringCheckGrader, textSimilarityGrader } from './text.js'
import type { Grader, GraderOptions, GraderSpec } from './types.js'

type Maker = (spec: GraderSpec, where: string, options: GraderOptions) => Grader | Promise<Grader>

const makers: Record<string, Maker> = {
  string_check: stringCheckGrader,
  text_similarity: textSimilarityGrader,
  score_model: scoreModelGrader,
  label_model: labelModelGrader,
  javascript: javascriptGrader,
  multi: (spec, where, options) => multiGrader(spec, where, (part, place) => makeGrader(part, place, options))
}

/** Throws GRADER_INVALID naming the field, what was found and what was expected. */
export function createGrader(spec: GraderSpec, options: GraderOptions = {}): Promise<Grader> {
  return makeGrader(spec, 'grader', options)
}

async function makeGrader(spec: GraderSpec, where: string, options: GraderOptions): Promise<Grader> {
  if (typeof spec !== 'object' || spec === null || Array.isArray(spec)) {
    throw new AdjudgeError('GRADER_INVALID', `${where}: expected an object with a type`)
  }
  const maker = Object.hasOwn(makers, String(spec.type)) ? makers[spec.type] : undefined
  if (!maker) {
    const known = Object.keys(makers)
    const near = nearest(String(spec.type), known)
    const hint = near ? `did you mean ${near}?` : `expected one of ${known.join(', ')}`
    throw new AdjudgeError('GRADER_INVALID', `${where}.type is ${JSON.stringify(spec.type) ?? 'missing'}; ${hint}`)
  }
  return maker(spec, spec.name ? `${where} ${spec.name}` : where, options)
}
