import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { startServer, type ChatBody, type TestServer } from '../judge/server.js'
import { cli, type Ran } from './cli.js'

let folder: string
let server: TestServer
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'adjudge-compare-'))
  writeFileSync(file('rubric.yaml'), 'aim: Replies\nscale: { low: 1, high: 5 }\n')
  server = await startServer((body) => ({ content: JSON.stringify({ better: better(body) }) }))
})
afterEach(async () => {
  await server.close()
  rmSync(folder, { recursive: true })
})

const file = (name: string): string => join(folder, name)
const shownIn = (body: ChatBody, side: string): string =>
  new RegExp(`<<<BEGIN ANSWER ${side} \\w+>>>\\n([\\s\\S]*?)\\n<<<END`).exec(
    body.messages.find(({ role }) => role === 'user')!.content
  )![1]

/** Prefers the longer answer, but where one says "place" the first that it sees; "odd" it cannot judge. */
function better(body: ChatBody): string {
  const [a, b] = [shownIn(body, 'A'), shownIn(body, 'B')]
  if (a.includes('odd') || b.includes('odd')) return 'neither, really'
  if (a.includes('place') || b.includes('place')) return 'A'
  return a.length > b.length ? 'A' : a.length < b.length ? 'B' : 'tie'
}

const write = (name: string, rows: [id: string | number, prompt: string, completion: string][]): void =>
  writeFileSync(
    file(name),
    rows.map(([id, prompt, completion]) => JSON.stringify({ id, prompt, completion })).join('\n')
  )
const compare = (...more: string[]): Promise<Ran> =>
  cli(
    ...['compare', file('a.jsonl'), file('b.jsonl'), '--rubric', file('rubric.yaml'), '--model', 'test'],
    ...['--base-url', server.url, '--api-key-env', 'PATH', ...more]
  )
const rows = (name: string): Record<string, unknown>[] =>
  readFileSync(file(name), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>)

describe('adjudge compare', () => {
  it('asks in both orders, counts wins, ties, swap flips and what cannot be judged, with an interval', async () => {
    write('a.jsonl', [
      [1, 'p', 'longer'],
      [2, 'q', 'place'],
      [3, 'r', 'same'],
      [4, 's', 'also longer'],
      [5, 't', 'odd']
    ])
    write('b.jsonl', [
      [1, 'p', 'short'],
      [2, 'q', 'other'],
      [3, 'r', 'same'],
      [4, 's', 'no'],
      [5, 't', 'x']
    ])
    const { code, out } = await compare('--summary', file('summary.json'))
    expect(code).toBe(0)
    // Wilson, 3 of 4.
    expect(out).toContain('wins 75.0 % against')
    expect(out).toContain('(95 % interval 30.1 % to 95.4 %, Wilson; a tie is half a win)')
    expect(out).toContain('2 won, 2 tied, 0 lost, 4 of 5 pairs judged; swap flips 1 (25.0 %)')
    expect(out).toContain('the interval holds 50 %')
    expect(out).toContain('unscored 1: unparseable 1')
    expect(rows('a.comparisons.jsonl')).toMatchObject([
      { id: '1', winner: 'first', preference: 1, first: 'longer', second: 'short' },
      { winner: 'tie', flags: ['swap_flip'], orders: [1, 0] },
      { winner: 'tie', attempts: 0 },
      { winner: 'first' },
      { winner: null, reason: 'unparseable' }
    ])
    expect(JSON.parse(readFileSync(file('summary.json'), 'utf8'))).toMatchObject({
      wins: 2,
      ties: 2,
      win_rate: 0.75,
      swap_flips: 1
    })
  })

  it('joins by id whatever the order, says what has no partner, and asks nothing twice', async () => {
    write('a.jsonl', [
      ['x', 'p', 'longer'],
      ['y', 'q', 's'],
      ['z', 'r', 'alone']
    ])
    write('b.jsonl', [
      ['y', 'q', 'longer'],
      ['x', 'p', 's']
    ])
    const { code, out, err } = await compare()
    expect(code).toBe(0)
    expect(out).toContain('1 won, 0 tied, 1 lost, 2 of 2 pairs judged')
    expect(err).toContain(`1 rows of ${file('a.jsonl')} have no partner`)
    const asked = server.requests.length
    expect((await compare()).out).toContain('judged 0, from the ledger 2')
    expect(server.requests).toHaveLength(asked)
  })

  it('refuses two rows with different prompts, and an id that is there twice', async () => {
    write('a.jsonl', [['x', 'p', 'a']])
    write('b.jsonl', [['x', 'q', 'b']])
    expect(await compare()).toMatchObject({
      code: 1,
      err: expect.stringMatching(/a\.jsonl:1 and .*b\.jsonl:1 have different prompts/)
    })
    write('a.jsonl', [
      ['x', 'p', 'a'],
      ['x', 'p', 'b']
    ])
    write('b.jsonl', [['y', 'p', 'b']])
    expect(await compare('--join', 'id')).toMatchObject({
      code: 1,
      err: expect.stringMatching(/a\.jsonl:2: id x is also at .*a\.jsonl:1/)
    })
  })

  it('ends with 3 where the first wins less often than it must', async () => {
    write('a.jsonl', [['x', 'p', 's']])
    write('b.jsonl', [['x', 'p', 'longer']])
    expect(await compare('--min-win-rate', '50%')).toMatchObject({
      code: 3,
      err: expect.stringContaining('the win rate is 0.000')
    })
  })

  it('by a function, compares the scores', async () => {
    write('a.jsonl', [['x', 'p', 's']])
    write('b.jsonl', [['x', 'p', 'longer']])
    writeFileSync(file('long.mjs'), 'export default ({ completion }) => completion.text.length')
    const { out } = await cli('compare', file('a.jsonl'), file('b.jsonl'), '--function', file('long.mjs'), '--out', '-')
    expect(JSON.parse(out)).toMatchObject({ winner: 'second', preference: 0 })
  })
})
