/** One record's text as fields. What is wrong is a plain Error that says what was expected; callers add the place. */
import { parse } from 'csv-parse/sync'

export function jsonRecord(text: string): Record<string, unknown> {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw new Error(`no JSON (${(cause as Error).message}); expected one object per line`, { cause })
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new Error(`${Array.isArray(value) ? 'a list' : `a ${typeof value}`}; expected one object per line`)
  }
  return value as Record<string, unknown>
}

function csvCells(text: string): string[] {
  try {
    const rows: string[][] = parse(text.replace(/\r$/, ''), { relax_column_count: true })
    return rows[0] ?? []
  } catch (cause) {
    throw new Error(`no CSV (${(cause as Error).message})`, { cause })
  }
}

/** The names in a CSV's first record. */
export function csvNames(text: string): string[] {
  const names = csvCells(text).map((name) => name.trim())
  const wrong = names.findIndex((name, index) => name === '' || names.indexOf(name) !== index)
  if (wrong >= 0) {
    const found = names[wrong] === '' ? 'has no name' : `has the name ${names[wrong]} of another`
    throw new Error(`field ${wrong + 1} ${found}; expected a first line with one name per field`)
  }
  return names
}

export function csvRecord(names: readonly string[], text: string): Record<string, unknown> {
  const cells = csvCells(text)
  if (cells.length !== names.length) {
    throw new Error(`${cells.length} fields; expected ${names.length} (${names.join(', ')})`)
  }
  return Object.fromEntries(cells.map((cell, index) => [names[index], cell]))
}
