/** From a reply's text to field values: strict JSON, then repaired JSON, then a score pattern. Nothing is guessed. */
import type { Answers, Field, FieldValue } from './question.js'
import { readTolerantObject } from './tolerantJson.js'

export type Parsed =
  | { ok: true; answers: Answers; rationale?: string; repaired: boolean }
  /** `error` is written to be shown to the judge when it is asked again; `answers`: what was right nevertheless. */
  | { ok: false; reason: 'unparseable' | 'out_of_range'; error: string; answers?: Answers }

/**
 * `text` as the provider returned it; one that was `cut` at the token limit gives only values that are surely whole.
 * `untrusted`: what was judged. A verdict that stands there word for word is a quotation where the reply has other text
 * beside it, wherever the judge put it.
 */
export function parseReply(text: string, fields: Field[], cut = false, untrusted = ''): Parsed {
  const stripped = text.replace(/<think>[\s\S]*?<\/think>/g, '').trim()
  if (stripped === '') return { ok: false, reason: 'unparseable', error: 'The reply was empty.' }
  const strict = strictObject(stripped)
  if (strict) return take(strict, fields, false)
  const found = lastObject(stripped, fields, untrusted)
  if (found) return take(found, fields, true)
  const first = fields[0]
  // In a reply that was cut, or in an object that never closes, the last digits may be missing.
  const open = cut || stripped.lastIndexOf('{') > stripped.lastIndexOf('}')
  if (fields.length === 1 && first && !open) return fromPattern(stripped, first, untrusted)
  return { ok: false, reason: 'unparseable', error: 'The reply held no JSON object.' }
}

function strictObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return isObject(value) ? value : undefined
  } catch {
    return undefined
  }
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/**
 * The last object that has one of the fields: a judge that quotes a forged verdict gives its own after it. Plain JSON
 * goes before what had to be repaired: a quotation that is left open must not swallow the verdict that follows.
 */
function lastObject(text: string, fields: Field[], untrusted: string): Record<string, unknown> | undefined {
  let plain: Record<string, unknown> | undefined
  let repaired: Record<string, unknown> | undefined
  let index = 0
  let tries = 0
  while (tries++ < 64 && (index = text.indexOf('{', index)) >= 0) {
    const result = readTolerantObject(text, index)
    const value = result?.value
    if (!result || !isObject(value)) index++
    else {
      // What is left open runs on into the judge's own words: there its beginning says whose it is.
      const source = text.slice(index, result.end)
      const shown = result.repaired ? /^\{[^,}\n]*/.exec(source)![0] : source
      const own = fields.some(({ name }) => name in value) && !untrusted.includes(shown)
      if (own && result.repaired) repaired = value
      else if (own) plain = value
      index = closes(text, index, result.end) ? result.end : index + 1
    }
  }
  return plain ?? repaired
}

/** False where the object was never closed: one more brace would close it. */
const closes = (text: string, start: number, end: number): boolean =>
  readTolerantObject(`${text.slice(start, end)}}`)?.end === end - start

function take(object: Record<string, unknown>, fields: Field[], repaired: boolean): Parsed {
  const answers: Answers = {}
  const problems: Problem[] = []
  for (const field of fields) {
    const value = object[field.name]
    const problem = problemOf(field, value)
    if (problem) problems.push(problem)
    else answers[field.name] = { value: value as FieldValue }
  }
  if (problems.length > 0) return { ok: false, ...problems[0], error: problemsText(problems), answers }
  const rationale = ['reasoning', 'rationale', 'explanation']
    .map((key) => object[key])
    .find((v) => typeof v === 'string')
  return { ok: true, answers, repaired, ...(rationale ? { rationale: rationale } : {}) }
}

interface Problem {
  reason: 'unparseable' | 'out_of_range'
  error: string
}

const problemsText = (problems: readonly Problem[]): string =>
  problems
    .slice(0, 8)
    .map(({ error }) => error)
    .join(' ')

/** Why a value cannot stand for a field; undefined where it can. */
export function problemOf(field: Field, value: unknown): Problem | undefined {
  const shown = value === undefined ? 'missing' : typeof value === 'number' ? String(value) : JSON.stringify(value)
  const unparseable = (expected: string): Problem => ({
    reason: 'unparseable',
    error: `"${field.name}" was ${shown}; expected ${expected}.`
  })
  if (field.kind === 'boolean') return typeof value === 'boolean' ? undefined : unparseable('true or false')
  if (field.kind === 'label') {
    return typeof value === 'string' && field.labels.includes(value)
      ? undefined
      : unparseable(`one of ${field.labels.join(', ')}`)
  }
  const expected = `${field.integer ? 'a whole number' : 'a number'} from ${field.low} to ${field.high}`
  if (typeof value !== 'number' || !Number.isFinite(value)) return unparseable(expected)
  if (value < field.low || value > field.high) {
    return { reason: 'out_of_range', error: `"${field.name}" was ${shown}; expected ${expected}.` }
  }
  if (field.integer && !Number.isInteger(value)) return unparseable(expected)
  return undefined
}

/** For one field: a bare value, `[[4]]`, or the last `score: 4` / `4/5`. */
function fromPattern(text: string, field: Field, untrusted: string): Parsed {
  const taken = (value: FieldValue): Parsed => {
    const error = problemOf(field, value)
    return error
      ? { ok: false, ...error }
      : { ok: true, answers: { [field.name]: { value } }, repaired: true, ...rationaleOf(text) }
  }
  if (field.kind === 'label') {
    const bare = text.replace(/^["'`*\s]+|["'`*.\s]+$/g, '')
    if (field.labels.includes(bare)) return taken(bare)
    return { ok: false, reason: 'unparseable', error: `The reply was none of ${field.labels.join(', ')}.` }
  }
  if (field.kind === 'boolean') {
    const bare = /^\W*(true|false)\W*$/i.exec(text)?.[1]
    if (bare) return taken(bare.toLowerCase() === 'true')
    return { ok: false, reason: 'unparseable', error: 'The reply was neither true nor false.' }
  }
  const number = String.raw`([+-]?\d+(?:\.\d+)?)(?:\s*(?:\/|out of)\s*(\d+(?:\.\d+)?))?`
  const bare = new RegExp(String.raw`^[\s*\[("'\x60]*${number}[\s*\])"'\x60.]*$`).exec(text)
  const marked = [
    ...text.matchAll(
      new RegExp(
        String.raw`(?:\b(?:score|rating|grade|result)\b["'*\s]*(?:is|of|:|=)?["'*\s]*|\[\[\s*)${number}(?![\d%])`,
        'gi'
      )
    )
  ]
    .filter(([whole]) => !untrusted.includes(whole))
    .pop()
  const match = bare ?? marked
  if (!match) return { ok: false, reason: 'unparseable', error: 'The reply held no JSON object and no score.' }
  if (match[2] !== undefined && Number(match[2]) !== field.high) {
    return {
      ok: false,
      reason: 'out_of_range',
      error: `The score was given out of ${match[2]}; expected a number from ${field.low} to ${field.high}.`
    }
  }
  return taken(Number(match[1]))
}

const rationaleOf = (text: string): { rationale?: string } => (text.length > 12 ? { rationale: text } : {})
