import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Dataset, permutation, position, type DatasetOptions } from '../../src/data/index.js'

let folder: string
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'adjudge-data-'))))
afterEach(() => rmSync(folder, { recursive: true }))

async function opened(name: string, text: string, options?: DatasetOptions): Promise<Dataset> {
  writeFileSync(join(folder, name), text)
  return Dataset.open(join(folder, name), options)
}

describe('JSONL', () => {
  it('reads items in any order, with blank lines, CRLF, a byte order mark and text beyond ASCII', async () => {
    const rows = [
      '{"prompt":"größe?","id":7,"label":"a"}',
      '',
      '{"prompt":"日本","reference":"r","n":{"x":1}}\r',
      '{"prompt":"z"}'
    ]
    await using data = await opened('a.jsonl', '\uFEFF' + rows.join('\n'))
    expect(data.length).toBe(3)
    expect(await data.item(2)).toMatchObject({ index: 2, line: 4, id: '2', messages: [{ role: 'user', content: 'z' }] })
    expect(await data.item(1)).toEqual({
      index: 1,
      line: 3,
      id: '1',
      messages: [{ role: 'user', content: '日本' }],
      item: { reference: 'r', n: { x: 1 } },
      reference: 'r'
    })
    expect(await data.item(0)).toMatchObject({
      id: '7',
      item: { id: 7, label: 'a' },
      messages: [{ content: 'größe?' }]
    })
  })

  it('fills prompt templates from the item', async () => {
    await using data = await opened('a.jsonl', '{"text":"fine","tags":["x"]}\n', {
      prompt: [
        { role: 'system', content: 'Be brief.' },
        { role: 'user', content: '{{ item.text }} / {{ item.tags[0] }}' }
      ]
    })
    expect((await data.item(0)).messages).toEqual([
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content: 'fine / x' }
    ])
  })

  it.each([
    ['{"prompt":"a"}\n{"prompt":\n', {}, /a\.jsonl:2: no JSON/],
    ['{"prompt":"a"}\n\n[1]\n', {}, /a\.jsonl:3: a list; expected one object/],
    ['{"prompt":"a"}\n{"text":"b"}\n', {}, /a\.jsonl:2: there is no messages and no prompt field \(fields: text\)/],
    ['{"text":"a"}\n{"txt":"b"}\n', { prompt: '{{ item.text }}' }, /a\.jsonl:2: \{\{ item\.text \}\} has no value/],
    ['{"text":"a"}\n{"messages":[{"role":"usr","content":"b"}]}\n', {}, /a\.jsonl:2: messages\[0\]\.role is "usr"/],
    [
      '{"text":"a"}\n{"prompt":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"x.png"}}]}]}\n',
      {},
      /a\.jsonl:2: messages\[0\]\.content holds an image, which only judges see/
    ],
    [
      '{"text":"a"}\n{"prompt":[{"role":"user","content":[{"type":"input_audio"}]}]}\n',
      {},
      /a\.jsonl:2: messages\[0\]\.content\[0\] is no part of a message; expected \{ type: text/
    ]
  ])('names file and line of what is wrong: %j', async (text, options, message) => {
    await using data = await opened('a.jsonl', text, options)
    await expect(data.item(1)).rejects.toMatchObject({ code: 'DATA_INVALID', message: expect.stringMatching(message) })
  })

  it('takes texts in parts for texts', async () => {
    const parts = [
      { type: 'text', text: 'What is' },
      { type: 'text', text: 'this?' }
    ]
    await using plain = await opened('a.jsonl', JSON.stringify({ prompt: [{ role: 'user', content: parts }] }))
    expect(await plain.item(0)).toMatchObject({ messages: [{ role: 'user', content: 'What is\nthis?' }] })
  })

  it('refuses what is absent, empty, of another kind, or a template over the answer', async () => {
    await expect(Dataset.open(join(folder, 'none.jsonl'))).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' })
    await expect(opened('a.jsonl', '\n \n')).rejects.toMatchObject({ code: 'DATA_EMPTY' })
    await expect(opened('a.parquet', 'x')).rejects.toMatchObject({ code: 'DATA_INVALID' })
    const options = { prompt: '{{ sample.output_text }}' }
    await expect(opened('a.jsonl', '{}', options)).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
  })
})

describe('CSV', () => {
  it('reads quotes, line ends within quotes and empty fields', async () => {
    const text = 'prompt,label\r\n"one, ""two""\nthree",yes\r\nfour,\r\n'
    await using data = await opened('a.csv', text)
    expect(data.length).toBe(2)
    expect(await data.item(1)).toMatchObject({ line: 4, messages: [{ content: 'four' }], item: { label: '' } })
    expect((await data.item(0)).messages).toEqual([{ role: 'user', content: 'one, "two"\nthree' }])
  })

  it('names file and line of a record with another number of fields', async () => {
    await using data = await opened('a.csv', 'prompt,label\na,b\nc\n')
    await expect(data.item(1)).rejects.toThrow(/a\.csv:3: 1 fields; expected 2 \(prompt, label\)/)
    await expect(opened('b.csv', 'prompt,label\n')).rejects.toMatchObject({ code: 'DATA_EMPTY' })
    await expect(opened('b.csv', 'prompt,prompt\na,b\n')).rejects.toThrow(/b\.csv:1: field 2/)
  })
})

describe('the order of an epoch', () => {
  it('is a permutation, the same each time, another for each seed and epoch', () => {
    for (const length of [1, 2, 3, 10, 64, 1000]) {
      const order = Array.from({ length }, (_, index) => permutation(length, 3, 0)(index))
      expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length }, (_, index) => index))
    }
    const first = (seed: number, epoch: number): string =>
      Array.from({ length: 8 }, (_, index) => permutation(1000, seed, epoch)(index)).join()
    expect(first(1, 0)).toBe(first(1, 0))
    expect(new Set([first(1, 0), first(1, 1), first(2, 0), first(2, 1)]).size).toBe(4)
  })

  it('spreads over the whole set: no neighbours stay together', () => {
    const length = 10_000
    const order = permutation(length, 5, 2)
    let sum = 0
    for (let index = 0; index < 2000; index++) sum += order(index) / length
    expect(sum / 2000).toBeGreaterThan(0.45)
    expect(sum / 2000).toBeLessThan(0.55)
    const neighbours = Array.from({ length: 2000 }, (_, i) => Math.abs(order(i) - order(i + 1)) === 1).filter(Boolean)
    expect(neighbours.length).toBeLessThan(10)
  })

  it('counts positions over epochs', () => {
    expect(position(0, 4)).toEqual({ epoch: 0, index: 0 })
    expect(position(11, 4)).toEqual({ epoch: 2, index: 3 })
  })
})
