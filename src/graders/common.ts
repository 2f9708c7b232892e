/** What the graders share: reading their fields, the scope of their templates, the frame of their verdicts. */
import { AdjudgeError } from '../errors.js'
import { messageOf } from '../judge/retry.js'
import type { JudgeInput, UnscoredReason } from '../judge/types.js'
import { MissingValue, type TemplateScope } from './template.js'
import type { GradeOptions, Grader, GraderSpec, GraderVerdict } from './types.js'

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

/** `item.*` is the data set's row; `sample` has output_text, and output_json where the answer is JSON. */
export function scopeOf(input: JudgeInput): TemplateScope {
  const sample: Record<string, unknown> = {
    output_text: input.completion,
    choices: [{ message: { role: 'assistant', content: input.completion } }]
  }
  try {
    sample.output_json = JSON.parse(input.completion) as unknown
  } catch {
    // Not JSON: a template that asks for output_json finds nothing, and the grader answers null.
  }
  const item = { ...(input.reference === undefined ? {} : { reference: input.reference }), ...input.item }
  return { item, sample }
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
    name: typeof spec.name === 'string' ? spec.name : spec.type,
    type: spec.type,
    close,
    grade: async (input, options = {}) => {
      const started = performance.now()
      let part: Partial<GraderVerdict>
      try {
        const result = await grade(scopeOf(input), input, options)
        part = typeof result === 'number' ? scoreOf(result) : result
      } catch (error) {
        // Programming faults and a ledger that cannot be written must be seen.
        if (error instanceof AdjudgeError) throw error
        if (!(error instanceof MissingValue) && !(error instanceof GraderFailure)) throw error
        part = { score: null, reason: 'function_error', detail: messageOf(error) }
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

/** What a grader throws where this item cannot be graded. */
export class GraderFailure extends Error {}

export function scoreOf(score: number, reason: UnscoredReason = 'function_error'): Partial<GraderVerdict> {
  return Number.isFinite(score) ? { score } : { score: null, reason, detail: `the grader's result is ${score}` }
}
