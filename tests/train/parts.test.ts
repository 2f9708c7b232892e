import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Ledger } from '../../src/judge/index.js'
import { parseConfig } from '../../src/train/config.js'
import { DeadGroupWatch } from '../../src/train/deadGroups.js'
import { JsonlWriter, writeAtomic } from '../../src/train/files.js'
import { Rewards } from '../../src/train/rewards.js'
import { learningRateAt } from '../../src/train/schedule.js'
import { countReasons, summarize } from '../../src/train/statistics.js'

let folder: string
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'adjudge-train-'))))
afterEach(() => rmSync(folder, { recursive: true }))

describe('summaries', () => {
  it('leave the unscored out, and have no mean of nothing', () => {
    expect(summarize([1, null, 2, 3])).toEqual({
      items: 4,
      scored: 3,
      unscored: 1,
      mean: 2,
      deviation: 1,
      standardError: 1 / Math.sqrt(3)
    })
    expect(summarize([null])).toMatchObject({ mean: null, deviation: null, standardError: null, unscored: 1 })
    const unscored = ['timeout', 'refusal', 'timeout'].map((reason) => ({ score: null, reason }))
    expect(countReasons([...unscored, { score: 0 }])).toEqual([
      ['timeout', 2],
      ['refusal', 1]
    ])
  })
})

describe('the learning rate', () => {
  const base = parseConfig(
    'model: { path: a }\ndata: { train: a.jsonl }\nrewards: [{ name: a, function: a.js }]\noptimizer: { learning_rate: 1 }\n'
  ).config.optimizer

  it('follows its schedule after the warm-up', () => {
    const rates = (schedule: 'constant' | 'linear' | 'cosine', warmup: number): number[] =>
      [1, 2, 3, 4, 5, 6].map((step) => learningRateAt(step, { ...base, schedule, warmup_steps: warmup }, 6))
    expect(rates('constant', 2)).toEqual([0.5, 1, 1, 1, 1, 1])
    expect(rates('linear', 2)).toEqual([0.5, 1, 1, 0.75, 0.5, 0.25])
    expect(rates('cosine', 0)[3]).toBeCloseTo(0.5)
    expect(rates('cosine', 0)[0]).toBe(1)
  })
})

describe('dead groups', () => {
  it('are warned of when most stay dead, with cures, and not at each step', () => {
    const watch = new DeadGroupWatch()
    const warnings = Array.from({ length: 30 }, (_, step) => watch.see(step + 1, step < 3 ? 0 : 0.95))
    const told = warnings.map((warning, index) => (warning ? index + 1 : 0)).filter(Boolean)
    expect(told).toEqual([7, 27])
    expect(warnings[26]).toMatch(/95 % of the groups .* Cures: .*temperature/)
    const fair = new DeadGroupWatch()
    expect(Array.from({ length: 30 }, (_, step) => fair.see(step + 1, 0.5)).some(Boolean)).toBe(false)
  })
})

describe('files', () => {
  it('are whole or not there', async () => {
    const path = join(folder, 'a', 'rows.jsonl')
    const first = await JsonlWriter.open(path)
    await first.write({ a: 1 })
    expect(existsSync(path)).toBe(false)
    await first.finish()
    const second = await JsonlWriter.open(path)
    await second.write({ a: 2 })
    await second.abandon()
    expect(readFileSync(path, 'utf8')).toBe('{"a":1}\n')
    await writeAtomic(path, 'x')
    expect(readFileSync(path, 'utf8')).toBe('x')
    expect(readdirSync(join(folder, 'a'))).toEqual(['rows.jsonl'])
  })

  it('that cannot be written are answered with a cure', async () => {
    writeFileSync(join(folder, 'file'), '')
    const expected = { code: 'FILE_UNWRITABLE', message: expect.stringContaining('cannot be written') }
    await expect(writeAtomic(join(folder, 'file', 'a'), 'x')).rejects.toMatchObject(expected)
    await expect(JsonlWriter.open(join(folder, 'file', 'a'))).rejects.toMatchObject(expected)
  })
})

describe('reward columns', () => {
  const input = { messages: [{ role: 'user' as const, content: 'Hi' }], completion: 'four', item: { label: 'four' } }

  async function open(rewards: object[]): Promise<{ rewards: Rewards; ledger: Ledger }> {
    const config = parseConfig(JSON.stringify({ model: { path: 'a' }, data: { train: 'a.jsonl' }, rewards })).config
    const ledger = Ledger.open(join(folder, 'ledger'))
    return { rewards: await Rewards.open(config.rewards, folder, ledger), ledger }
  }

  it('add up by their weights, from functions and graders', async () => {
    writeFileSync(join(folder, 'length.mjs'), 'export default ({ completion }) => completion.text.length')
    const right = {
      type: 'string_check',
      operation: 'eq',
      input: '{{ sample.output_text }}',
      reference: '{{ item.label }}'
    }
    const { rewards, ledger } = await open([
      { name: 'length', weight: 0.5, function: './length.mjs' },
      { name: 'right', weight: 3, grader: right }
    ])
    const { reward, verdicts } = await rewards.score(input)
    expect(reward).toBe(5)
    expect(verdicts.map(({ score }) => score)).toEqual([4, 1])
    expect((await rewards.score({ ...input, completion: 'five!' })).reward).toBe(2.5)
    await rewards.close()
    await ledger.close()
  })

  it('are unscored together where one that counts is, never 0', async () => {
    writeFileSync(join(folder, 'none.mjs'), 'export default () => null')
    writeFileSync(join(folder, 'one.mjs'), 'export default () => 1')
    const columns = (weight: number): object[] => [
      { name: 'none', weight, function: './none.mjs' },
      { name: 'one', function: './one.mjs' }
    ]
    for (const [weight, expected] of [
      [1, null],
      [0, 1]
    ] as const) {
      const { rewards, ledger } = await open(columns(weight))
      expect((await rewards.score(input)).reward).toBe(expected)
      await rewards.close()
      await ledger.close()
    }
  })
})
