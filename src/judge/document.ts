/** Checks a YAML document or an object against a TypeBox schema; errors say file, line, nearest key, what was expected. */
import type { Static, TSchema } from '@sinclair/typebox'
import { Value, ValueErrorType, type ValueError } from '@sinclair/typebox/value'
import { LineCounter, parseDocument, isMap, isScalar, isSeq, type Document } from 'yaml'
import { AdjudgeError, type ErrorCode } from '../errors.js'

/** `path` is a JSON pointer. */
export interface Problem {
  path: string
  message: string
}

interface CheckOptions<T> {
  file: string
  code: ErrorCode
  /** Checks of meaning, run only when the schema holds. */
  also?: (value: T) => Problem[]
  /** Values that go before those of the document, as of `--set a.b=c`; errors in them name the override. */
  overrides?: Override[]
  /** Fill in the schema's defaults before it is checked. */
  defaults?: boolean
}

export interface Override {
  path: string[]
  value: unknown
}

/** Throws `code` with one line per problem: `file:line: what is wrong; what was expected`. */
export function checkDocument<S extends TSchema>(schema: S, yaml: string, options: CheckOptions<Static<S>>): Static<S> {
  const lines = new LineCounter()
  const document = parseDocument(yaml, { lineCounter: lines, prettyErrors: false })
  const error = document.errors[0]
  if (error) {
    throw new AdjudgeError(options.code, `${options.file}:${lines.linePos(error.pos[0]).line}: ${error.message}`)
  }
  const overrides = options.overrides ?? []
  for (const { path, value } of overrides) {
    try {
      document.setIn(
        path.map((part) => (/^\d+$/.test(part) ? Number(part) : part)),
        document.createNode(value)
      )
    } catch (cause) {
      const message = `--set ${path.join('.')}: cannot be set (${(cause as Error).message})`
      throw new AdjudgeError(options.code, message, { cause })
    }
  }
  let value: unknown = document.toJS() ?? {}
  if (options.defaults) value = Value.Default(schema, value)
  const locate = (path: string): string => {
    const override = overrides.findLast((one) => `${path}/`.startsWith(`/${one.path.join('/')}/`))
    if (override) return `--set ${override.path.join('.')}`
    const offset = offsetOf(document, path)
    return offset === undefined ? options.file : `${options.file}:${lines.linePos(offset).line}`
  }
  return check(schema, value, options, locate)
}

export function checkObject<S extends TSchema>(schema: S, value: unknown, options: CheckOptions<Static<S>>): Static<S> {
  return check(schema, value, options, () => options.file)
}

function check<S extends TSchema>(
  schema: S,
  value: unknown,
  options: CheckOptions<Static<S>>,
  locate: (path: string) => string
): Static<S> {
  let problems = [...Value.Errors(schema, value)].flatMap(describe)
  if (problems.length === 0) problems = options.also?.(value) ?? []
  if (problems.length === 0) return value
  const seen = new Set<string>()
  const unique = problems.filter(({ path }) => !seen.has(path) && seen.add(path))
  throw new AdjudgeError(options.code, unique.map(({ path, message }) => `${locate(path)}: ${message}`).join('\n'))
}

/** Put on a union of objects: errors are those of the variant whose keys are most like the value's. */
export const byKeys = { byKeys: true }

function describe(error: ValueError): Problem[] {
  const { schema, value } = error
  if (error.type !== ValueErrorType.Union || !schema.byKeys || typeof value !== 'object' || value === null) {
    return [describeOne(error)]
  }
  const known = (variant: TSchema): number =>
    Object.keys(value).filter((key) => key in ((variant.properties as object | undefined) ?? {})).length
  const variants = schema.anyOf as TSchema[]
  const best = variants.reduce((most, one) => (known(one) > known(most) ? one : most))
  return [...error.errors[variants.indexOf(best)]!].flatMap(describe)
}

function describeOne(error: ValueError): Problem {
  const where = error.path.slice(1).replaceAll('/', '.') || 'the document'
  if (error.type === ValueErrorType.ObjectAdditionalProperties) {
    const key = error.path.split('/').pop() ?? ''
    const known = Object.keys((error.schema.properties as object | undefined) ?? {})
    const near = nearest(key, known)
    const hint = near ? `did you mean ${near}?` : `known keys: ${known.join(', ')}`
    return { path: error.path, message: `unknown key ${key}; ${hint}` }
  }
  if (error.type === ValueErrorType.ObjectRequiredProperty) {
    return { path: error.path, message: `${where} is missing; expected ${expected(error.schema)}` }
  }
  return { path: error.path, message: `${where} is ${shown(error.value)}; expected ${expected(error.schema)}` }
}

function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value)
  return text.length > 60 ? `${text.slice(0, 57)}...` : text
}

function expected(schema: TSchema): string {
  if (schema.const !== undefined) return JSON.stringify(schema.const)
  const choices = schema.anyOf as TSchema[] | undefined
  if (choices) return choices.map(expected).join(' or ')
  const limits: string[] = []
  if (schema.exclusiveMinimum !== undefined) limits.push(`above ${String(schema.exclusiveMinimum)}`)
  if (schema.minimum !== undefined) limits.push(`at least ${String(schema.minimum)}`)
  if (schema.maximum !== undefined) limits.push(`at most ${String(schema.maximum)}`)
  if (schema.minLength !== undefined) limits.push('not empty')
  if (schema.minItems !== undefined) limits.push(`at least ${String(schema.minItems)} long`)
  const article = /^[aio]/.test(String(schema.type)) ? 'an' : 'a'
  const kind = schema.type ? `${article} ${String(schema.type)}` : 'another value'
  const described = schema.description ? ` (${schema.description})` : ''
  return [kind, ...limits].join(', ') + described
}

/** Lines (from 1) of JSON pointers in a document; of what is not there, the line of its nearest parent. */
export function lineFinder(yaml: string): (path: string) => number {
  const lines = new LineCounter()
  const document = parseDocument(yaml, { lineCounter: lines, prettyErrors: false })
  return (path) => lines.linePos(offsetOf(document, path) ?? 0).line
}

/** Where a JSON pointer's key (or its nearest existing parent) stands in the source. */
function offsetOf(document: Document, path: string): number | undefined {
  let node: unknown = document.contents
  let offset = (node as { range?: [number, number, number] } | null)?.range?.[0]
  for (const part of path
    .split('/')
    .slice(1)
    .map((p) => p.replaceAll('~1', '/').replaceAll('~0', '~'))) {
    if (isMap(node)) {
      const pair = node.items.find((item) => String(isScalar(item.key) ? item.key.value : item.key) === part)
      if (!pair) return offset
      offset = (pair.key as { range?: [number, number, number] }).range?.[0] ?? offset
      node = pair.value
    } else if (isSeq(node)) {
      node = node.items[Number(part)]
      offset = (node as { range?: [number, number, number] } | undefined)?.range?.[0] ?? offset
    } else return offset
  }
  return offset
}

/** The known name within edit distance 2 (or a third of its length), else one that starts with it, if any. */
export function nearest(name: string, known: readonly string[]): string | undefined {
  let best: string | undefined
  let least = Math.max(2, Math.floor(name.length / 3)) + 1
  for (const candidate of known) {
    const distance = editDistance(name.toLowerCase(), candidate.toLowerCase())
    if (distance < least) {
      least = distance
      best = candidate
    }
  }
  return best ?? known.find((candidate) => name.length > 2 && candidate.startsWith(name.toLowerCase()))
}

/** Two neighbours swapped are half an edit: the likeliest slip of the hand, with every letter there. */
function editDistance(a: string, b: string): number {
  let before: number[] = []
  let row = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1] ? before[j - 2] + 0.5 : Infinity
      next.push(Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1), swapped))
    }
    before = row
    row = next
  }
  return row[b.length]
}
