import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parquetWriteFile } from 'hyparquet-writer'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { answerGroups, AnswerReader, readRows, type Row, type RowsOptions } from '../../src/data/index.js'

let folder: string
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'adjudge-rows-'))))
afterEach(() => rmSync(folder, { recursive: true }))

const file = (name: string, text?: string): string => {
  const path = join(folder, name)
  if (text !== undefined) writeFileSync(path, text)
  return path
}
async function all<T>(values: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = []
  for await (const value of values) list.push(value)
  return list
}
/** Standard input that comes a few bytes at a time. */
async function* inPieces(text: string, size: number): AsyncGenerator<Uint8Array> {
  const bytes = Buffer.from(text)
  for (let at = 0; at < bytes.length; at += size) yield await Promise.resolve(bytes.subarray(at, at + size))
}
const fromInput = (text: string, size = 3, options: RowsOptions = {}): Promise<Row[]> =>
  all(readRows('-', { input: inPieces(text, size), ...options }))

describe('rows of a file', () => {
  it.each([1, 2, 7, 1000])(
    'JSONL in pieces of %i bytes: blank lines, a byte order mark, letters of several bytes',
    async (size) => {
      const rows = await fromInput('\uFEFF{"a":"é"}\r\n\n  {"a":2}\n{"a":"漢字"}', size)
      expect(rows.map(({ place, fields }) => [place, fields.a])).toEqual([
        ['standard input:1', 'é'],
        ['standard input:3', 2],
        ['standard input:4', '漢字']
      ])
    }
  )

  it.each([1, 5, 1000])(
    'CSV in pieces of %i bytes: line ends and commas between quotes, lines counted',
    async (size) => {
      const rows = await fromInput('a,b\n"x\ny, ""z""",1\nlast,2\n', size)
      expect(rows.map(({ place, fields }) => [place, fields])).toEqual([
        ['standard input:2', { a: 'x\ny, "z"', b: '1' }],
        ['standard input:4', { a: 'last', b: '2' }]
      ])
    }
  )

  it('names the line of what cannot be read, after the rows before it', async () => {
    const seen: unknown[] = []
    const reading = (async () => {
      for await (const { fields } of readRows(file('a.jsonl', '{"a":1}\n\n{"a":\n'))) seen.push(fields.a)
    })()
    await expect(reading).rejects.toMatchObject({
      code: 'DATA_INVALID',
      message: expect.stringMatching(/a\.jsonl:3: no JSON/)
    })
    expect(seen).toEqual([1])
    await expect(all(readRows(file('b.csv', 'a,b\n1\n')))).rejects.toThrow(/b\.csv:2: 1 fields; expected 2 \(a, b\)/)
  })

  it('answers a missing, an empty, and an unknown kind of file', async () => {
    await expect(all(readRows(file('none.jsonl')))).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' })
    await expect(all(readRows(file('empty.csv', 'a,b\n')))).rejects.toMatchObject({ code: 'DATA_EMPTY' })
    await expect(all(readRows(file('a.xlsx', 'x')))).rejects.toThrow(
      /unknown kind of file; expected \.jsonl, \.csv or \.parquet/
    )
    await expect(all(readRows(file('a.txt', '{"a":1}'), { format: 'jsonl' }))).resolves.toHaveLength(1)
    await expect(all(readRows(file('bad.parquet', 'not parquet at all')))).rejects.toMatchObject({
      code: 'DATA_INVALID'
    })
    await expect(fromInput('x', 1, { format: 'parquet' })).rejects.toThrow(/Parquet is read from a file only/)
  })

  it.each(['UNCOMPRESSED', 'SNAPPY'] as const)('Parquet (%s) of several row groups, in order', async (codec) => {
    const path = file('a.parquet')
    const prompts = Array.from({ length: 25 }, (_, index) => `prompt ${index}`)
    parquetWriteFile({
      filename: path,
      columnData: [
        { name: 'prompt', data: prompts, type: 'STRING' },
        { name: 'id', data: prompts.map((_, index) => BigInt(index)), type: 'INT64' }
      ],
      rowGroupSize: 10,
      codec
    })
    const rows = await all(readRows(path))
    expect(rows.map(({ fields }) => fields)).toEqual(prompts.map((prompt, id) => ({ prompt, id })))
    expect(rows[24]).toMatchObject({ index: 24, place: `${path}: row 25` })
  })

  it('says how far it is', async () => {
    const rows = await all(readRows(file('a.jsonl', '{"a":1}\n{"a":2}\n')))
    expect(rows.map(({ share }) => share)).toEqual([0.5, 1])
  })
})

describe('answers of rows', () => {
  const row = (fields: Record<string, unknown>, index = 0): Row => ({
    index,
    place: `f:${index + 1}`,
    fields,
    share: null
  })
  const one = (fields: Record<string, unknown>, named = {}) => new AnswerReader(named).read(row(fields))[0].input

  it.each<[Record<string, unknown>, object]>([
    [
      { prompt: 'p', completion: 'c' },
      { completion: 'c', messages: [{ role: 'user', content: 'p' }] }
    ],
    [
      { question: 'p', response: 'c', expected: 4 },
      { completion: 'c', reference: '4' }
    ],
    [
      { instruction: 'do', input: 'this', output: 'c' },
      { completion: 'c', messages: [{ role: 'user', content: 'do\n\nthis' }] }
    ],
    [
      { id: 7, prompt: [{ role: 'user', content: 'p' }], completion: [{ role: 'assistant', content: 'c' }] },
      { id: '7', completion: 'c' }
    ],
    [
      { messages: '[{"role":"user","content":"p"},{"role":"assistant","content":"c"}]', answer: 'gold' },
      { completion: 'c', messages: [{ role: 'user', content: 'p' }], item: { answer: 'gold' } }
    ]
  ])('are found by the names that data sets use: %j', (fields, expected) => {
    expect(one(fields)).toMatchObject(expected)
  })

  it('are found by the names that the user gives', () => {
    const named = { prompt: 'q', answer: 'a', reference: 'r', id: 'key' }
    expect(one({ q: 'p', a: 'c', r: 'gold', key: 'x', completion: 'no' }, named)).toMatchObject({
      id: 'x',
      completion: 'c',
      reference: 'gold',
      messages: [{ content: 'p' }],
      item: { completion: 'no' }
    })
    expect(() => one({ q: 'p', a: 'c' }, { prompt: 'quest' })).toThrow(
      /f:1: there is no field quest \(prompt; fields: q, a\)/
    )
  })

  it('keep images, and refuse parts that are neither text nor image', () => {
    const content = [
      { type: 'text', text: 'What is it?' },
      { type: 'image_url', image_url: { url: 'https://example.org/a.png' } }
    ]
    expect(one({ messages: [{ role: 'user', content }], completion: 'c' }).messages[0].content).toEqual(content)
    expect(() => one({ messages: [{ role: 'user', content: [{ type: 'audio' }] }], completion: 'c' })).toThrow(
      /messages\[0\]\.content\[0\] is no part of a message/
    )
  })

  it('come as a group from a list, and from neighbours', async () => {
    const listed = new AnswerReader({}).read(row({ id: 'a', prompt: 'p', completions: ['x', { text: 'y', score: 1 }] }))
    expect(listed.map(({ input }) => [input.id, input.completion, input.group])).toEqual([
      ['a#0', 'x', { id: 'a', index: 0, size: 2 }],
      ['a#1', 'y', { id: 'a', index: 1, size: 2 }]
    ])
    async function* rows(): AsyncGenerator<Row> {
      for (const [index, group] of ['g', 'g', 'h', 'g'].entries()) {
        yield await Promise.resolve(row({ prompt: 'p', completion: String(index), of: group }, index))
      }
    }
    const groups = await all(answerGroups(rows(), new AnswerReader({ group: 'of' })))
    expect(groups.map((group) => group.map(({ input }) => input.completion))).toEqual([['0', '1'], ['2'], ['3']])
    expect(groups[0][1].input.group).toEqual({ id: 'g', index: 1, size: 2 })
    expect(groups[1][0].input.group).toBeUndefined()
    const together = await all(answerGroups(rows(), new AnswerReader({}), true))
    expect(together.map((group) => group.length)).toEqual([4])
  })
})
