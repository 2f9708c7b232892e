import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import {
  createJudge,
  judgeOptionsFrom,
  Ledger,
  telemetry,
  type Judge,
  type JudgeInput,
  type JudgeOptions,
  type Rubric,
  type TelemetryEvents
} from '../../../src/judge/index.js'
import { answerIn, score, startServer, type Answer, type ChatBody, type TestServer } from '../server.js'

const rubric: Rubric = { aim: 'x', scale: { low: 1, high: 5 } }
const input = (completion: string): JudgeInput => ({ messages: [{ role: 'user', content: 'q' }], completion })
const inputs = (count: number, from = 0): JudgeInput[] =>
  Array.from({ length: count }, (_, index) => input(`answer ${from + index}`))

const ends: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})

async function start(answer: (body: ChatBody, index: number) => Answer, port?: number): Promise<TestServer> {
  const server = await startServer(answer, port)
  ends.push(() => server.close())
  return server
}

async function judgeOf(server: { url: string }, options: Partial<JudgeOptions> = {}): Promise<Judge> {
  const judge = await createJudge({ provider: 'openai', model: 'test', baseURL: server.url, rubric, ...options })
  ends.push(() => judge.close())
  return judge
}

function heard<Name extends keyof TelemetryEvents>(name: Name): TelemetryEvents[Name][] {
  const events: TelemetryEvents[Name][] = []
  ends.push(telemetry.on(name, (event) => events.push(event)))
  return events
}

describe('concurrency', () => {
  /** A server with room for `places` calls. */
  async function crowded(
    places: number,
    delay: number,
    status: 429 | 503 = 429
  ): Promise<TestServer & { refused(): number }> {
    let busy = 0
    let refused = 0
    const server = await start(() => {
      if (busy >= places) {
        refused++
        return { status }
      }
      busy++
      setTimeout(() => busy--, delay)
      return { content: score(3), delay }
    })
    return { ...server, refused: () => refused }
  }

  it('finds the room that a server has, and stays there', async () => {
    const [places, delay] = [8, 100]
    const server = await crowded(places, delay)
    const judge = await judgeOf(server, { concurrency: 48, attempts: 20, logProbs: 'never' })
    await judge.scoreAll(inputs(100))
    const before = server.refused()
    const verdicts = await judge.scoreAll(inputs(320, 100))
    expect(verdicts.every((verdict) => verdict.score === 3)).toBe(true)
    expect((server.refused() - before) / 320).toBeLessThan(0.1)
  })

  it('is not given up where a server refuses by chance', async () => {
    let busy = 0
    let most = 0
    let random = 7
    const server = await start((_, index) => {
      random = (Math.imul(random, 48271) >>> 0) % 2147483647
      if (random % 10 === 0) return { status: 429, headers: { 'retry-after-ms': '5' } }
      busy++
      setTimeout(() => busy--, 20)
      if (index > 300) most = Math.max(most, busy)
      return { content: score(3), delay: 20 }
    })
    const judge = await judgeOf(server, { concurrency: 16, attempts: 20, logProbs: 'never' })
    const verdicts = await judge.scoreAll(inputs(600))
    expect(verdicts.every((verdict) => verdict.score === 3)).toBe(true)
    expect(most).toBeGreaterThan(8)
  })
})

describe('hedging', () => {
  it('sends a second call for a slow one, within its share, and takes the first good reply', async () => {
    const asked = new Map<string, number>()
    const server = await start((body) => {
      const text = answerIn(body)
      asked.set(text, (asked.get(text) ?? 0) + 1)
      // One in ten hangs when asked first.
      const slow = Number(/\d+/.exec(text)![0]) % 10 === 9 && asked.get(text) === 1
      return { content: score(4), delay: slow ? 3000 : 5 }
    })
    const judge = await judgeOf(server, { hedge: 0.2, concurrency: 8, logProbs: 'never' })
    const events = heard('hedge')
    await judge.scoreAll(inputs(60).filter((_, index) => index % 10 !== 9))
    const verdicts = await judge.scoreAll(inputs(40, 100))
    expect(verdicts.every((verdict) => verdict.score === 4)).toBe(true)
    const hedged = verdicts.filter((verdict) => verdict.flags.includes('hedged'))
    expect(hedged.length).toBeGreaterThanOrEqual(4)
    expect(Math.max(...verdicts.map(({ latency }) => latency))).toBeLessThan(2000)
    // Both calls are paid; what the slower one would have written is estimated.
    expect(hedged[0]!.usage.inputTokens).toBe(200)
    expect(hedged[0]!.usage.outputTokens).toBeGreaterThan(10)
    expect(judge.metrics.hedged).toBe(events.length)
    // A second call may be taken back before it reaches the server.
    expect(judge.metrics.calls - server.requests.length).toBeGreaterThanOrEqual(0)
    expect(judge.metrics.calls - server.requests.length).toBeLessThanOrEqual(events.length)
  })

  it('keeps within its share where every call is slow', async () => {
    let count = 0
    const server = await start(() => ({ content: score(4), delay: count++ < 55 ? 2 : 60 }))
    const judge = await judgeOf(server, { hedge: 0.05, concurrency: 4, logProbs: 'never' })
    for (const verdict of await judge.scoreAll(inputs(160))) expect(verdict.score).toBe(4)
    expect(judge.metrics.hedged).toBeGreaterThan(0)
    expect(judge.metrics.hedged).toBeLessThanOrEqual(0.05 * judge.metrics.calls)
  })

  it('is off unless asked for', async () => {
    let count = 0
    const server = await start(() => ({ content: score(4), delay: count++ % 20 === 19 ? 200 : 2 }))
    const judge = await judgeOf(server, { logProbs: 'never' })
    await judge.scoreAll(inputs(100))
    expect(server.requests).toHaveLength(100)
  })
})

describe('a fallback judge', () => {
  const folder = (): string => {
    const path = mkdtempSync(join(tmpdir(), 'adjudge-fallback-'))
    ends.push(() => rmSync(path, { recursive: true }))
    return path
  }

  it.each<[string, Answer, Partial<JudgeOptions>]>([
    ['fails', { status: 500 }, { attempts: 2 }],
    ['hangs', 'hang', { timeout: 50, attempts: 2 }],
    ['is limited', { status: 429 }, { attempts: 2 }],
    ['does not answer', 'reset', { deadline: 2000 }]
  ])('answers where the first %s, and is named', async (_, answer, options) => {
    const first = await start(() => answer)
    const second = await start(() => ({ content: score(2) }))
    const path = folder()
    const fallback = { provider: 'openai', model: 'other', name: 'second', baseURL: second.url }
    const judge = await judgeOf(first, { ...options, fallback, ledger: path })
    const events = heard('fallback')
    const verdicts = await judge.scoreAll(inputs(3))
    for (const verdict of verdicts) expect(verdict).toMatchObject({ score: 2, judge: 'second', flags: ['fallback'] })
    expect(judge.metrics).toMatchObject({ verdicts: 3, unscored: 0, fallbacks: 3 })
    expect(events[0]).toMatchObject({ judge: 'openai:test', by: 'second' })
    const ledger = Ledger.open(path)
    ends.push(() => ledger.close())
    const records = [...ledger.list()]
    expect(new Set(records.map(({ key }) => key))).toEqual(new Set(verdicts.map(({ key }) => key)))
    for (const record of records) expect(record).toMatchObject({ judge: 'second', model: 'other' })
    expect([...ledger.list('failures')].every((record) => record.judge === 'openai:test')).toBe(true)
  })

  it('is not asked about what the first did judge, nor again when the run goes on', async () => {
    let down = true
    const first = await start((body) =>
      answerIn(body) === 'answer 0' ? { content: '', refusal: 'no' } : down ? { status: 500 } : { content: score(5) }
    )
    const second = await start(() => ({ content: score(2) }))
    const path = folder()
    const fallback = { provider: 'openai', model: 'other', baseURL: second.url }
    const judge = await judgeOf(first, { attempts: 1, fallback, ledger: path })
    expect(await judge.scoreAll(inputs(2))).toMatchObject([{ score: null, reason: 'refusal' }, { score: 2 }])
    down = false
    const again = await judge.scoreOne(input('answer 1'))
    expect(again).toMatchObject({ score: 2, cost: 0, flags: ['fallback', 'cached'] })
    expect(await judge.scoreOne(input('answer 2'))).toMatchObject({ score: 5, flags: [] })
    expect(second.requests).toHaveLength(1)
  })

  it('is unscored with its own reason where neither answers', async () => {
    const first = await start(() => ({ status: 500 }))
    const second = await start(() => ({ content: 'What a lovely day.' }))
    const judge = await judgeOf(first, {
      attempts: 1,
      fallback: { provider: 'openai', model: 'm', baseURL: second.url }
    })
    expect(await judge.scoreOne(input('x'))).toMatchObject({
      score: null,
      reason: 'unparseable',
      flags: ['fallback']
    })
  })

  it('can be written in YAML, as the limits can', () => {
    const options = judgeOptionsFrom(
      {
        provider: 'openai',
        model: 'a',
        requests_per_minute: 600,
        tokens_per_minute: 60_000,
        hedge: 0.02,
        priority: 'audit',
        fallback: { provider: 'ollama', model: 'b', base_url: 'http://127.0.0.1:1' }
      },
      '.'
    )
    expect(options).toMatchObject({
      requestsPerMinute: 600,
      tokensPerMinute: 60_000,
      hedge: 0.02,
      priority: 'audit',
      fallback: { provider: 'ollama', model: 'b', baseURL: 'http://127.0.0.1:1' }
    })
  })
})

describe('options', () => {
  it.each<[string, Partial<JudgeOptions>, RegExp]>([
    ['requestsPerMinute', { requestsPerMinute: 0 }, /requestsPerMinute is 0; expected a positive number/],
    ['tokensPerMinute', { tokensPerMinute: -5 }, /tokensPerMinute is -5; expected a positive number/],
    ['hedge', { hedge: 5 }, /hedge is 5; expected a share from 0 to 1/],
    ['priority', { priority: 'high' as never }, /priority is "high"; expected one of training, audit/],
    ['fallback', { fallback: { provider: 'openai' } }, /fallback: provider openai needs a model/],
    ['fallback of functions', { fallback: { provider: 'function' } }, /fallback: a function cannot/]
  ])('%s is checked', async (_, options, message) => {
    await expect(judgeOf({ url: 'http://127.0.0.1:1' }, options)).rejects.toThrow(message)
  })
})

describe('limits and telemetry of a judge', () => {
  it('hold its calls, count them, and tell them as Prometheus text', async () => {
    const server = await start(() => ({ content: score(3) }))
    const judge = await judgeOf(server, { model: 'counted', requestsPerMinute: 1200, logProbs: 'never' })
    const events = heard('verdict')
    const begin = performance.now()
    await judge.scoreAll(inputs(22))
    // 12 at once, then one each 50 ms.
    expect(performance.now() - begin).toBeGreaterThan(450)
    expect(judge.metrics.limited).toBeGreaterThanOrEqual(9)
    expect(events).toHaveLength(22)
    const text = telemetry.prometheus()
    expect(text).toContain('adjudge_judge_attempts_total{provider="openai",model="counted",reason="ok"} 22')
    expect(text).toContain('adjudge_judge_verdicts_total{provider="openai",model="counted",reason="scored"} 22')
    expect(text).toContain('adjudge_judge_output_tokens_total{provider="openai",model="counted"} 220')
    expect(text).toMatch(/adjudge_judge_attempt_seconds_bucket\{provider="openai",model="counted",le="\+Inf"\} 22/)
    expect(text).toMatch(/# TYPE adjudge_judge_attempt_seconds histogram/)
    expect(text).toMatch(/adjudge_judge_queued\{key="openai http[^"]+"\} 0/)
  })

  it('an outage is told and waited for: no verdict is lost', async () => {
    const scout = await startServer(() => ({ content: score(3) }))
    await scout.close()
    const judge = await judgeOf(scout, { concurrency: 4 })
    const [pauses, resumes] = [heard('pause'), heard('resume')]
    const verdicts = judge.scoreAll(inputs(20))
    await new Promise((resolve) => setTimeout(resolve, 700))
    await start(() => ({ content: score(3) }), scout.port)
    for (const verdict of await verdicts) expect(verdict.score).toBe(3)
    expect(pauses.some(({ reason }) => reason === 'unreachable')).toBe(true)
    expect(resumes.length).toBeGreaterThan(0)
  })
})
