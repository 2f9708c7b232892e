import { afterEach, describe, expect, it } from 'vitest'
import { createJudge, priceOf, probeProvider, registerProvider, type Rubric } from '../../src/judge/index.js'
import { backOff, classify, retryAfterOf } from '../../src/judge/retry.js'
import { record, type Recorded, type Recorder, type Told } from './recorder.js'

const rubric: Rubric = { aim: 'Replies', scale: { low: 1, high: 5 } }
const input = { messages: [{ role: 'user' as const, content: 'Hello?' }], completion: 'Hi.' }

let server: Recorder | undefined
afterEach(() => server?.close())

async function serve(answer: (request: Recorded, index: number) => Told): Promise<{ url: string; seen: Recorded[] }> {
  server = await record(answer)
  return server
}

describe('anthropic', () => {
  const reply = (content: unknown, stop_reason = 'end_turn'): object => ({
    id: 'msg_1',
    type: 'message',
    role: 'assistant',
    model: 'test',
    content,
    stop_reason,
    stop_sequence: null,
    usage: { input_tokens: 50, output_tokens: 5, cache_read_input_tokens: 30 }
  })

  it('asks with a schema and the system text apart', async () => {
    const { url, seen } = await serve(() => ({ body: reply([{ type: 'text', text: '{"score": 5}' }]) }))
    const judge = await createJudge({ provider: 'anthropic', model: 'test', baseURL: url, apiKey: 'secret', rubric })
    expect(await judge.scoreOne(input)).toMatchObject({ score: 5, usage: { inputTokens: 80, outputTokens: 5 } })
    expect(seen[0].path).toBe('/v1/messages')
    expect(JSON.stringify(seen[0].headers)).toContain('secret')
    expect(seen[0].body).toMatchObject({ system: expect.stringContaining('strict and fair') as string })
    expect(seen[0].body).toHaveProperty('output_config.format.type', 'json_schema')
  })

  it('marks a long rubric, so that it is paid in full only once', async () => {
    const { url, seen } = await serve(() => ({ body: reply([{ type: 'text', text: '{"score": 5}' }]) }))
    const long: Rubric = { ...rubric, aim: 'Replies that are polite and complete. '.repeat(120) }
    const judge = await createJudge({ provider: 'anthropic', model: 'test', baseURL: url, rubric: long })
    for (const completion of ['Hi.', 'Hello.']) await judge.scoreOne({ ...input, completion })
    const blocks = seen.map(({ body }) => (body.messages as { content: unknown[] }[])[0].content)
    expect(blocks[0][0]).toMatchObject({ cache_control: { type: 'ephemeral' } })
    expect(blocks[0][0]).toEqual(blocks[1][0])
    expect(blocks[0][1]).not.toEqual(blocks[1][1])
  })

  it('falls back to a forced tool', async () => {
    const { url, seen } = await serve(({ body }) =>
      'output_config' in body
        ? {
            status: 400,
            body: { type: 'error', error: { type: 'invalid_request_error', message: 'output_config: not supported' } }
          }
        : { body: reply([{ type: 'tool_use', id: 't', name: 'verdict', input: { score: 2 } }], 'tool_use') }
    )
    const judge = await createJudge({ provider: 'anthropic', model: 'test', baseURL: url, rubric })
    expect(await judge.scoreOne(input)).toMatchObject({ score: 2, flags: [] })
    expect(seen[1].body.tool_choice).toEqual({ type: 'tool', name: 'verdict' })
  })

  it('retries when overloaded, and takes a refusal for one when it comes again and again', async () => {
    const { url } = await serve((_, index) =>
      index === 0
        ? { status: 529, body: { type: 'error', error: { type: 'overloaded_error', message: 'Overloaded' } } }
        : { body: reply([{ type: 'text', text: 'No.' }], 'refusal') }
    )
    const judge = await createJudge({ provider: 'anthropic', model: 'test', baseURL: url, rubric })
    expect(await judge.scoreOne(input)).toMatchObject({ score: null, reason: 'refusal', attempts: 4 })
  })
})

describe('ollama', () => {
  it('turns thinking off, passes the schema, reads log-probs', async () => {
    const logprobs = [
      {
        token: '4',
        logprob: Math.log(0.75),
        top_logprobs: [
          { token: '4', logprob: Math.log(0.75) },
          { token: '5', logprob: Math.log(0.25) }
        ]
      }
    ]
    const body = {
      model: 'test',
      message: { role: 'assistant', content: '4' },
      done: true,
      done_reason: 'stop',
      prompt_eval_count: 9,
      eval_count: 1,
      logprobs
    }
    const { url, seen } = await serve(() => ({ body }))
    const judge = await createJudge({ provider: 'ollama', model: 'test', baseURL: url, rubric })
    const verdict = await judge.scoreOne(input)
    expect(verdict.score).toBeCloseTo(4.25, 6)
    expect(verdict).toMatchObject({ cost: 0, usage: { inputTokens: 9, outputTokens: 1 } })
    expect(seen[0]).toMatchObject({
      path: '/api/chat',
      body: { think: false, stream: false, options: { temperature: 0, seed: 0, num_ctx: 8192 } }
    })
    expect(seen[0].body.format).toHaveProperty('properties.score')
  })

  it('waits for a full queue to clear', async () => {
    const body = { message: { role: 'assistant', content: '{"score": 3}' }, done_reason: 'stop' }
    const { url } = await serve((_, index) =>
      index === 0
        ? { status: 503, headers: { 'retry-after-ms': '20' }, body: { error: 'server busy, please try again' } }
        : { body }
    )
    const judge = await createJudge({ provider: 'ollama', model: 'test', baseURL: url, rubric })
    expect(await judge.scoreOne(input)).toMatchObject({ score: 3, attempts: 2 })
  })
})

describe('decisions', () => {
  const score = (probabilities: number[]): object => ({
    type: 'score',
    name: 'score',
    probabilities: probabilities.map((probability, value) => ({ label: String(value + 1), value, probability }))
  })

  it('give the expectation over the scale, without parsing anything', async () => {
    const { url, seen } = await serve(() => ({
      body: { answers: [score([0, 0, 0.25, 0.5, 0.25])], usage: { input_tokens: 20, output_tokens: 0 } }
    }))
    const judge = await createJudge({ provider: 'openai', api: 'decisions', model: 'test', baseURL: url, rubric })
    const verdict = await judge.scoreOne(input)
    expect(verdict).toMatchObject({ score: 4, mass: 1, distribution: { 3: 0.25, 4: 0.5, 5: 0.25 }, flags: [] })
    expect(seen[0].path).toBe('/decisions')
  })

  it('that are refused or incomplete are unscored', async () => {
    const told = [[{ type: 'refusal', name: 'score' }], [], [score([1, 0])], [{ type: 'predicate', probability: 1 }]]
    let answers = told[0]
    const { url } = await serve(() => ({ body: { answers } }))
    const judge = await createJudge({ provider: 'openai', api: 'decisions', model: 'test', baseURL: url, rubric })
    for (const [index, reason] of ['refusal', 'unparseable', 'unparseable', 'unparseable'].entries()) {
      answers = told[index]
      expect(await judge.scoreOne(input)).toMatchObject({ score: null, reason })
    }
  })

  it('want a short scale and no reasoning', async () => {
    const open = (scale: Rubric['scale'], reasoning: 'none' | 'before' = 'none') =>
      createJudge({
        provider: 'openai',
        api: 'decisions',
        model: 'm',
        baseURL: 'http://x',
        rubric: { aim: 'x', scale, reasoning }
      })
    await expect(open({ low: 0, high: 10 })).rejects.toThrow(/at most 10 steps for score/)
    await expect(open({ low: 1, high: 5 }, 'before')).rejects.toThrow(/reasoning: none/)
  })
})

describe('a provider of one’s own', () => {
  it('is a format over HTTP, or calls by itself', async () => {
    const { url, seen } = await serve(({ headers }) => ({ body: headers['x-key'] === 'k' ? { grade: 4 } : {} }))
    registerProvider('formatted', ({ model, baseURL, apiKey }) => ({
      name: 'formatted',
      baseURL: baseURL!,
      ownServer: true,
      headers: { 'x-key': apiKey! },
      secrets: [],
      request: ({ messages }) => ({ path: '/grade', body: JSON.stringify({ model, turns: messages.length }) }),
      read: (reply) => ({
        text: JSON.stringify({ score: (reply as { grade: number }).grade }),
        usage: { inputTokens: 1, outputTokens: 2 },
        finishReason: 'stop'
      })
    }))
    registerProvider('calling', () => ({
      name: 'calling',
      limitKey: 'calling',
      call: () =>
        Promise.resolve({ text: '{"score": 2}', usage: { inputTokens: 0, outputTokens: 0 }, finishReason: 'stop' })
    }))
    const formatted = await createJudge({ provider: 'formatted', model: 'm', baseURL: url, apiKey: 'k', rubric })
    expect(await formatted.scoreOne(input)).toMatchObject({ score: 4, usage: { inputTokens: 1, outputTokens: 2 } })
    expect(seen[0]).toMatchObject({ path: '/grade', body: { model: 'm', turns: 2 } })
    expect(await (await createJudge({ provider: 'calling', model: 'm', rubric })).scoreOne(input)).toMatchObject({
      score: 2
    })
  })

  it('needs a name of its own', () => {
    for (const name of ['openai', 'native', 'function', 'a b']) {
      expect(() => registerProvider(name, () => Promise.reject(new Error()))).toThrow(/registerProvider/)
    }
  })
})

it('sends extra fields along, which are part of the ledger’s key', async () => {
  const { url, seen } = await serve(() => ({ body: { choices: [{ message: { content: '{"score": 3}' } }] } }))
  const ask = async (extraBody?: Record<string, unknown>): Promise<string | undefined> => {
    const options = { provider: 'openai', model: 'm', baseURL: url, rubric, ...(extraBody ? { extraBody } : {}) }
    return (await (await createJudge(options)).scoreOne(input)).key
  }
  const keys = [await ask(), await ask({ reasoning_effort: 'low' }), await ask({ reasoning_effort: 'high' })]
  expect(new Set(keys).size).toBe(3)
  expect(seen[1].body.reasoning_effort).toBe('low')
})

it('takes an error in a reply of status 200 for what it is', async () => {
  const { url } = await serve((_, index) => ({
    body:
      index === 0
        ? { error: { code: 502, message: 'Provider returned error' } }
        : { choices: [{ message: { content: '{"score": 3}' } }] }
  }))
  const judge = await createJudge({ provider: 'openai_compatible', model: 'm', baseURL: url, rubric })
  expect(await judge.scoreOne(input)).toMatchObject({ score: 3, attempts: 2 })
})

describe('what is wrong with the options', () => {
  it('is said before the first call', async () => {
    const key = process.env.OPENAI_API_KEY
    delete process.env.OPENAI_API_KEY
    try {
      await expect(createJudge({ provider: 'openai', model: 'x', rubric })).rejects.toThrow(/OPENAI_API_KEY/)
    } finally {
      if (key !== undefined) process.env.OPENAI_API_KEY = key
    }
    await expect(createJudge({ provider: 'openia' as 'openai', model: 'x', rubric })).rejects.toThrow(
      /expected one of openai/
    )
    await expect(createJudge({ provider: 'openai', rubric })).rejects.toThrow(/needs a model/)
    await expect(createJudge({ provider: 'openai', model: 'x', rubric, concurrency: 0 })).rejects.toThrow(
      /concurrency is 0/
    )
    await expect(createJudge({ provider: 'openai', model: 'x' })).rejects.toThrow(/rubric is missing/)
    await expect(createJudge({ provider: 'ollama', model: 'x', rubric, api: 'responses' })).rejects.toThrow(
      /api is an option of provider openai, not of ollama/
    )
    await expect(
      createJudge({ provider: 'openai_compatible', model: 'x', rubric, preset: 'vlm' as 'vllm' })
    ).rejects.toThrow(/preset is "vlm"; expected one of vllm/)
    await expect(createJudge({ provider: 'openai', model: 'x', rubric, baseURL: 'localhost:8000' })).rejects.toThrow(
      /expected http:\/\/ or https:\/\//
    )
  })
})

describe('retries', () => {
  it('read Retry-After in milliseconds, seconds and as a date', () => {
    const now = Date.parse('2026-01-01T00:00:00Z')
    expect(retryAfterOf(new Headers({ 'retry-after-ms': '1500', 'retry-after': '9' }), now)).toBe(1500)
    expect(retryAfterOf(new Headers({ 'retry-after': '2' }), now)).toBe(2000)
    expect(retryAfterOf(new Headers({ 'retry-after': 'Thu, 01 Jan 2026 00:00:03 GMT' }), now)).toBe(3000)
    // By the server's own clock, whatever this machine's says.
    const dated = { date: 'Thu, 01 Jan 2026 00:00:00 GMT', 'retry-after': 'Thu, 01 Jan 2026 00:00:03 GMT' }
    expect(retryAfterOf(new Headers(dated), Date.parse('2031-05-05'))).toBe(3000)
    expect(retryAfterOf(new Headers({ 'retry-after': 'soon' }), now)).toBeUndefined()
  })

  it('have full jitter under a cap', () => {
    const connection = classify(Object.assign(new Error('x'), { code: 'ECONNREFUSED' }), false, 1000)
    expect(connection.kind).toBe('connection')
    expect(backOff(connection, 1, () => 1)).toBe(500)
    expect(backOff(connection, 30, () => 1)).toBe(5000)
    expect(backOff({ ...connection, kind: 'retry' }, 30, () => 0.5)).toBe(15_000)
  })

  it('tell what is worth another try', () => {
    const kind = (status: number, message = ''): string =>
      classify(Object.assign(new Error(message), { status }), false, 1000).kind
    expect([400, 401, 403, 404, 422].map((status) => kind(status))).toEqual(Array.from({ length: 5 }, () => 'fatal'))
    expect([408, 409, 429, 500, 529].map((status) => kind(status))).toEqual(Array.from({ length: 5 }, () => 'retry'))
    expect([502, 503, 504].map((status) => kind(status))).toEqual(Array.from({ length: 3 }, () => 'connection'))
    expect(kind(429, 'insufficient_quota')).toBe('fatal')
  })
})

it('tells a server that answers from one that does not', async () => {
  const { url } = await serve(() => ({ body: {} }))
  expect(await probeProvider({ provider: 'ollama', baseURL: 'http://127.0.0.1:1' })).toMatchObject({ reachable: false })
  expect(await probeProvider({ provider: 'native' })).toMatchObject({ reachable: true })
  expect(await probeProvider({ provider: 'ollama', baseURL: url })).toMatchObject({ reachable: true })
})

it('knows a price only where there is one', () => {
  expect(priceOf('openai', 'gpt-4.1-mini-2025-04-14', false)).toEqual({ input: 0.4, output: 1.6 })
  expect(priceOf('openai', 'gpt-4.1-mini', true)).toBeNull()
  expect(priceOf('openai', 'gpt-99', false)).toBeNull()
  expect(priceOf('openai', 'gpt-99', false, { 'gpt-99': { input: 1, output: 2 } })).toEqual({ input: 1, output: 2 })
})
