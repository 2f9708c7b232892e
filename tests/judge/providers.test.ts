import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { createJudge, priceOf, probeProvider, type Rubric } from '../../src/judge/index.js'
import { backOff, classify, retryAfterOf } from '../../src/judge/retry.js'

const rubric: Rubric = { aim: 'Replies', scale: { low: 1, high: 5 } }
const input = { messages: [{ role: 'user' as const, content: 'Hello?' }], completion: 'Hi.' }

interface Seen {
  url: string
  headers: Record<string, unknown>
  body: Record<string, unknown>
}

let server: Server | undefined
afterEach(() => {
  server?.closeAllConnections()
  server?.close()
})

async function serve(
  answer: (seen: Seen, index: number) => { status?: number; headers?: Record<string, string>; body: unknown }
): Promise<{ url: string; seen: Seen[] }> {
  const seen: Seen[] = []
  server = createServer((request, response) => {
    let text = ''
    request.on('data', (chunk: Buffer) => (text += chunk.toString()))
    request.on('end', () => {
      seen.push({
        url: request.url!,
        headers: request.headers,
        body: JSON.parse(text || '{}') as Record<string, unknown>
      })
      const { status = 200, headers = {}, body } = answer(seen.at(-1)!, seen.length - 1)
      response.writeHead(status, { 'content-type': 'application/json', ...headers })
      response.end(JSON.stringify(body))
    })
  })
  await new Promise<void>((resolve) => server!.listen(0, '127.0.0.1', resolve))
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, seen }
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
    expect(seen[0].url).toBe('/v1/messages')
    expect(JSON.stringify(seen[0].headers)).toContain('secret')
    expect(seen[0].body).toMatchObject({ system: expect.stringContaining('strict and fair') as string })
    expect(seen[0].body).toHaveProperty('output_config.format.type', 'json_schema')
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

  it('retries when overloaded, and takes a refusal for one', async () => {
    const { url } = await serve((_, index) =>
      index === 0
        ? { status: 529, body: { type: 'error', error: { type: 'overloaded_error', message: 'Overloaded' } } }
        : { body: reply([{ type: 'text', text: 'No.' }], 'refusal') }
    )
    const judge = await createJudge({ provider: 'anthropic', model: 'test', baseURL: url, rubric })
    expect(await judge.scoreOne(input)).toMatchObject({ score: null, reason: 'refusal', attempts: 2 })
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
      url: '/api/chat',
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
  })
})

describe('retries', () => {
  it('read Retry-After in milliseconds, seconds and as a date', () => {
    const now = Date.parse('2026-01-01T00:00:00Z')
    expect(retryAfterOf(new Headers({ 'retry-after-ms': '1500', 'retry-after': '9' }), now)).toBe(1500)
    expect(retryAfterOf(new Headers({ 'retry-after': '2' }), now)).toBe(2000)
    expect(retryAfterOf(new Headers({ 'retry-after': 'Thu, 01 Jan 2026 00:00:03 GMT' }), now)).toBe(3000)
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
