/** From a preset's name or a partial record (YAML's snake_case or camelCase) to a complete, validated record. */
import type { Static, TSchema } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'
import { AdjudgeError } from '../errors.js'
import { nearestName } from './nearest.js'

type Plain = Record<string, unknown>

/** One kind of record: `algorithm`, `value`, … */
export interface RecordKind<Schema extends TSchema> {
  /** Said at the start of an error. */
  kind: string
  schema: Schema
  /** What every preset starts from. */
  base: Static<Schema>
  /** Fields that differ from `base`, by preset. */
  presets: Readonly<Record<string, object>>
  /** What a record given for a field that is null by default, or one element of a list of records, is completed with. */
  parts?: Readonly<Record<string, object>>
}

export const isPlain = (value: unknown): value is Plain =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

export const camelCase = (key: string) => key.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase())
export const snakeCase = (key: string) => key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)

export const invalidRecord = (kind: string, message: string) =>
  new AdjudgeError('ALGORITHM_INVALID', `${kind}: ${message}`)

/** Puts the fields of `change` over those of `target`; unknown keys are answered with the nearest known one. */
function merge(kind: RecordKind<TSchema>, target: Plain, change: Plain, path: string): Plain {
  const result: Plain = { ...target }
  for (const [key, value] of Object.entries(change)) {
    if (value === undefined) continue
    const name = camelCase(key)
    if (!Object.hasOwn(target, name)) {
      const names = Object.keys(target).map(snakeCase)
      const near = nearestName(snakeCase(name), names)
      throw invalidRecord(kind.kind, `unknown key "${path}${key}"; did you mean "${path}${near}"?`)
    }
    result[name] = mergeField(kind, target[name], value, name, `${path}${key}`)
  }
  return result
}

function mergeField(kind: RecordKind<TSchema>, held: unknown, value: unknown, name: string, path: string): unknown {
  const part = kind.parts?.[name] as Plain | undefined
  if (part && Array.isArray(value)) {
    return value.map((element: unknown, index) =>
      isPlain(element) ? merge(kind, part, element, `${path}[${index}].`) : element
    )
  }
  const present = Array.isArray(held) ? undefined : (held ?? part)
  if (!isPlain(present) || value === null) return value
  if (!isPlain(value)) throw invalidRecord(kind.kind, `"${path}" must be a record`)
  return merge(kind, present, value, `${path}.`)
}

function presetOf(kind: RecordKind<TSchema>, name: unknown): Plain {
  if (typeof name !== 'string') throw invalidRecord(kind.kind, '"preset" must be the name of a preset')
  const preset = Object.hasOwn(kind.presets, name) ? kind.presets[name] : undefined
  if (!preset) {
    const names = Object.keys(kind.presets)
    const near = nearestName(name, names)
    throw invalidRecord(kind.kind, `unknown preset "${name}"; did you mean "${near}"? (${names.join(', ')})`)
  }
  return merge(kind, { ...(kind.base as Plain), preset: name }, preset as Plain, '')
}

function literalsOf(schema: unknown): string[] {
  const options = (schema as { anyOf?: { const?: unknown }[] }).anyOf ?? []
  return options.map((option) => option.const).filter((word) => typeof word === 'string')
}

function check<Schema extends TSchema>(kind: RecordKind<Schema>, record: Plain): Static<Schema> {
  if (Value.Check(kind.schema, record)) return record
  const error = Value.Errors(kind.schema, record).First()
  const field = (error?.path ?? '').split('/').slice(1).map(snakeCase).join('.')
  const words = error ? literalsOf(error.schema) : []
  const value = JSON.stringify(error?.value)
  if (words.length > 0) {
    const near = typeof error?.value === 'string' ? `; did you mean "${nearestName(error.value, words)}"?` : ''
    throw invalidRecord(kind.kind, `"${field}" is ${value}, expected one of ${words.join(', ')}${near}`)
  }
  throw invalidRecord(kind.kind, `"${field}" is ${value}: ${error?.message ?? 'wrong value'}`)
}

/**
 * Completes and validates a record.
 * @param options a preset's name, or a record with changed fields whose `preset` says what they change; without it,
 *   the preset of the base.
 * @throws AdjudgeError `ALGORITHM_INVALID` for an unknown preset, key or value, with the nearest valid name.
 */
export function resolveRecord<Schema extends TSchema>(kind: RecordKind<Schema>, options: unknown): Static<Schema> {
  if (typeof options === 'string') return check(kind, presetOf(kind, options))
  if (!isPlain(options)) throw invalidRecord(kind.kind, 'expected the name of a preset, or a record')
  const { preset = (kind.base as Plain).preset, ...changes } = options
  return check(kind, merge(kind, presetOf(kind, preset), changes, ''))
}
