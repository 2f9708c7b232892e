/** What the call pipeline is asked: messages, the fields an answer must have, and how they become a verdict. */
import type { JudgeMessage, UnscoredReason } from './types.js'

/** One value that the judge must give. Nothing outside of its range or list is taken, and nothing is clamped. */
export type Field =
  | { name: string; kind: 'number'; low: number; high: number; integer: boolean; description?: string }
  | { name: string; kind: 'boolean'; description?: string }
  | { name: string; kind: 'label'; labels: string[]; description?: string }

export type FieldValue = number | boolean | string

/** A field's value with, where log-probs were returned, the probabilities it is the expectation of. */
export interface FieldAnswer {
  value: FieldValue
  distribution?: Record<string, number>
  mass?: number
}

export type Answers = Record<string, FieldAnswer>

export interface Question {
  /** System (optional) and user messages, rendered and fenced. */
  messages: JudgeMessage[]
  /** The same as JSON, where it is already written: `messagesJson` writes it once. */
  json?: string
  fields: Field[]
  /** Whether a `reasoning` text goes before the fields. */
  reasoning: boolean
  /** True where forged markers were found in the untrusted text and neutralised. */
  injected: boolean
  /**
   * How `messages` and `choicePrompts` begin for every input: what stands in them is the same text up to where the last
   * message ends. A native judge prefills it once.
   */
  constant?: JudgeMessage[]
  /** The text that is judged, as it stands in the messages: what the reply quotes of it is no verdict. */
  untrusted?: string
  /** Closed-choice form for judges that only compare continuations: one prompt per field. */
  choicePrompts?: JudgeMessage[][]
  /** True where, after one re-ask, the fields that were given count without the others. */
  partial?: boolean
  /** What is judged, as it came: for reward servers and classifiers, which take no instructions. */
  material?: Material
  /** What `combine` goes by beside the answers (weights, vetoes, passing labels): part of the ledger's key. */
  rule: unknown
  combine(answers: Answers): Combined
}

export interface Material {
  /** The conversation; the answer is not in it. */
  messages: JudgeMessage[]
  completion: string
  reference?: string
  /** The data set's other fields. */
  item?: Record<string, unknown>
}

export interface Combined {
  score: number | null
  /** Why `score` is null. */
  reason?: UnscoredReason
  detail?: string
  criteria?: Record<string, number | null>
  distribution?: Record<string, number>
  mass?: number
  label?: string
}

/** `[{"role":…,"content":…},…]`, in this order: what goes into key, request and ledger. */
export function messagesJson(question: Question): string {
  return (question.json ??= JSON.stringify(question.messages.map(({ role, content }) => ({ role, content }))))
}

/** The strings that stand for a field's values in a closed choice, or undefined where there are too many. */
export function choicesOf(field: Field): { label: string; value: FieldValue }[] | undefined {
  if (field.kind === 'boolean')
    return [
      { label: 'true', value: true },
      { label: 'false', value: false }
    ]
  if (field.kind === 'label') return field.labels.map((label) => ({ label, value: label }))
  if (!field.integer || field.high - field.low > 20) return undefined
  const count = field.high - field.low + 1
  return Array.from({ length: count }, (_, index) => ({ label: String(field.low + index), value: field.low + index }))
}

const schemas = new WeakMap<Field[], Partial<Record<'none' | 'before', Record<string, unknown>>>>()

/** A strict JSON schema for the fields, in the form that all providers take; the same object for the same fields. */
export function schemaOf(fields: Field[], reasoning: boolean): Record<string, unknown> {
  let known = schemas.get(fields)
  if (!known) schemas.set(fields, (known = {}))
  return (known[reasoning ? 'before' : 'none'] ??= makeSchema(fields, reasoning))
}

function makeSchema(fields: Field[], reasoning: boolean): Record<string, unknown> {
  const properties: Record<string, unknown> = {}
  if (reasoning) properties.reasoning = { type: 'string', description: 'A short reasoning that leads to the score.' }
  for (const field of fields) {
    const description = field.description ? { description: field.description } : {}
    const choices = choicesOf(field)
    if (field.kind === 'boolean') properties[field.name] = { type: 'boolean', ...description }
    else if (field.kind === 'label') properties[field.name] = { type: 'string', enum: field.labels, ...description }
    else if (choices) properties[field.name] = { type: 'integer', enum: choices.map((c) => c.value), ...description }
    else properties[field.name] = { type: field.integer ? 'integer' : 'number', ...description }
  }
  return { type: 'object', properties, required: Object.keys(properties), additionalProperties: false }
}
