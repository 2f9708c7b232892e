import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Ledger, type Verdict } from '../../src/judge/index.js'
import { cli } from './cli.js'

let folder: string
let path: string

const add = (ledger: Ledger, key: string, at: string, judge: string, verdict: Partial<Verdict>): Promise<void> =>
  ledger.append({
    key,
    at,
    judge,
    model: `model of ${judge}`,
    parameters: {},
    messages: [{ role: 'user', content: `the prompt of ${key}` }],
    reply: null,
    verdict: {
      score: null,
      usage: { inputTokens: 10, outputTokens: 1 },
      cost: 0.5,
      latency: 1,
      attempts: 1,
      flags: [],
      ...verdict
    }
  })

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'adjudge-ledger-'))
  path = join(folder, 'ledger')
  const ledger = Ledger.open(path)
  await add(ledger, 'aaa111', '2026-01-01T00:00:00.000Z', 'strict', { score: 2 })
  await add(ledger, 'bbb222', '2026-01-02T00:00:00.000Z', 'strict', { score: 4 })
  await add(ledger, 'ccc333', '2026-01-03T00:00:00.000Z', 'mild', { score: 5, cost: null })
  await add(ledger, 'ddd444', '2026-01-01T00:00:00.000Z', 'strict', { reason: 'timeout' })
  await add(ledger, 'eee555', '2026-01-04T00:00:00.000Z', 'mild', { reason: 'refusal' })
  await ledger.close()
})
afterAll(() => rmSync(folder, { recursive: true }))

const ledger = (...args: string[]) => cli('ledger', ...args)
const keys = (out: string) => [...out.matchAll(/\b([a-e]{3}\d{3})\b/g)].map(([key]) => key)

describe('adjudge ledger', () => {
  it('lists by judge, model, reason and time', async () => {
    expect(keys((await ledger('list', path)).out)).toEqual(['aaa111', 'bbb222', 'ccc333', 'ddd444', 'eee555'])
    expect(keys((await ledger('list', path, '--judge', 'mild')).out)).toEqual(['ccc333', 'eee555'])
    expect(keys((await ledger('list', path, '--model', 'model of strict', '--scored')).out)).toEqual([
      'aaa111',
      'bbb222'
    ])
    const timeouts = (await ledger('list', path, '--reason', 'timeout')).out
    expect(timeouts).toContain('unscored: timeout')
    expect(keys(timeouts)).toEqual(['ddd444'])
    const middle = await ledger('list', path, '--since', '2026-01-02', '--until', '2026-01-04')
    expect(keys(middle.out)).toEqual(['bbb222', 'ccc333'])
    expect(keys((await ledger('list', path, '--limit', '1')).out)).toEqual(['aaa111'])
  })

  it('shows a record, sums by judge, and exports what was asked for', async () => {
    expect((await ledger('show', path, 'bbb')).out).toContain('the prompt of bbb222')
    const { out } = await ledger('stats', path)
    expect(out).toContain('strict: 2 verdicts, mean 3.000; failures: timeout 1; 33 tokens, $1.5000')
    expect(out).toContain('mild: 1 verdicts, mean 5.000; failures: refusal 1; 22 tokens, $0.5000 and 1 of unknown cost')
    const file = join(folder, 'out.jsonl')
    await ledger('export', path, '--failures', '--out', file)
    const lines = readFileSync(file, 'utf8').trim().split('\n')
    expect(lines.map((line) => (JSON.parse(line) as { key: string }).key)).toEqual(['ddd444', 'eee555'])
  })

  it('deletes failures and nothing else', async () => {
    expect((await ledger('gc', path, '--until', '2026-01-02')).out).toContain('1 failures deleted')
    expect(keys((await ledger('list', path)).out)).toEqual(['aaa111', 'bbb222', 'ccc333', 'eee555'])
    expect((await ledger('gc', path)).out).toContain('1 failures deleted')
    expect(keys((await ledger('list', path)).out)).toEqual(['aaa111', 'bbb222', 'ccc333'])
  })

  it('says where there is no ledger, no such key, or no time', async () => {
    const none = await ledger('list', join(folder, 'elsewhere'))
    expect([none.code, none.err]).toEqual([1, expect.stringContaining('there is none')])
    expect((await ledger('show', path, 'zzz')).code).toBe(1)
    expect((await ledger('list', path, '--since', 'yesterday')).code).toBe(2)
  })
})
