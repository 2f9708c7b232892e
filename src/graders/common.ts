/** What the graders share: reading their fields, the scope of their templates, the frame of their verdicts. */
import { AdjudgeError } from '../errors.js'
import { messageOf } from '../judge/retry.js'
import type { JudgeInput } from '../judge/types.js'
import { GraderFailure } from './failure.js'
import { MissingValue, type TemplateScope } from './template.js'
import type { GradeOptions, Grader, GraderSpec, GraderVerdict, SampleFields } from './types.js'

/** A text field that must be there. */
export function textField(spec: GraderSpec, field: string, where: string): string {
  const value = spec[field]
  if (typeof value !== 'string') {
    const found = value === undefined ? 'missing' : JSON.stringify(value)
    throw new AdjudgeError('GRADER_INVALID', `${where}.${field} is ${found}; expected a text`)
  }
  return value
}

/** A text field with one of a few values. */
export function choiceField<T extends string>(
  spec: GraderSpec,
  field: string,
  choices: readonly T[],
  where: string
): T {
  const value = spec[field]
  const found = choices.find((choice) => choice === value)
  if (found === undefined) {
    const shown = JSON.stringify(value) ?? 'missing'
    throw new AdjudgeError('GRADER_INVALID', `${where}.${field} is ${shown}; expected one of ${choices.join(', ')}`)
  }
  return found
}

/** A number field that may be absent. */
export function numberField(spec: GraderSpec, field: string, where: string): number | undefined {
  const value = spec[field]
  if (value === undefined || value === null) return undefined
  if (typeof value !== 'number' || !Number.isFinite(value)) {
    throw new AdjudgeError('GRADER_INVALID', `${where}.${field} is ${JSON.stringify(value)}; expected a number`)
  }
  return value
}

/** A number above 0 that may be absent. */
export function positiveField(spec: GraderSpec, field: string, where: string): number | undefined {
  const value = numberField(spec, field, where)
  if (value === undefined || value > 0) return value
  throw new AdjudgeError('GRADER_INVALID', `${where}.${field} is ${value}; expected a number above 0`)
}

/**
 * `item.*` is the data set's row. `sample` has output_text, output_json where the answer is JSON, choices and output_tools
 * (empty where no tools were called), and whatever else the caller knows of the sample.
 */
export function scopeOf(input: JudgeInput, fields: SampleFields = {}): TemplateScope {
  const tools = fields.output_tools ?? []
  const message = {
    role: 'assistant',
    content: input.completion,
    ...(tools.length > 0 ? { tool_calls: tools } : {})
  }
  const sample: Record<string, unknown> = {
    output_text: input.completion,
    output_tools: tools,
    choices: [{ index: 0, message }]
  }
  try {
    sample.output_json = JSON.parse(input.completion) as unknown
  } catch {
    // Not JSON: a template that asks for output_json finds nothing, and the grader answers null.
  }
  const item = { ...(input.reference === undefined ? {} : { reference: input.reference }), ...input.item }
  return { item, sample: { ...sample, ...fields } }
}

/** A grader around a function that gives a score or a verdict; what it throws becomes an unscored verdict. */
export function graderOf(
  spec: GraderSpec,
  where: string,
  grade: (scope: TemplateScope, input: JudgeInput, options: GradeOptions) => Promise<Partial<GraderVerdict>> | number,
  close: () => Promise<void> = () => Promise.resolve()
): Grader {
  const threshold = numberField(spec, 'pass_threshold', where)
  return {
    name: nameOf(spec),
    type: spec.type,
    close,
    grade: async (input, options = {}) => {
      const started = performance.now()
      const scope = scopeOf(input, options.sample)
      let part: Partial<GraderVerdict>
      try {
        const result = await grade(scope, input, options)
        part = typeof result === 'number' ? scoreOf(result) : result
      } catch (error) {
        // Programming faults and a ledger that cannot be written must be seen.
        if (error instanceof AdjudgeError) throw error
        if (error instanceof MissingValue) part = missing(error, scope)
        else if (error instanceof GraderFailure) part = failed(error)
        else throw error
      }
      const score = part.score ?? null
      return {
        usage: { inputTokens: 0, outputTokens: 0 },
        cost: 0,
        latency: Math.round(performance.now() - started),
        attempts: 1,
        flags: [],
        ...part,
        ...(input.id === undefined ? {} : { id: input.id }),
        score,
        ...(threshold === undefined || score === null ? {} : { passed: score >= threshold })
      }
    }
  }
}

/** Stands for a grader whose specification was only to be checked. */
export const checkedGrader = (spec: GraderSpec): Grader => ({
  name: nameOf(spec),
  type: spec.type,
  grade: () => Promise.reject(new AdjudgeError('INTERNAL', 'a grader that was only checked was asked to grade')),
  close: () => Promise.resolve()
})

const nameOf = (spec: GraderSpec): string => (typeof spec.name === 'string' ? spec.name : spec.type)

function failed(failure: GraderFailure): Partial<GraderVerdict> {
  const detail = messageOf(failure)
  const { reason, error, attempts } = failure
  return { score: null, reason, detail, errors: { [error]: detail }, attempts }
}

/** A template that asks for the answer's JSON where the answer is none fails by the sample, else by the variable. */
function missing({ message, path }: MissingValue, { sample }: TemplateScope): Partial<GraderVerdict> {
  const unparsed = path[0] === 'sample' && path[1] === 'output_json' && !Object.hasOwn(sample, 'output_json')
  return {
    score: null,
    reason: 'function_error',
    detail: message,
    errors: { [unparsed ? 'sample_parse_error' : 'invalid_variable_error']: message }
  }
}

export function scoreOf(score: number): Partial<GraderVerdict> {
  if (Number.isFinite(score)) return { score }
  const detail = `the grader's result is ${score}`
  return { score: null, reason: 'function_error', detail, errors: { other_error: detail } }
}
