/**
 * A data set on disk: JSONL (one object per line) or CSV (first record names the fields). Items are read by byte offset
 * when they are asked for; in memory there are only their places.
 */
import { open, type FileHandle } from 'node:fs/promises'
import { AdjudgeError } from '../errors.js'
import type { Message } from '../policy/types.js'
import { answerFields, givenAnswers, type GivenAnswers } from './given.js'
import { ownMessages, PromptTemplates, type PromptTemplateSource } from './prompt.js'
import { findRecords, type RecordTable } from './records.js'
import { csvNames, csvRecord, jsonRecord } from './recordText.js'

export interface DatasetOptions {
  /** Templates over `item.<field>`; without them each item brings `messages` or `prompt`. */
  prompt?: PromptTemplateSource
}

export interface DataItem {
  /** Place in the file, from 0. */
  index: number
  /** First line of the record, from 1. */
  line: number
  /** The item's own `id` field as text, else its index. */
  id: string
  messages: Message[]
  /** All fields but `messages` and `prompt`: what templates and reward functions see as `item.*`. */
  item: Record<string, unknown>
  /** The item's `reference` field, where it is a text. */
  reference?: string
}

/** An item and the answers that its record brings. */
export type AnsweredItem = DataItem & Pick<GivenAnswers, 'kind' | 'completions'>

export class Dataset implements AsyncDisposable {
  private constructor(
    readonly path: string,
    private readonly handle: FileHandle,
    private readonly table: RecordTable,
    /** Field names; null for JSONL. */
    private readonly columns: string[] | null,
    private readonly templates: PromptTemplates | undefined
  ) {}

  /**
   * Opens a .jsonl (also .ndjson, .json) or .csv file and finds its records. Throws FILE_NOT_FOUND, FILE_UNREADABLE,
   * DATA_EMPTY, DATA_INVALID (a CSV header without names) or CONFIG_INVALID (a malformed template).
   */
  static async open(path: string, options: DatasetOptions = {}): Promise<Dataset> {
    const templates = options.prompt === undefined ? undefined : PromptTemplates.parse(options.prompt)
    const csv = /\.csv$/i.test(path)
    if (!csv && !/\.(jsonl|ndjson|json)$/i.test(path)) {
      throw new AdjudgeError('DATA_INVALID', `${path}: unknown kind of data set; expected a .jsonl or .csv file`)
    }
    let handle: FileHandle | undefined
    try {
      handle = await open(path, 'r')
      const table = await findRecords(path, csv)
      const dataset = new Dataset(path, handle, table, csv ? [] : null, templates)
      if (csv) await dataset.readHeader()
      if (dataset.length === 0) {
        throw new AdjudgeError('DATA_EMPTY', `${path}: the data set has no items; expected at least one record`)
      }
      return dataset
    } catch (cause) {
      await handle?.close()
      if (cause instanceof AdjudgeError) throw cause
      const { code, message } = cause as NodeJS.ErrnoException
      if (code === 'ENOENT') throw new AdjudgeError('FILE_NOT_FOUND', `${path}: there is no such file`, { cause })
      throw new AdjudgeError('FILE_UNREADABLE', `${path}: cannot be read (${message})`, { cause })
    }
  }

  get length(): number {
    return this.table.starts.length - (this.columns ? 1 : 0)
  }

  /** The record's fields as they stand in the file. Throws DATA_INVALID with file and line. */
  async fields(index: number): Promise<Record<string, unknown>> {
    const row = this.rowOf(index)
    const text = await this.textOf(row)
    const { columns } = this
    return this.placed(row, () => (columns ? csvRecord(columns, text) : jsonRecord(text)))
  }

  /** Throws DATA_INVALID with file and line where the record cannot be read or gives no messages. */
  async item(index: number): Promise<DataItem> {
    return this.itemOf(index, await this.fields(index))
  }

  /**
   * An item with the answers that its record brings; they may carry the prompt too.
   * Throws DATA_INVALID with file, line and field.
   */
  async answered(index: number): Promise<AnsweredItem> {
    const fields = await this.fields(index)
    const row = this.rowOf(index)
    let answers: GivenAnswers
    try {
      answers = givenAnswers(fields)
    } catch (cause) {
      throw this.invalid(row, (cause as Error).message, cause)
    }
    const { kind, completions, messages } = answers
    const item = this.itemOf(index, fields, this.templates ? undefined : messages)
    for (const name of answerFields) delete item.item[name]
    return { ...item, kind, completions }
  }

  private itemOf(index: number, fields: Record<string, unknown>, carried?: Message[]): DataItem {
    const row = this.rowOf(index)
    let messages: Message[]
    try {
      messages = this.templates ? this.templates.render(fields) : (carried ?? ownMessages(fields))
    } catch (cause) {
      throw this.invalid(row, (cause as Error).message, cause)
    }
    const line = this.table.lines[row]
    const { id, reference } = fields
    const item = Object.fromEntries(Object.entries(fields).filter(([name]) => name !== 'messages' && name !== 'prompt'))
    return {
      index,
      line,
      id: typeof id === 'string' || typeof id === 'number' ? String(id) : String(index),
      messages,
      item,
      ...(typeof reference === 'string' ? { reference } : {})
    }
  }

  /** All items, or the first `most`, in the order of the file. */
  async *items(most = Infinity): AsyncGenerator<DataItem> {
    for (let index = 0; index < Math.min(most, this.length); index++) yield await this.item(index)
  }

  close(): Promise<void> {
    return this.handle.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  private rowOf(index: number): number {
    if (!Number.isInteger(index) || index < 0 || index >= this.length) {
      throw new AdjudgeError('ARGUMENT_INVALID', `index is ${index}; expected an integer in [0, ${this.length})`)
    }
    return index + (this.columns ? 1 : 0)
  }

  private async textOf(row: number): Promise<string> {
    const start = this.table.starts[row]
    const bytes = Buffer.allocUnsafe(this.table.ends[row] - start)
    let filled = 0
    while (filled < bytes.length) {
      const { bytesRead } = await this.handle.read(bytes, filled, bytes.length - filled, start + filled)
      if (bytesRead === 0) throw this.invalid(row, 'the file became shorter while it was read')
      filled += bytesRead
    }
    return bytes.toString('utf8')
  }

  private invalid(row: number, message: string, cause?: unknown): AdjudgeError {
    return new AdjudgeError('DATA_INVALID', `${this.path}:${this.table.lines[row]}: ${message}`, { cause })
  }

  private placed<T>(row: number, read: () => T): T {
    try {
      return read()
    } catch (cause) {
      throw this.invalid(row, (cause as Error).message, cause)
    }
  }

  private async readHeader(): Promise<void> {
    if (this.table.starts.length === 0) {
      throw new AdjudgeError(
        'DATA_EMPTY',
        `${this.path}: the file is empty; expected a line of field names, then records`
      )
    }
    const text = await this.textOf(0)
    this.columns!.push(...this.placed(0, () => csvNames(text)))
  }
}
