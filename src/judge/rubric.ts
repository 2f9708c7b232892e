/** The rubric: what a judge looks for, on which scale. Read from YAML or given as an object; checked alike. */
import { readFileSync } from 'node:fs'
import { Type, type Static } from '@sinclair/typebox'
import { AdjudgeError } from '../errors.js'
import { checkDocument, checkObject, type Problem } from './document.js'

const Name = Type.String({ minLength: 1, pattern: '^[A-Za-z_][A-Za-z0-9_]*$', description: 'letters, digits and _' })

export const CriterionSchema = Type.Object(
  {
    name: Name,
    /** Share in the weighted mean. Default 1. */
    weight: Type.Optional(Type.Number({ exclusiveMinimum: 0 })),
    /** Yes or no instead of a score; a no makes the whole score the scale's lowest. */
    veto: Type.Optional(Type.Boolean()),
    description: Type.Optional(Type.String({ minLength: 1 })),
    /** What a score means for this criterion, for some of the scores. */
    anchors: Type.Optional(Type.Record(Type.String(), Type.String()))
  },
  { additionalProperties: false }
)

const LabelSchema = Type.Object(
  {
    /** On the rubric's scale. */
    score: Type.Number(),
    description: Type.Optional(Type.String({ minLength: 1 }))
  },
  { additionalProperties: false }
)

export const RubricSchema = Type.Object(
  {
    aim: Type.String({ minLength: 1, description: 'what is judged, in a sentence' }),
    scale: Type.Object(
      {
        low: Type.Number(),
        high: Type.Number(),
        /** What a score means, for some of the scores. */
        anchors: Type.Optional(Type.Record(Type.String(), Type.String()))
      },
      { additionalProperties: false }
    ),
    criteria: Type.Optional(Type.Array(CriterionSchema, { minItems: 1 })),
    /** The menu of a judge that labels. */
    labels: Type.Optional(Type.Record(Type.String({ minLength: 1 }), LabelSchema, { minProperties: 2 })),
    reasoning: Type.Optional(Type.Union([Type.Literal('none'), Type.Literal('before')]))
  },
  { additionalProperties: false }
)

export type Criterion = Static<typeof CriterionSchema>
export type Rubric = Static<typeof RubricSchema>

/** Whole-number scales have score tokens (an expectation can be taken); others have free numbers. */
export const isIntegerScale = (rubric: Rubric): boolean =>
  Number.isInteger(rubric.scale.low) && Number.isInteger(rubric.scale.high)

/** Reads and checks a rubric file. Throws RUBRIC_INVALID naming file, line, and the nearest valid key. */
export function loadRubric(path: string): Rubric {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (cause) {
    throw new AdjudgeError('RUBRIC_INVALID', `rubric ${path}: cannot be read (${(cause as Error).message})`, { cause })
  }
  return parseRubric(text, path)
}

export function parseRubric(yaml: string, file = 'rubric'): Rubric {
  return checkDocument(RubricSchema, yaml, { file, code: 'RUBRIC_INVALID', also: meaningProblems })
}

export function checkRubric(value: unknown): Rubric {
  return checkObject(RubricSchema, value, { file: 'rubric', code: 'RUBRIC_INVALID', also: meaningProblems })
}

/** What a schema cannot say. */
function meaningProblems(rubric: Rubric): Problem[] {
  const problems: Problem[] = []
  const { low, high, anchors } = rubric.scale
  if (!(low < high)) {
    problems.push({ path: '/scale/high', message: `high is ${high}; expected a number above low (${low})` })
  }
  const checkAnchors = (path: string, of: Record<string, string> | undefined): void => {
    for (const key of Object.keys(of ?? {})) {
      const score = Number(key)
      if (!(score >= low && score <= high)) {
        problems.push({
          path: `${path}/anchors/${key}`,
          message: `anchor ${JSON.stringify(key)} is not a score; expected a number from ${low} to ${high}`
        })
      }
    }
  }
  checkAnchors('/scale', anchors)
  for (const [name, { score }] of Object.entries(rubric.labels ?? {})) {
    if (!(score >= low && score <= high)) {
      problems.push({
        path: `/labels/${name}/score`,
        message: `label ${name}: score is ${score}; expected a number from ${low} to ${high}, the scale`
      })
    }
  }
  const seen = new Set<string>()
  rubric.criteria?.forEach((criterion, index) => {
    if (seen.has(criterion.name) || criterion.name === 'reasoning' || criterion.name === 'score') {
      const why = seen.has(criterion.name) ? 'is there twice' : 'is a reserved word'
      problems.push({ path: `/criteria/${index}/name`, message: `criterion name ${criterion.name} ${why}` })
    }
    seen.add(criterion.name)
    checkAnchors(`/criteria/${index}`, criterion.anchors)
    if (criterion.veto && criterion.anchors) {
      problems.push({ path: `/criteria/${index}/anchors`, message: 'a veto is yes or no: it has no anchors' })
    }
    if (criterion.veto && criterion.weight !== undefined) {
      problems.push({
        path: `/criteria/${index}/weight`,
        message: 'a veto has no weight: it passes, or the whole score is the lowest'
      })
    }
  })
  return problems
}
