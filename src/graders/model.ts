/** score_model and label_model: a model answers the grader's own prompt. */
import { AdjudgeError } from '../errors.js'
import { openCaller } from '../judge/create.js'
import type { Caller } from '../judge/pipeline.js'
import { neutralise } from '../judge/fence.js'
import type { CallOptions, ProviderName } from '../judge/options.js'
import { checkCallOptions, providerNames } from '../judge/options.js'
import { askFor } from '../judge/prompt.js'
import { checkFields } from '../judge/fields.js'
import type { Field, Question } from '../judge/question.js'
import type { Message } from '../policy/types.js'
import { graderOf, textField } from './common.js'
import { Template, type TemplateScope } from './template.js'
import type { Grader, GraderOptions, GraderSpec } from './types.js'

/** A number in `range` (default [0, 1]). One outside of it, or none at all, is unscored: nothing is clipped. */
export async function scoreModelGrader(spec: GraderSpec, where: string, options: GraderOptions): Promise<Grader> {
  const [low, high] = rangeOf(spec, where)
  // Whole-number ranges of a few steps have score tokens, of which an expectation can be taken; [0, 1] has not.
  const integer = Number.isInteger(low) && Number.isInteger(high) && high - low > 1 && high - low <= 20
  const field: Field = { name: 'result', kind: 'number', low, high, integer }
  return modelGrader(spec, where, options, field, () => ({}))
}

/** 1 where the label is among `passing_labels`, else 0. A label that is not on the list is unscored. */
export async function labelModelGrader(spec: GraderSpec, where: string, options: GraderOptions): Promise<Grader> {
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
  options: GraderOptions,
  field: Field,
  scored: (value: unknown) => { score?: number }
): Promise<Grader> {
  const templates = messagesOf(spec, where)
  const callOptions = callOptionsOf(spec, where, options)
  checkCallOptions(callOptions)
  // OpenAI's own score_model reasons before its number; a judge that gives only probabilities cannot.
  const reasoning = field.kind === 'number' && callOptions.provider !== 'native' && callOptions.api !== 'decisions'
  checkFields(callOptions, [field], reasoning)
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
      return caller.pipeline.ask(question, {
        ...(input.id === undefined ? {} : { id: input.id }),
        ...(signal ? { signal } : {})
      })
    },
    () => caller.close()
  )
}

interface MessageTemplate {
  role: Message['role']
  content: Template
}

function messagesFor(
  templates: MessageTemplate[],
  scope: TemplateScope,
  field: Field,
  reasoning: boolean
): Pick<Question, 'messages' | 'injected'> {
  const output = neutralise(String(scope.sample.output_text))
  const safe: TemplateScope = { item: scope.item, sample: { ...scope.sample, output_text: output.text } }
  const messages = templates.map(({ role, content }) => ({ role, content: content.render(safe) }))
  messages.push({ role: 'user', content: askFor([field], reasoning) })
  // Two user turns in a row are one, for servers that insist on alternation.
  const merged: Message[] = []
  for (const message of messages) {
    const last = merged.at(-1)
    if (last?.role === message.role) last.content += `\n\n${message.content}`
    else merged.push({ ...message })
  }
  return { messages: merged, injected: output.injected }
}

function messagesOf(spec: GraderSpec, where: string): MessageTemplate[] {
  if (!Array.isArray(spec.input) || spec.input.length === 0) {
    throw new AdjudgeError(
      'GRADER_INVALID',
      `${where}.input is ${JSON.stringify(spec.input) ?? 'missing'}; expected messages`
    )
  }
  return (spec.input as unknown[]).map((message, index) => {
    const place = `${where}.input[${index}]`
    const { role, content } = (message ?? {}) as { role?: unknown; content?: unknown }
    const known = role === 'developer' ? 'system' : role
    if (known !== 'system' && known !== 'user' && known !== 'assistant') {
      throw new AdjudgeError(
        'GRADER_INVALID',
        `${place}.role is ${JSON.stringify(role) ?? 'missing'}; expected system, developer, user or assistant`
      )
    }
    return { role: known, content: Template.parse(contentText(content, place), `${place}.content`) }
  })
}

/** A text, a text part, or an array of text parts. */
function contentText(content: unknown, place: string): string {
  if (typeof content === 'string') return content
  const parts = Array.isArray(content) ? (content as unknown[]) : [content]
  return parts
    .map((part) => {
      if (typeof part === 'string') return part
      const { type, text } = (part ?? {}) as { type?: unknown; text?: unknown }
      if ((type === 'input_text' || type === 'output_text' || type === 'text') && typeof text === 'string') return text
      throw new AdjudgeError(
        'GRADER_INVALID',
        `${place}.content holds ${JSON.stringify(type) ?? 'no text'}; expected text`
      )
    })
    .join('')
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

/** OpenAI's spelling is `max_completions_tokens` in `sampling_params`; Azure's `sampling_parameters` is taken as well. */
function callOptionsOf(spec: GraderSpec, where: string, options: GraderOptions): CallOptions {
  const given = options.judge ?? {}
  const sampling = (spec.sampling_params ?? spec.sampling_parameters ?? {}) as Record<string, unknown>
  const number = (...names: string[]): number | undefined =>
    names.map((name) => sampling[name]).find((value): value is number => typeof value === 'number')
  const provider = (spec.provider ?? given.provider ?? 'openai') as ProviderName
  if (provider === 'function' || !providerNames.includes(provider)) {
    const known = providerNames.filter((name) => name !== 'function').join(', ')
    throw new AdjudgeError(
      'GRADER_INVALID',
      `${where}.provider is ${JSON.stringify(provider)}; expected one of ${known}`
    )
  }
  // A native model that is already loaded is handed in by the options; the grader's name for it is only a name.
  const model =
    given.model !== undefined && typeof given.model !== 'string' ? given.model : textField(spec, 'model', where)
  const maxTokens = number('max_completions_tokens', 'max_completion_tokens', 'max_tokens') ?? given.maxTokens
  const temperature = number('temperature') ?? given.temperature
  const seed = number('seed') ?? given.seed
  const baseURL = typeof spec.base_url === 'string' ? spec.base_url : given.baseURL
  const {
    rubric: _rubric,
    function: _function,
    reasoning: _reasoning,
    prompt: _prompt,
    emptyAnswer: _empty,
    ...rest
  } = given
  return {
    ...rest,
    provider,
    model,
    ...(maxTokens === undefined ? {} : { maxTokens }),
    ...(temperature === undefined ? {} : { temperature }),
    ...(seed === undefined ? {} : { seed }),
    ...(baseURL === undefined ? {} : { baseURL })
  }
}
