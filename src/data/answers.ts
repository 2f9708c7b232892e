/** Answers to judge out of the rows of a file: which field is the prompt, which the answer, the reference, the id. */
import { createHash } from 'node:crypto'
import { AdjudgeError } from '../errors.js'
import { textOf } from '../judge/content.js'
import type { JudgeInput, JudgeMessage } from '../judge/types.js'
import { checkJudgeMessages, checkMessages } from './prompt.js'
import type { Row } from './rows.js'

/** Names of fields. What is not named is found by the names that data sets use. */
export interface AnswerFields {
  prompt?: string
  messages?: string
  answer?: string
  reference?: string
  id?: string
  /** Neighbouring rows with the same value here answer the same prompt. */
  group?: string
}

export type AnswerRole = keyof AnswerFields

/** What each field is called in the data sets that are about, likeliest first. */
const usual: Record<Exclude<AnswerRole, 'group'>, readonly string[]> = {
  messages: ['messages', 'conversation'],
  prompt: ['prompt', 'question', 'instruction', 'input', 'query', 'problem'],
  answer: [
    'completion',
    'completions',
    'answer',
    'response',
    'output',
    'output_text',
    'prediction',
    'generated_text',
    'answers',
    'responses'
  ],
  reference: ['reference', 'reference_answer', 'expected', 'expected_output', 'target', 'ideal'],
  id: ['id']
}

/** One answer with where it comes from. */
export interface GivenAnswer {
  row: Row
  input: JudgeInput
}

/** Reads answers by field names that are settled at the first row. */
export class AnswerReader {
  private fields: AnswerFields | undefined

  /** `flags`: how the user names a field, for messages (`--answer`). */
  constructor(
    private readonly named: AnswerFields,
    private readonly flags: (role: AnswerRole) => string = (role) => role
  ) {}

  /** Which field plays which part; empty before the first row. */
  get found(): AnswerFields {
    return this.fields ?? {}
  }

  /**
   * The answers of a row: one, or several where the field holds a list (of texts, or of objects with `text`).
   * Throws DATA_INVALID with file, line and field.
   */
  read(row: Row): GivenAnswer[] {
    const fields = (this.fields ??= this.settle(row))
    try {
      return this.answersOf(row, fields)
    } catch (cause) {
      throw new AdjudgeError('DATA_INVALID', `${row.place}: ${(cause as Error).message}`, { cause })
    }
  }

  private settle({ fields, place }: Row): AnswerFields {
    const has = (name: string | undefined): boolean => name !== undefined && fields[name] !== undefined
    const settled: AnswerFields = { ...this.named }
    for (const role of ['messages', 'prompt', 'reference', 'id', 'group'] as const) {
      const name = this.named[role]
      if (name === undefined || has(name)) continue
      const known = Object.keys(fields).join(', ') || 'none'
      throw new AdjudgeError(
        'DATA_INVALID',
        `${place}: there is no field ${name} (${this.flags(role)}; fields: ${known})`
      )
    }
    const taken = new Set(Object.values(this.named))
    for (const role of Object.keys(usual) as (keyof typeof usual)[]) {
      if (settled[role] !== undefined || (role === 'messages' && this.named.prompt !== undefined)) continue
      const names =
        role === 'answer' && endsInAnswer(fields[settled.messages ?? '']) ? usual.answer.slice(0, 2) : usual[role]
      const free = names.filter((one) => !taken.has(one))
      // What the first row lacks, later ones may have under its first name.
      const name = free.find((one) => has(one) && fields[one] !== '') ?? free[0]
      if (name === undefined) continue
      settled[role] = name
      taken.add(name)
    }
    return settled
  }

  private answersOf(row: Row, named: AnswerFields): GivenAnswer[] {
    const { fields } = row
    const name = named.answer ?? 'completion'
    const messages = this.messagesOf(fields, named)
    const value = fields[name]
    const last = messages.at(-1)!
    const fromTurn = value === undefined && last.role === 'assistant'
    const answers = fromTurn ? [textOf(last.content)] : answersIn(value, name, this.flags('answer'))
    const parts = new Set([named.messages, named.prompt, name])
    const item = Object.fromEntries(Object.entries(fields).filter(([field]) => !parts.has(field)))
    const reference = named.reference === undefined ? undefined : fields[named.reference]
    const id = named.id === undefined ? undefined : fields[named.id]
    const base = typeof id === 'string' || typeof id === 'number' ? String(id) : String(row.index)
    return answers.map((completion, index) => ({
      row,
      input: {
        id: answers.length > 1 ? `${base}#${index}` : base,
        messages: fromTurn ? messages.slice(0, -1) : messages,
        completion,
        item,
        ...(reference === undefined || reference === null || reference === '' ? {} : { reference: textIn(reference) }),
        ...(answers.length > 1 ? { group: { id: base, index, size: answers.length } } : {})
      }
    }))
  }

  private messagesOf(fields: Record<string, unknown>, named: AnswerFields): JudgeMessage[] {
    const list = named.messages === undefined ? undefined : fields[named.messages]
    if (list !== undefined && list !== '') return checkJudgeMessages(list, named.messages!)
    const prompt = fields[named.prompt ?? 'prompt']
    if (typeof prompt === 'string') return [{ role: 'user', content: withInput(prompt, fields, named) }]
    if (Array.isArray(prompt)) return checkJudgeMessages(prompt, named.prompt ?? 'prompt')
    const known = Object.keys(fields).join(', ') || 'none'
    const cure = `${this.flags('prompt')} or ${this.flags('messages')} names another field`
    throw new Error(`there is no messages and no prompt field (fields: ${known}); expected one of them (${cure})`)
  }
}

/** A conversation that ends with the assistant brings its answer: a field `answer` beside it is likely the right one. */
const endsInAnswer = (messages: unknown): boolean =>
  typeof messages === 'string'
    ? /"role"\s*:\s*"assistant"[^{}]*\}\s*\]\s*$/.test(messages)
    : Array.isArray(messages) && (messages.at(-1) as JudgeMessage | null)?.role === 'assistant'

/** Alpaca's two fields make one prompt. */
function withInput(prompt: string, fields: Record<string, unknown>, named: AnswerFields): string {
  const { input } = fields
  return named.prompt === 'instruction' && named.answer !== 'input' && typeof input === 'string' && input !== ''
    ? `${prompt}\n\n${input}`
    : prompt
}

const textIn = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value))

function answersIn(value: unknown, name: string, flag: string): string[] {
  if (typeof value === 'string') return [value]
  const wrong = (found: string): Error =>
    new Error(`field ${name} is ${found}; expected the answer (${flag} names another field)`)
  if (value === undefined || value === null) throw wrong('missing')
  if (!Array.isArray(value)) throw wrong('no text')
  if (value.length === 0) throw wrong('an empty list')
  if (value.length === 1 && (value[0] as JudgeMessage | null)?.role === 'assistant') {
    return checkMessages(value, name).map(({ content }) => content)
  }
  return value.map((one: unknown, index) => {
    const text = typeof one === 'object' && one !== null ? (one as { text?: unknown }).text : one
    if (typeof text !== 'string') throw wrong(`a list whose entry ${index + 1} is no text and has no field text`)
    return text
  })
}

/**
 * Neighbours that answer the same prompt, with their places in the group: by the field `group`, or where `together`, by
 * their messages. A lone answer has no group.
 */
export async function* answerGroups(
  rows: AsyncIterable<Row>,
  reader: AnswerReader,
  together = false
): AsyncGenerator<GivenAnswer[], void, undefined> {
  let group: GivenAnswer[] = []
  let key: string | undefined
  const finished = (): GivenAnswer[] =>
    group.map(({ row, input }, index) => ({
      row,
      input: group.length > 1 ? { ...input, group: { id: key!, index, size: group.length } } : input
    }))
  for await (const row of rows) {
    const answers = reader.read(row)
    const next = keyOf(row, answers, reader.found.group, together)
    if (next === undefined) {
      yield answers
      continue
    }
    if (next !== key && group.length > 0) {
      yield finished()
      group = []
    }
    key = next
    group.push(...answers)
  }
  if (group.length > 0) yield finished()
}

function keyOf(
  { fields }: Row,
  answers: readonly GivenAnswer[],
  field: string | undefined,
  together: boolean
): string | undefined {
  if (field !== undefined)
    return typeof fields[field] === 'string' ? fields[field] : (JSON.stringify(fields[field]) ?? '')
  return together ? createHash('sha256').update(JSON.stringify(answers[0].input.messages)).digest('hex') : undefined
}
