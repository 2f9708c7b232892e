import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  Budget,
  createJudge,
  Ledger,
  StoredSpending,
  type Judge,
  type JudgeInput,
  type JudgeSpec,
  type Rubric
} from '../../src/judge/index.js'
import { score, startServer, type TestServer } from './server.js'

const rubric: Rubric = { aim: 'Replies to customers', scale: { low: 1, high: 5 } }
const messages = [{ role: 'user' as const, content: 'Where is my parcel?' }]
const inputs = (count: number, from = 0): JudgeInput[] =>
  Array.from({ length: count }, (_, index) => ({ messages, completion: `Answer ${from + index}` }))
/** What the server says that a call took. */
const perCall = 110
const price = { m: { input: 1, output: 10 } }

let folder: string
let server: TestServer
const open: Judge[] = []
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'adjudge-budget-'))
  server = await startServer(() => ({ content: score(4), delay: 5 }))
})
afterEach(async () => {
  for (const judge of open.splice(0)) await judge.close()
  await server.close()
  rmSync(folder, { recursive: true })
})

const chat = (more: object = {}) =>
  ({ provider: 'openai', model: 'm', baseURL: server.url, rubric, maxTokens: 50, priceTable: price, ...more }) as const
async function make(spec: JudgeSpec): Promise<Judge> {
  const judge = await createJudge(spec)
  open.push(judge)
  return judge
}

describe('a budget', () => {
  it('of tokens is used up and never passed, with many calls in flight', async () => {
    const judge = await make(chat({ budget: { tokens: 20 * perCall + 60 }, concurrency: 16 }))
    const verdicts = await judge.scoreAll(inputs(40))
    const scored = verdicts.filter((one) => one.score !== null)
    expect(scored.length * perCall).toBeLessThanOrEqual(20 * perCall + 60)
    expect(scored.length).toBe(20)
    expect(server.requests).toHaveLength(20)
    const lost = verdicts.filter((one) => one.score === null)
    expect(new Set(lost.map(({ reason }) => reason))).toEqual(new Set(['budget']))
    expect(lost[0]!.detail).toMatch(
      /^the budget of 2260 tokens leaves \d+, and the next call is held to \d+; raise the budget/
    )
    expect(lost[0]).toMatchObject({ attempts: 0, cost: 0 })
  })

  it('of money counts what calls cost, and what the ledger knows costs nothing', async () => {
    const each = (100 * 1 + 10 * 10) / 1e6
    const budget = new Budget({ money: 4.5 * each + 0.0005 })
    const ledger = join(folder, 'ledger')
    const judge = await make(chat({ budget, ledger, concurrency: 1 }))
    const first = await judge.scoreAll(inputs(4))
    const again = await judge.scoreAll(inputs(4))
    expect([...first, ...again].every((one) => one.score === 4)).toBe(true)
    expect(budget.used.money).toBeCloseTo(4 * each, 12)
    expect(budget.spent).toBeUndefined()
    await judge.scoreAll(inputs(20, 4))
    expect(budget.spent).toMatch(/the budget of \$/)
    expect(budget.used.money).toBeLessThanOrEqual(4.5 * each + 0.0005)
    expect(budget.used.money).toBeCloseTo(server.requests.length * each, 12)
  })

  it('holds for all members of a panel together, and by provider', async () => {
    const members = [chat(), chat({ provider: 'openai_compatible' })] as const
    const together = await make({ panel: members, budget: { tokens: 4 * perCall + 60 } })
    const verdicts = await together.scoreAll(inputs(10))
    expect(server.requests.length).toBeLessThanOrEqual(4)
    // A member that was not asked for want of money makes no panel of the others.
    expect(verdicts.filter((one) => one.score === null).every(({ reason }) => reason === 'budget')).toBe(true)
    const before = server.requests.length
    const alone = await make({ panel: members, quorum: 1, budget: { providers: { openai: { tokens: 1 } } } })
    expect(await alone.scoreOne(inputs(1, 50)[0]!)).toMatchObject({
      score: null,
      reason: 'budget',
      detail: expect.stringMatching(/openai/)
    })
    expect(server.requests.length - before).toBe(1)
  })

  it('gives back what failed calls were held to', async () => {
    await server.close()
    server = await startServer((_, index) => (index < 3 ? { status: 500 } : { content: score(4) }))
    const budget = new Budget({ tokens: 100_000 })
    const judge = await make(chat({ budget }))
    expect(await judge.scoreOne(inputs(1)[0]!)).toMatchObject({ score: 4, attempts: 4 })
    expect(budget.used.tokens).toBe(perCall)
  })

  it('of a day is shared through the ledger, outlives the process, and is open again on the next', async () => {
    const path = join(folder, 'ledger')
    const ledger = Ledger.open(path)
    const [one, other] = [StoredSpending.open(ledger.path), StoredSpending.open(ledger.path)]
    let now = Date.UTC(2026, 0, 1, 23)
    const at = (spending: StoredSpending): Budget =>
      new Budget({ tokens: 3 * perCall + 300, per: 'day' }, spending, 'run', () => now)
    const first = await make(chat({ budget: at(one), concurrency: 1 }))
    const second = await make(chat({ budget: at(other), concurrency: 1 }))
    const verdicts = [...(await first.scoreAll(inputs(3))), ...(await second.scoreAll(inputs(30, 10)))]
    const scored = verdicts.filter((verdict) => verdict.score !== null).length
    expect(scored * perCall).toBeLessThanOrEqual(3 * perCall + 300)
    expect(scored).toBeGreaterThan(3)
    expect(verdicts.at(-1)!.detail).toMatch(/go on tomorrow/)
    expect((await first.scoreOne(inputs(1, 90)[0]!)).reason).toBe('budget')
    now += 2 * 3600e3
    expect((await first.scoreOne(inputs(1, 90)[0]!)).score).toBe(4)
    await one.close()
    await other.close()
    await ledger.close()
  })

  it('ends a wait for room when the caller gives up', async () => {
    await server.close()
    server = await startServer(() => 'hang')
    const judge = await make(chat({ budget: { tokens: 1000 }, concurrency: 8 }))
    const stop = new AbortController()
    const asked = judge.scoreAll(inputs(8), { signal: stop.signal })
    setTimeout(() => stop.abort(), 50)
    expect((await asked).map(({ reason }) => reason)).toEqual(Array(8).fill('cancelled'))
  })

  it.each([
    [{ tokens: 0 }, /budget.tokens is 0; expected a number above 0/],
    [{ providers: { openai: { money: -1 } } }, /budget.providers.openai.money is -1/],
    [{ per: 'week' as never, tokens: 1 }, /budget.per is "week"; expected run or day/],
    [{ per: 'day' as const, tokens: 1 }, /a budget per day is kept beside the ledger/]
  ])('%j is refused', async (budget, message) => {
    await expect(createJudge(chat({ budget }))).rejects.toMatchObject({ code: 'JUDGE_INVALID', message })
  })

  it('of money is refused where no price is known', async () => {
    await expect(createJudge(chat({ budget: { money: 1 }, priceTable: undefined }))).rejects.toThrow(
      /the price of openai's model m is unknown; expected it in priceTable/
    )
  })
})
