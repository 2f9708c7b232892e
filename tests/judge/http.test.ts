import { afterEach, describe, expect, it } from 'vitest'
import { createJudge, type Judge, type JudgeInput, type JudgeOptions, type Rubric } from '../../src/judge/index.js'
import { answerIn, score, startServer, type Answer, type ChatBody, type TestServer } from './server.js'

const rubric: Rubric = { aim: 'Replies to customers', scale: { low: 1, high: 5 } }
const input = (completion: string, id?: string): JudgeInput => ({
  messages: [{ role: 'user', content: 'Where is my parcel?' }],
  completion,
  ...(id === undefined ? {} : { id })
})

let server: TestServer | undefined
let judge: Judge | undefined
afterEach(async () => {
  await judge?.close()
  await server?.close()
  judge = server = undefined
})

async function start(
  answer: (body: ChatBody, index: number) => Answer,
  options: Partial<JudgeOptions> = {}
): Promise<Judge> {
  server = await startServer(answer)
  judge = await createJudge({ provider: 'openai', model: 'test', baseURL: server.url, rubric, ...options })
  return judge
}

describe('a judge over HTTP', () => {
  it('scores, and sends schema, temperature 0 and a seed', async () => {
    const verdict = await (await start(() => ({ content: score(4) }))).scoreOne(input('It is on its way.', 'a'))
    expect(verdict).toMatchObject({ id: 'a', score: 4, attempts: 1, flags: [], cost: null })
    expect(verdict.usage).toEqual({ inputTokens: 100, outputTokens: 10 })
    const body = server!.requests[0]
    expect(body).toMatchObject({ temperature: 0, seed: 0, response_format: { type: 'json_schema' } })
    expect(answerIn(body)).toBe('It is on its way.')
  })

  it('keeps the order of its inputs whatever the order of replies', async () => {
    const judge = await start((body) => {
      const value = Number(answerIn(body))
      return { content: score(value), delay: (6 - value) * 20 }
    })
    const order = ['3', '1', '5', '2', '4']
    const scores: (number | null)[] = []
    for await (const verdict of judge.score(order.map((text) => input(text)))) scores.push(verdict.score)
    expect(scores).toEqual([3, 1, 5, 2, 4])
  })

  it('hands over verdicts while inputs are still coming', async () => {
    const judge = await start(() => ({ content: score(2) }))
    let seen: () => void = () => undefined
    const first = new Promise<void>((resolve) => (seen = resolve))
    async function* slow(): AsyncGenerator<JudgeInput> {
      yield input('one')
      await first
      yield input('two')
    }
    const scores: (number | null)[] = []
    for await (const verdict of judge.score(slow())) {
      scores.push(verdict.score)
      seen()
    }
    expect(scores).toEqual([2, 2])
  })

  it('waits as long as Retry-After says', async () => {
    const judge = await start((_, index) =>
      index === 0 ? { status: 429, headers: { 'retry-after-ms': '300' } } : { content: score(3) }
    )
    const verdict = await judge.scoreOne(input('x'))
    expect(verdict).toMatchObject({ score: 3, attempts: 2 })
    expect(verdict.latency).toBeGreaterThanOrEqual(290)
    expect(judge.metrics).toMatchObject({ calls: 2, retries: 1, verdicts: 1, unscored: 0 })
  })

  it.each<[string, Answer]>([
    ['500', { status: 500 }],
    ['a broken connection', 'reset'],
    ['a connection that breaks within the reply', 'cut'],
    ['a body that is not JSON', { raw: '{"id": "chat' }],
    ['a call that hangs', 'hang']
  ])('recovers from %s', async (_, failure) => {
    const judge = await start((_, index) => (index === 0 ? failure : { content: score(5) }), { timeout: 400 })
    expect(await judge.scoreOne(input('x'))).toMatchObject({ score: 5, attempts: 2 })
  })

  it.each<[string, Answer, string, Partial<JudgeOptions>]>([
    ['a server that always fails', { status: 500 }, 'provider_error', { attempts: 2 }],
    ['a limit that never ends', { status: 429 }, 'rate_limited', { attempts: 2 }],
    ['a Retry-After past the deadline', { status: 429, headers: { 'retry-after': '3600' } }, 'rate_limited', {}],
    ['a wrong key', { status: 401 }, 'provider_error', {}],
    ['calls that hang', 'hang', 'timeout', { timeout: 100, attempts: 2 }],
    ['a refusal', { content: '', refusal: 'I cannot judge this.' }, 'refusal', {}],
    ['a content filter', { content: '', finish: 'content_filter' }, 'refusal', {}],
    ['nonsense', { content: 'What a lovely day.' }, 'unparseable', {}],
    ['a word for a number', { content: score('four') }, 'unparseable', {}],
    ['a number in a string', { content: score('4') }, 'unparseable', {}],
    ['a score out of range', { content: score(9) }, 'out_of_range', {}],
    ['a negative score', { content: score(-1) }, 'out_of_range', {}],
    ['NaN', { content: '{"score": NaN}' }, 'unparseable', {}],
    ['null', { content: score(null) }, 'unparseable', {}],
    ['a fraction on a whole-number scale', { content: score(3.5) }, 'unparseable', {}],
    ['an empty reply', { content: '' }, 'unparseable', {}],
    ['JSON that is no completion', { raw: '[]' }, 'unparseable', {}],
    ['null for a completion', { raw: 'null' }, 'unparseable', {}],
    ['a reply cut before its number', { content: '{"score": ', finish: 'length' }, 'truncated', {}],
    ['a reply cut after a digit', { content: '{"score": 4', finish: 'length' }, 'truncated', {}]
  ])('gives null, never 0, for %s', async (_, answer, reason, options) => {
    const judge = await start(() => answer, options)
    const verdict = await judge.scoreOne(input('x'))
    expect(verdict.score).toBeNull()
    expect(verdict.reason).toBe(reason)
    expect(verdict.detail).toBeTruthy()
    expect(judge.metrics).toMatchObject({ verdicts: 1, unscored: 1 })
  })

  it('asks once more, showing the error, and counts both replies', async () => {
    const judge = await start((_, index) => ({ content: index === 0 ? score(7) : score(2) }))
    const verdict = await judge.scoreOne(input('x'))
    expect(verdict).toMatchObject({ score: 2, flags: ['reasked'], usage: { inputTokens: 200, outputTokens: 20 } })
    const again = server!.requests[1].messages
    expect(again.at(-2)).toEqual({ role: 'assistant', content: score(7) })
    expect(again.at(-1)!.content).toContain('"score" was 7; expected a whole number from 1 to 5')
  })

  it('does without what a server refuses', async () => {
    const judge = await start((body) =>
      body.logprobs
        ? { status: 500, error: 'logprobs is not supported for models created with logits_all=False' }
        : body.response_format
          ? { status: 422, error: 'response_format: Input should be text' }
          : { content: 'Score: 4' }
    )
    expect(await judge.scoreOne(input('x'))).toMatchObject({ score: 4, attempts: 1, flags: ['repaired'] })
    const before = server!.requests.length
    await judge.scoreOne(input('y'))
    expect(server!.requests.length).toBe(before + 1)
  })

  it('takes the expectation over score tokens where log-probs come back', async () => {
    const token = (text: string, ...top: [string, number][]) => ({
      token: text,
      logprob: Math.log(top[0]?.[1] ?? 1),
      top_logprobs: top.map(([token, p]) => ({ token, logprob: Math.log(p) }))
    })
    const logprobs = { content: [token('{"score":'), token('4', ['4', 0.6], ['5', 0.3], ['banana', 0.1]), token('}')] }
    const verdict = await (await start(() => ({ content: '{"score":4}', logprobs }))).scoreOne(input('x'))
    expect(verdict.score).toBeCloseTo((4 * 0.6 + 5 * 0.3) / 0.9, 6)
    expect(verdict.mass).toBeCloseTo(0.9, 6)
    expect(verdict.distribution!['5']).toBeCloseTo(1 / 3, 6)
  })

  it('keeps the written score and says so where the score tokens have little mass', async () => {
    const logprobs = {
      content: [{ token: '4', logprob: Math.log(0.1), top_logprobs: [{ token: 'well', logprob: Math.log(0.9) }] }]
    }
    const verdict = await (await start(() => ({ content: '4', logprobs }))).scoreOne(input('x'))
    expect(verdict).toMatchObject({ score: 4, flags: ['repaired', 'low_mass'] })
  })

  it('weighs criteria and lets a veto win', async () => {
    const criteria = [
      { name: 'polite', weight: 1 },
      { name: 'complete', weight: 2 },
      { name: 'no_promises', veto: true }
    ]
    const judge = await start(
      (body) => ({ content: JSON.stringify({ polite: 5, complete: 2, no_promises: answerIn(body) === 'good' }) }),
      { rubric: { ...rubric, criteria } }
    )
    expect(await judge.scoreOne(input('good'))).toMatchObject({
      score: 3,
      criteria: { polite: 5, complete: 2, no_promises: 1 }
    })
    expect(await judge.scoreOne(input('bad'))).toMatchObject({ score: 1, criteria: { no_promises: 0 } })
  })

  it('never sends an empty answer or unclosed reasoning: the lowest score, or unscored on request', async () => {
    const judge = await start(() => ({ content: score(5) }))
    for (const text of ['', '  \n', '<think>Let me see', '<think>done</think>  ']) {
      expect(await judge.scoreOne(input(text))).toMatchObject({ score: 1, attempts: 0 })
    }
    expect(server!.requests).toHaveLength(0)
    const strict = await createJudge({
      provider: 'openai',
      model: 'test',
      baseURL: server!.url,
      rubric,
      emptyAnswer: 'unscored'
    })
    expect(await strict.scoreOne(input(''))).toMatchObject({ score: null, reason: 'empty_answer' })
  })

  it('loses nothing while the server is down', async () => {
    server = await startServer(() => ({ content: score(3) }))
    const { port, url } = server
    judge = await createJudge({ provider: 'openai', model: 'test', baseURL: url, rubric, concurrency: 4 })
    await server.close()
    const verdicts = judge.scoreAll(Array.from({ length: 12 }, (_, index) => input(`answer ${index}`)))
    await new Promise((resolve) => setTimeout(resolve, 3000))
    server = await startServer(() => ({ content: score(3) }), port)
    expect((await verdicts).map((verdict) => verdict.score)).toEqual(Array.from({ length: 12 }, () => 3))
    expect(judge.metrics.retries).toBeGreaterThan(0)
  }, 30_000)

  it('gives up on a dead server at the deadline', async () => {
    server = await startServer(() => 'reset')
    const url = server.url
    await server.close()
    judge = await createJudge({ provider: 'openai', model: 'test', baseURL: url, rubric, deadline: 700 })
    const verdict = await judge.scoreOne(input('x'))
    expect(verdict).toMatchObject({ score: null, reason: 'provider_error' })
    expect(verdict.detail).toMatch(/ECONNREFUSED.*deadline of 700 ms/)
  })

  it('does not count the wait for a place against the deadline', async () => {
    const judge = await start(() => ({ content: score(3), delay: 60 }), { concurrency: 1, deadline: 400 })
    const verdicts = await judge.scoreAll(Array.from({ length: 8 }, (_, index) => input(`answer ${index}`)))
    expect(verdicts.filter((verdict) => verdict.score === 3)).toHaveLength(8)
  })

  it('never has more calls in flight than its limit', async () => {
    let active = 0
    let most = 0
    const judge = await start(
      () => {
        most = Math.max(most, ++active)
        setTimeout(() => active--, 25)
        return { content: score(3), delay: 30 }
      },
      { concurrency: 3 }
    )
    await judge.scoreAll(Array.from({ length: 12 }, (_, index) => input(`answer ${index}`)))
    expect(most).toBe(3)
  })

  it('asks once for identical answers in flight', async () => {
    const judge = await start(() => ({ content: score(3), delay: 50 }))
    const verdicts = await judge.scoreAll([input('same', 'a'), input('same', 'b'), input('other', 'c')])
    expect(verdicts.map(({ id, score }) => [id, score])).toEqual([
      ['a', 3],
      ['b', 3],
      ['c', 3]
    ])
    expect(server!.requests).toHaveLength(2)
    expect(judge.metrics).toMatchObject({ cached: 1, inputTokens: 200 })
  })

  it('stops at the signal', async () => {
    const judge = await start(() => 'hang')
    const controller = new AbortController()
    const verdict = judge.scoreOne(input('x'), { signal: controller.signal })
    setTimeout(() => controller.abort(), 50)
    expect(await verdict).toMatchObject({ score: null, reason: 'cancelled' })
    expect(await judge.scoreOne(input('y'), { signal: controller.signal })).toMatchObject({ reason: 'cancelled' })
  })

  it('counts the cost where a price is known', async () => {
    const judge = await start(() => ({ content: score(3) }), { priceTable: { test: { input: 1, output: 10 } } })
    expect((await judge.scoreOne(input('x'))).cost).toBeCloseTo(0.0002, 10)
  })
})
