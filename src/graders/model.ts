/** score_model and label_model: a model answers the grader's own prompt. */
import { AdjudgeError } from '../errors.js'
import { openCaller } from '../judge/create.js'
import type { Caller } from '../judge/pipeline.js'
import { checkCallOptions } from '../judge/options.js'
import { checkFields } from '../judge/fields.js'
import type { Field, Question } from '../judge/question.js'
import { checkedGrader, graderOf } from './common.js'
import { modelErrors } from './failure.js'
import { messagesFor, messagesOf } from './messages.js'
import { callOptionsOf } from './sampling.js'
import type { Grader, GraderSpec, MakerOptions } from './types.js'

/** A number in `range` (default [0, 1]). One outside of it, or none at all, is unscored: nothing is clipped. */
export async function scoreModelGrader(spec: GraderSpec, where: string, options: MakerOptions): Promise<Grader> {
  const [low, high] = rangeOf(spec, where)
  // Whole-number ranges of a few steps have score tokens, of which an expectation can be taken; [0, 1] has not.
  const integer = Number.isInteger(low) && Number.isInteger(high) && high - low > 1 && high - low <= 20
  const field: Field = { name: 'result', kind: 'number', low, high, integer }
  return modelGrader(spec, where, options, field, () => ({}))
}

/** 1 where the label is among `passing_labels`, else 0. A label that is not on the list is unscored. */
export async function labelModelGrader(spec: GraderSpec, where: string, options: MakerOptions): Promise<Grader> {
  const labels = labelsOf(spec, 'labels', where)
  const passing = labelsOf(spec, 'passing_labels', where)
  const stray = passing.find((label) => !labels.includes(label))
  if (stray !== undefined) {
    throw new AdjudgeError(
      'GRADER_INVALID',
      `${where}.passing_labels holds ${stray}; expected some of ${labels.join(', ')}`
    )
  }
  return modelGrader(spec, where, options, { name: 'result', kind: 'label', labels }, (label) => ({
    score: passing.includes(label as string) ? 1 : 0
  }))
}

async function modelGrader(
  spec: GraderSpec,
  where: string,
  options: MakerOptions,
  field: Field,
  scored: (value: unknown) => { score?: number }
): Promise<Grader> {
  const templates = messagesOf(spec, where)
  const callOptions = callOptionsOf(spec, where, options)
  checkCallOptions(callOptions)
  // OpenAI's own score_model reasons before its number; a judge that gives only probabilities cannot.
  const reasoning = field.kind === 'number' && callOptions.provider !== 'native' && callOptions.api !== 'decisions'
  checkFields(callOptions, [field], reasoning)
  // Opening it needs the provider's key.
  if (options.checkOnly) return checkedGrader(spec)
  const modelName = [callOptions.model, spec.model].find((name) => typeof name === 'string') ?? 'native'
  const caller: Caller = await openCaller(callOptions, 1024)
  return graderOf(
    spec,
    where,
    async (scope, input, { signal }) => {
      const question: Question = {
        ...messagesFor(templates, scope, field, reasoning),
        fields: [field],
        reasoning,
        rule: spec.passing_labels ?? null,
        combine: ({ result }) => ({
          score: result.value as number,
          ...(result.distribution ? { distribution: result.distribution } : {}),
          ...(result.mass === undefined ? {} : { mass: result.mass }),
          ...scored(result.value),
          ...(field.kind === 'label' ? { label: String(result.value) } : {})
        })
      }
      const verdict = await caller.pipeline.ask(question, {
        ...(input.id === undefined ? {} : { id: input.id }),
        ...(signal ? { signal } : {})
      })
      return {
        ...verdict,
        usageByModel: { [modelName]: verdict.usage },
        ...(verdict.score === null
          ? { errors: modelErrors(verdict.reason ?? 'provider_error', verdict.detail ?? 'no score') }
          : {})
      }
    },
    () => caller.close()
  )
}

function rangeOf(spec: GraderSpec, where: string): [number, number] {
  if (spec.range === undefined) return [0, 1]
  const range = spec.range as unknown[]
  const [low, high] = Array.isArray(range) ? range : []
  if (range.length !== 2 || typeof low !== 'number' || typeof high !== 'number' || !(low < high)) {
    throw new AdjudgeError('GRADER_INVALID', `${where}.range is ${JSON.stringify(spec.range)}; expected [low, high]`)
  }
  return [low, high]
}

function labelsOf(spec: GraderSpec, name: string, where: string): string[] {
  const labels = spec[name]
  if (!Array.isArray(labels) || labels.length === 0 || !labels.every((label) => typeof label === 'string')) {
    throw new AdjudgeError(
      'GRADER_INVALID',
      `${where}.${name} is ${JSON.stringify(labels) ?? 'missing'}; expected texts`
    )
  }
  return labels
}
