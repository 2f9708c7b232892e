/** A file of records read once from its beginning to its end, in flat memory: JSONL, CSV, Parquet, or standard input. */
import { createReadStream, statSync } from 'node:fs'
import { AdjudgeError } from '../errors.js'
import { openParquet } from './parquet.js'
import { splitRecords } from './records.js'
import { csvNames, csvRecord, jsonRecord } from './recordText.js'

export type RowFormat = 'jsonl' | 'csv' | 'parquet'
export const rowFormats: readonly RowFormat[] = ['jsonl', 'csv', 'parquet']

export interface Row {
  /** Place among the records, from 0. */
  index: number
  /** For messages: `file:line`, of Parquet `file: row n`. */
  place: string
  fields: Record<string, unknown>
  /** How much of the file lies before its end, in [0, 1]; null where the size is unknown. */
  share: number | null
}

/** Standard input as a name. */
export const standardInput = '-'

export interface RowsOptions {
  /** Default: by the name's ending; of standard input by its first character. */
  format?: RowFormat
  /** What is read where the name is `-`. Default: the process's. */
  input?: AsyncIterable<Uint8Array>
}

/**
 * Reads a .jsonl (also .ndjson, .json), .csv or .parquet file, or standard input (`-`), as the rows are asked for.
 * Throws FILE_NOT_FOUND, FILE_UNREADABLE, DATA_EMPTY, or DATA_INVALID with file and line.
 */
export async function* readRows(path: string, options: RowsOptions = {}): AsyncGenerator<Row> {
  let count = 0
  for await (const row of open(path, options)) {
    count++
    yield row
  }
  if (count === 0) {
    throw new AdjudgeError('DATA_EMPTY', `${nameOf(path)}: the data set has no items; expected at least one record`)
  }
}

const nameOf = (path: string): string => (path === standardInput ? 'standard input' : path)

function open(path: string, { format, input }: RowsOptions): AsyncGenerator<Row> {
  const kind = format ?? formatOf(path)
  if (path === standardInput) {
    if (kind === 'parquet') {
      throw new AdjudgeError(
        'DATA_INVALID',
        'standard input: Parquet is read from a file only, for it begins at its end'
      )
    }
    return textRows(path, input ?? (process.stdin as AsyncIterable<Uint8Array>), null, kind)
  }
  const size = sizeOf(path)
  if (kind === 'parquet') return parquetRows(path)
  return textRows(path, createReadStream(path, { highWaterMark: 1 << 18 }) as AsyncIterable<Uint8Array>, size, kind)
}

function formatOf(path: string): RowFormat | undefined {
  if (path === standardInput) return undefined
  if (/\.csv$/i.test(path)) return 'csv'
  if (/\.parquet$/i.test(path)) return 'parquet'
  if (/\.(jsonl|ndjson|json)$/i.test(path)) return 'jsonl'
  throw new AdjudgeError(
    'DATA_INVALID',
    `${path}: unknown kind of file; expected .jsonl, .csv or .parquet, or --format to say which it is`
  )
}

function sizeOf(path: string): number {
  try {
    const status = statSync(path)
    if (status.isDirectory()) throw new Error('it is a folder')
    return status.size
  } catch (cause) {
    throw unreadable(path, cause)
  }
}

function unreadable(path: string, cause: unknown): AdjudgeError {
  const { code, message } = cause as NodeJS.ErrnoException
  if (code === 'ENOENT') return new AdjudgeError('FILE_NOT_FOUND', `${path}: there is no such file`, { cause })
  return new AdjudgeError('FILE_UNREADABLE', `${nameOf(path)}: cannot be read (${message})`, { cause })
}

async function* textRows(
  path: string,
  bytes: AsyncIterable<Uint8Array>,
  size: number | null,
  given: RowFormat | undefined
): AsyncGenerator<Row> {
  let index = 0
  let names: string[] | undefined
  const { kind, chunks } = await sniffed(guarded(path, bytes), given)
  for await (const { text, line, end } of splitRecords(chunks, kind === 'csv')) {
    const place = `${nameOf(path)}:${line}`
    let fields: Record<string, unknown>
    try {
      if (kind === 'csv' && !names) {
        names = csvNames(text)
        continue
      }
      fields = names ? csvRecord(names, text) : jsonRecord(text)
    } catch (cause) {
      throw new AdjudgeError('DATA_INVALID', `${place}: ${(cause as Error).message}`, { cause })
    }
    yield { index: index++, place, fields, share: size === null ? null : Math.min(1, end / size) }
  }
}

async function* guarded(path: string, bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    yield* bytes
  } catch (cause) {
    throw unreadable(path, cause)
  }
}

/** Tells JSONL from CSV by the first character, where nobody said which it is. */
async function sniffed(
  bytes: AsyncGenerator<Uint8Array>,
  given: RowFormat | undefined
): Promise<{ kind: RowFormat; chunks: AsyncIterable<Uint8Array> }> {
  if (given) return { kind: given, chunks: bytes }
  const first: Uint8Array[] = []
  let kind: RowFormat = 'jsonl'
  for (;;) {
    const next = await bytes.next()
    if (next.done) break
    first.push(next.value)
    const character = Buffer.concat(first)
      .toString('latin1')
      .replace(/^\xEF(\xBB(\xBF)?)?/, '')
      .trimStart()[0]
    if (character === undefined) continue
    if (character !== '{') kind = 'csv'
    break
  }
  return {
    kind,
    chunks: (async function* () {
      yield* first
      yield* bytes
    })()
  }
}

async function* parquetRows(path: string): AsyncGenerator<Row> {
  let index = 0
  try {
    const file = await openParquet(path)
    for await (const fields of file.rows()) {
      const place = `${path}: row ${index + 1}`
      yield { index: index++, place, fields, share: index / file.count }
    }
  } catch (cause) {
    if (cause instanceof AdjudgeError) throw cause
    throw new AdjudgeError('DATA_INVALID', `${path}: cannot be read as Parquet (${(cause as Error).message})`, {
      cause
    })
  }
}
