/** Each provider sends what its official client sends, and reads what that client reads. */
import Anthropic from '@anthropic-ai/sdk'
import { Ollama } from 'ollama'
import OpenAI, { APIError, AzureOpenAI } from 'openai'
import { afterEach, describe, expect, it } from 'vitest'
import type { Provider, ProviderReply, ProviderRequest } from '../../src/judge/providers/provider.js'
import { openProvider } from '../../src/judge/providers/registry.js'
import type { ProviderOptions } from '../../src/judge/providers/shared.js'
import { schemaOf, type Field } from '../../src/judge/question.js'
import { record, type Recorded, type Recorder, type Told } from './recorder.js'

let server: Recorder | undefined
let provider: Provider | undefined
afterEach(async () => {
  await provider?.close?.()
  await server?.close()
  provider = server = undefined
})

const fields: Field[] = [
  { name: 'score', kind: 'number', low: 1, high: 3, integer: true, description: 'how good it is' },
  { name: 'polite', kind: 'boolean', description: 'whether it is polite' },
  { name: 'tone', kind: 'label', labels: ['warm', 'cold'] }
]
const schema = schemaOf(fields, false)
const image = 'data:image/png;base64,iVBORw0KGgo='

const request = (part: Partial<ProviderRequest> = {}): ProviderRequest => ({
  messages: [
    { role: 'system', content: 'Be fair. ☃' },
    { role: 'user', content: 'Judge "this".' }
  ],
  fields,
  schema,
  logProbs: true,
  maxTokens: 64,
  temperature: 0,
  seed: 7,
  signal: new AbortController().signal,
  ...part
})

const seeing = request({
  messages: [
    {
      role: 'user',
      content: [
        { type: 'text', text: 'What is this?' },
        { type: 'image_url', image_url: { url: image, detail: 'low' } }
      ]
    }
  ]
})

/** Both ways against one server: theirs by hand, ours by the provider. */
async function both(
  name: string,
  options: Partial<ProviderOptions>,
  told: Told,
  asked: ProviderRequest,
  theirs: (url: string) => Promise<unknown>,
  base = ''
): Promise<{ ours: ProviderReply; theirs: unknown; sent: [Recorded, Recorded] }> {
  server = await record(() => told)
  const { url, seen } = server
  const read = await theirs(url)
  provider = await openProvider(name, { model: 'm-1', apiKey: 'key-123456', baseURL: url + base, ...options })
  const ours = await provider.call(asked)
  expect(seen).toHaveLength(2)
  return { ours, theirs: read, sent: [seen[0]!, seen[1]!] }
}

function expectSame([theirs, ours]: [Recorded, Recorded], ...headers: string[]): void {
  expect(ours.body).toEqual(theirs.body)
  expect([ours.method, ours.path]).toEqual([theirs.method, theirs.path])
  const relevant = ({ headers: all }: Recorded): unknown[] =>
    ['content-type', 'accept', ...headers].map((name) => [name, all[name]])
  expect(relevant(ours)).toEqual(relevant(theirs))
}

const openai = (url: string): OpenAI =>
  new OpenAI({ baseURL: `${url}/v1`, apiKey: 'key-123456', organization: null, project: null, maxRetries: 0 })

const logprobs = [
  { token: '{"', logprob: -0.1, bytes: null, top_logprobs: [{ token: '{"', logprob: -0.1, bytes: null }] },
  { token: '3', logprob: -0.5, bytes: [51], top_logprobs: [{ token: '2', logprob: -1, bytes: [50] }] }
]
const tokens = [
  { token: '{"', logProb: -0.1, top: [{ token: '{"', logProb: -0.1 }] },
  { token: '3', logProb: -0.5, top: [{ token: '2', logProb: -1 }] }
]

const completion = (message: object, finish_reason = 'stop', spread: unknown = null): object => ({
  id: 'chatcmpl-1',
  object: 'chat.completion',
  created: 0,
  model: 'm-1',
  choices: [{ index: 0, message: { role: 'assistant', ...message }, finish_reason, logprobs: spread }],
  usage: { prompt_tokens: 31, completion_tokens: 9, total_tokens: 40 }
})

const chatBody = {
  model: 'm-1',
  messages: [
    { role: 'system' as const, content: 'Be fair. ☃' },
    { role: 'user' as const, content: 'Judge "this".' }
  ],
  temperature: 0,
  seed: 7,
  logprobs: true,
  top_logprobs: 20,
  response_format: {
    type: 'json_schema' as const,
    json_schema: { name: 'verdict', strict: true, schema }
  }
}

describe('openai', () => {
  it('chat completions', async () => {
    const { ours, theirs, sent } = await both(
      'openai',
      {},
      {
        body: completion({ content: '{"score": 3}', refusal: null }, 'stop', { content: logprobs, refusal: null }),
        headers: { 'x-ratelimit-remaining-requests': '41' }
      },
      request(),
      (url) => openai(url).chat.completions.create({ ...chatBody, max_tokens: 64 }),
      '/v1'
    )
    expectSame(sent, 'authorization')
    const read = theirs as OpenAI.ChatCompletion
    expect(ours).toMatchObject({ text: read.choices[0]!.message.content, tokens, finishReason: 'stop' })
    expect(ours.usage).toEqual({ inputTokens: read.usage!.prompt_tokens, outputTokens: read.usage!.completion_tokens })
    expect(ours.headers!.get('X-RateLimit-Remaining-Requests')).toBe('41')
  })

  it('chat completions with an image', async () => {
    const { sent } = await both(
      'openai',
      {},
      { body: completion({ content: '{}' }) },
      seeing,
      (url) =>
        openai(url).chat.completions.create({
          ...chatBody,
          messages: [
            {
              role: 'user',
              content: [
                { type: 'text', text: 'What is this?' },
                { type: 'image_url', image_url: { url: image, detail: 'low' } }
              ]
            }
          ],
          max_tokens: 64
        }),
      '/v1'
    )
    expectSame(sent, 'authorization')
  })

  it('asks its own server for max_completion_tokens, with organisation and project', async () => {
    process.env.OPENAI_ORG_ID = 'org-1'
    process.env.OPENAI_PROJECT_ID = 'proj-1'
    try {
      const { openaiFormat } = await import('../../src/judge/providers/openai.js')
      const format = openaiFormat({ model: 'm-1', apiKey: 'key-123456' })
      expect(format).toMatchObject({
        baseURL: 'https://api.openai.com/v1',
        headers: {
          authorization: 'Bearer key-123456',
          'openai-organization': 'org-1',
          'openai-project': 'proj-1'
        }
      })
      expect(JSON.parse(format.request(request()).body)).toEqual({ ...chatBody, max_completion_tokens: 64 })
    } finally {
      delete process.env.OPENAI_ORG_ID
      delete process.env.OPENAI_PROJECT_ID
    }
  })

  it.each([
    ['a refusal', completion({ content: null, refusal: 'No.' }), { finishReason: 'refusal', refusal: 'No.', text: '' }],
    ['a cut reply', completion({ content: '{"sc' }, 'length'), { finishReason: 'length', text: '{"sc' }],
    ['a filter', completion({ content: '' }, 'content_filter'), { finishReason: 'refusal' }]
  ])('reads %s', async (_, body, expected) => {
    server = await record(() => ({ body }))
    provider = await openProvider('openai', { model: 'm', baseURL: server.url })
    expect(await provider.call(request())).toMatchObject(expected)
  })

  it('responses', async () => {
    const body = {
      id: 'resp_1',
      object: 'response',
      created_at: 0,
      model: 'm-1',
      status: 'completed',
      error: null,
      incomplete_details: null,
      output: [
        { type: 'reasoning', id: 'r', summary: [] },
        {
          type: 'message',
          id: 'm',
          role: 'assistant',
          status: 'completed',
          content: [{ type: 'output_text', text: '{"score": 2}', annotations: [], logprobs }]
        }
      ],
      usage: { input_tokens: 12, output_tokens: 5, total_tokens: 17 }
    }
    const { ours, theirs, sent } = await both(
      'openai',
      { api: 'responses' },
      { body },
      request(),
      (url) =>
        openai(url).responses.create({
          model: 'm-1',
          input: chatBody.messages,
          max_output_tokens: 64,
          store: false,
          temperature: 0,
          text: { format: { type: 'json_schema', name: 'verdict', strict: true, schema } },
          include: ['message.output_text.logprobs'],
          top_logprobs: 20
        }),
      '/v1'
    )
    expectSame(sent, 'authorization')
    const read = theirs as OpenAI.Responses.Response
    expect(ours).toMatchObject({ text: read.output_text, tokens, finishReason: 'stop' })
    expect(ours.usage).toEqual({ inputTokens: read.usage!.input_tokens, outputTokens: read.usage!.output_tokens })
  })

  it('responses that were cut, refused, failed, and that see', async () => {
    const part = (content: object[]): object => ({ output: [{ type: 'message', content }], status: 'completed' })
    const told: object[] = [
      { ...part([]), status: 'incomplete', incomplete_details: { reason: 'max_output_tokens' } },
      part([{ type: 'refusal', refusal: 'No.' }]),
      { status: 'failed', error: { code: 'rate_limit_exceeded', message: 'Slow down' }, output: [] },
      part([{ type: 'output_text', text: '{}' }])
    ]
    server = await record((_, index) => ({ body: told[index] }))
    provider = await openProvider('openai', { model: 'm', baseURL: server.url, api: 'responses' })
    expect(await provider.call(request())).toMatchObject({ finishReason: 'length' })
    expect(await provider.call(request())).toMatchObject({ finishReason: 'refusal', refusal: 'No.' })
    await expect(provider.call(request())).rejects.toMatchObject({ status: 429, message: /Slow down/ })
    await provider.call(seeing)
    expect(server.seen.at(-1)!.body.input).toEqual([
      {
        role: 'user',
        content: [
          { type: 'input_text', text: 'What is this?' },
          { type: 'input_image', image_url: image, detail: 'low' }
        ]
      }
    ])
  })

  it('decisions', async () => {
    const body = {
      model: 'm-1',
      answers: [
        {
          type: 'score',
          name: 'score',
          score: 1.9,
          confidence: 0.6,
          probabilities: [
            { label: '1', value: 0, probability: 0.1 },
            { label: '2', value: 1, probability: 0.3 },
            { label: '3', value: 2, probability: 0.6 }
          ]
        },
        { type: 'predicate', name: 'polite', probability: 0.75 },
        {
          type: 'choice',
          name: 'tone',
          choice: 'cold',
          confidence: 0.7,
          probabilities: [
            { value: 'warm', probability: 0.3 },
            { value: 'cold', probability: 0.7 }
          ]
        }
      ],
      usage: { input_tokens: 40, output_tokens: 0, total_tokens: 40 }
    }
    const { ours, theirs, sent } = await both(
      'openai',
      { api: 'decisions' },
      { body },
      request(),
      (url) =>
        openai(url).decisions.create({
          model: 'm-1',
          input: chatBody.messages,
          questions: [
            {
              type: 'score',
              name: 'score',
              instructions: 'how good it is',
              levels: [{ label: '1' }, { label: '2' }, { label: '3' }]
            },
            { type: 'predicate', name: 'polite', instructions: 'whether it is polite' },
            {
              type: 'choice',
              name: 'tone',
              instructions: 'Choose the label that fits best.',
              choices: [{ value: 'warm' }, { value: 'cold' }]
            }
          ]
        }),
      '/v1'
    )
    expectSame(sent, 'authorization')
    expect((theirs as { answers: unknown }).answers).toEqual(body.answers)
    expect(ours.usage).toEqual({ inputTokens: 40, outputTokens: 0 })
    expect(ours.answers!.score!.value).toBeCloseTo(2.5, 12)
    expect(ours.answers).toMatchObject({
      score: { distribution: { 1: 0.1, 2: 0.3, 3: 0.6 }, mass: 1 },
      polite: { value: true, distribution: { true: 0.75, false: 0.25 } },
      tone: { value: 'cold' }
    })
  })

  it.each([400, 401, 429, 500, 503])('errors of status %i', async (status) => {
    const body = { error: { message: 'Went wrong', type: 'some_type', code: 'some_code', param: null } }
    server = await record(() => ({ status, body, headers: { 'retry-after': '3' } }))
    const theirs = await openai(server.url)
      .chat.completions.create({ ...chatBody })
      .catch((error: unknown) => error)
    provider = await openProvider('openai', { model: 'm-1', baseURL: `${server.url}/v1`, apiKey: 'key-123456' })
    const ours = await provider.call(request()).catch((error: unknown) => error)
    const read = theirs as APIError
    expect(read).toBeInstanceOf(APIError)
    expect(ours).toMatchObject({ status: read.status, code: read.code, type: read.type })
    expect((ours as Error).message).toContain(read.message)
    expect((ours as APIError).headers!.get('retry-after')).toBe(read.headers!.get('retry-after'))
  })
})

describe('openai_compatible', () => {
  it('azure', async () => {
    const { sent } = await both(
      'openai_compatible',
      { preset: 'azure', model: 'my deployment', apiVersion: '2025-01-01' },
      { body: completion({ content: '{}' }) },
      request(),
      (url) =>
        new AzureOpenAI({
          endpoint: url,
          apiKey: 'key-123456',
          apiVersion: '2025-01-01',
          deployment: 'my deployment',
          maxRetries: 0,
          organization: null
        }).chat.completions.create({ ...chatBody, model: 'my deployment', max_completion_tokens: 64 })
    )
    expectSame(sent, 'api-key')
    expect(sent[1].headers.authorization).toBeUndefined()
  })

  it.each([
    ['vllm', { max_tokens: 64, logprobs: true, top_logprobs: 20, seed: 7 }],
    ['sglang', { max_tokens: 64, logprobs: true, top_logprobs: 20, seed: 7 }],
    ['llama_cpp', { max_tokens: 64, logprobs: true, top_logprobs: 20, seed: 7 }],
    ['lm_studio', { max_tokens: 64, logprobs: true, top_logprobs: 20, seed: 7 }],
    ['openrouter', { max_tokens: 64, logprobs: true, top_logprobs: 20, seed: 7 }],
    ['groq', { max_completion_tokens: 64, seed: 7 }],
    ['together', { max_tokens: 64, seed: 7 }],
    ['mistral', { max_tokens: 64, random_seed: 7 }],
    ['gemini', { max_tokens: 64, seed: 7 }]
  ])('%s', async (preset, own) => {
    server = await record(() => ({ body: completion({ content: '{"score": 1}' }) }))
    provider = await openProvider('openai_compatible', {
      model: 'm-1',
      preset,
      baseURL: `${server.url}/v1`,
      apiKey: 'key-123456'
    })
    expect(await provider.call(request())).toMatchObject({ text: '{"score": 1}', finishReason: 'stop' })
    const { messages, temperature, response_format } = chatBody
    expect(server.seen[0]).toMatchObject({ path: '/v1/chat/completions' })
    expect(server.seen[0]!.headers.authorization).toBe('Bearer key-123456')
    expect(server.seen[0]!.body).toEqual({ model: 'm-1', messages, temperature, response_format, ...own })
  })

  it('goes down the ways to ask for a schema until one is taken, and stays there', async () => {
    server = await record(({ body }) =>
      'response_format' in body
        ? { status: 400, body: { detail: 'response_format: unknown field' } }
        : 'structured_outputs' in body
          ? { status: 400, body: { detail: 'structured_outputs: extra fields not permitted' } }
          : { body: completion({ content: '{}' }) }
    )
    provider = await openProvider('openai_compatible', { model: 'm', preset: 'vllm', baseURL: server.url })
    await provider.call(request())
    await provider.call(request())
    expect(server.seen).toHaveLength(4)
    expect(server.seen.at(-1)!.body).toHaveProperty('guided_json', schema)
  })

  it('needs to know which server, and a key where the server is not one’s own', async () => {
    const open = (options: Partial<ProviderOptions>): Promise<Provider> =>
      openProvider('openai_compatible', { model: 'm', ...options })
    await expect(open({})).rejects.toThrow(/needs baseURL.*or a preset \(vllm/)
    await expect(open({ preset: 'vlm' })).rejects.toThrow(/preset is "vlm"; expected one of vllm/)
    await expect(open({ preset: 'azure' })).rejects.toThrow(/AZURE_OPENAI_ENDPOINT/)
    await expect(open({ preset: 'groq' })).rejects.toThrow(/GROQ_API_KEY/)
    await (
      await open({ preset: 'vllm' })
    ).close!()
  })
})

describe('anthropic', () => {
  const message = (content: unknown[], stop_reason = 'end_turn'): object => ({
    id: 'msg_1',
    type: 'message',
    role: 'assistant',
    model: 'm-1',
    content,
    stop_reason,
    stop_sequence: null,
    usage: { input_tokens: 50, output_tokens: 5, cache_read_input_tokens: 30, cache_creation_input_tokens: 0 }
  })
  const client = (baseURL: string): Anthropic => new Anthropic({ baseURL, apiKey: 'key-123456', maxRetries: 0 })
  const params = {
    model: 'm-1',
    max_tokens: 64,
    system: 'Be fair. ☃',
    messages: [{ role: 'user' as const, content: 'Judge "this".' }],
    ...{ temperature: 0 },
    output_config: { format: { type: 'json_schema' as const, schema } }
  }

  it('messages', async () => {
    const { ours, theirs, sent } = await both(
      'anthropic',
      {},
      { body: message([{ type: 'text', text: '{"score": 2}', citations: null }]) },
      request(),
      (url) => client(url).messages.create(params)
    )
    expectSame(sent, 'authorization', 'anthropic-version')
    const read = theirs as Anthropic.Message
    expect(ours.text).toBe((read.content[0] as Anthropic.TextBlock).text)
    expect(ours).toMatchObject({ finishReason: 'stop', usage: { inputTokens: 80, outputTokens: 5 } })
  })

  it('messages with an image, inline and by address', async () => {
    const far = 'https://example.com/a.png'
    const asked = request({
      messages: [
        {
          role: 'user',
          content: [
            { type: 'image_url', image_url: { url: image } },
            { type: 'image_url', image_url: { url: far } },
            { type: 'text', text: 'What is this?' }
          ]
        }
      ]
    })
    const { model, max_tokens, temperature, output_config } = params
    const { sent } = await both('anthropic', {}, { body: message([]) }, asked, (url) =>
      client(url).messages.create({
        model,
        max_tokens,
        ...{ temperature },
        output_config,
        messages: [
          {
            role: 'user',
            content: [
              { type: 'image', source: { type: 'base64', media_type: 'image/png', data: 'iVBORw0KGgo=' } },
              { type: 'image', source: { type: 'url', url: far } },
              { type: 'text', text: 'What is this?' }
            ]
          }
        ]
      })
    )
    expectSame(sent, 'authorization', 'anthropic-version')
  })

  it('a mark after a long beginning that all requests share', async () => {
    const beginning = `${'The rubric. '.repeat(400)}\n\n`
    const asked = request({
      messages: [{ role: 'user', content: `${beginning}Judge this.` }],
      constant: [{ role: 'user', content: beginning }]
    })
    const { system: _, ...rest } = params
    const text = [
      { type: 'text' as const, text: beginning, cache_control: { type: 'ephemeral' as const } },
      { type: 'text' as const, text: 'Judge this.' }
    ]
    const { sent } = await both('anthropic', {}, { body: message([]) }, asked, (url) =>
      client(url).messages.create({ ...rest, messages: [{ role: 'user', content: text }] })
    )
    expectSame(sent)
    const { anthropicFormat } = await import('../../src/judge/providers/anthropic.js')
    const short = request({ constant: [{ role: 'user', content: 'Judge' }] })
    expect(anthropicFormat({ model: 'm', apiKey: 'k' }).request(short).body).not.toContain('cache_control')
  })

  it('a forced tool where the model has no structured output', async () => {
    const tool = {
      name: 'verdict',
      description: 'Gives the verdict.',
      input_schema: schema as Anthropic.Tool.InputSchema
    }
    server = await record(({ body }) =>
      'output_config' in body
        ? {
            status: 400,
            body: { type: 'error', error: { type: 'invalid_request_error', message: 'output_config: no' } }
          }
        : { body: message([{ type: 'tool_use', id: 't', name: 'verdict', input: { score: 3 } }], 'tool_use') }
    )
    const { model, max_tokens, system, messages, temperature } = params
    await client(server.url).messages.create({
      model,
      max_tokens,
      system,
      messages,
      ...{ temperature },
      tools: [tool],
      tool_choice: { type: 'tool', name: 'verdict' }
    })
    provider = await openProvider('anthropic', { model: 'm-1', apiKey: 'key-123456', baseURL: server.url })
    expect(await provider.call(request())).toMatchObject({ text: '{"score":3}', finishReason: 'stop' })
    expectSame([server.seen[0]!, server.seen.at(-1)!], 'authorization', 'anthropic-version')
  })
})

describe('ollama', () => {
  const body = {
    model: 'm-1',
    created_at: '2026-01-01T00:00:00Z',
    message: { role: 'assistant', content: '{"score": 2}' },
    done: true,
    done_reason: 'stop',
    prompt_eval_count: 9,
    eval_count: 4,
    logprobs
  }
  const params = {
    model: 'm-1',
    stream: false as const,
    messages: chatBody.messages,
    options: { temperature: 0, seed: 7, num_predict: 64, num_ctx: 8192 },
    keep_alive: '30m',
    format: schema,
    think: false,
    logprobs: true,
    top_logprobs: 20
  }

  it('chat', async () => {
    const { ours, theirs, sent } = await both('ollama', { keepAlive: '30m' }, { body }, request(), (host) =>
      new Ollama({ host, headers: { authorization: 'Bearer key-123456' } }).chat(params)
    )
    expectSame(sent, 'authorization')
    expect(ours).toMatchObject({
      text: (theirs as typeof body).message.content,
      tokens,
      finishReason: 'stop',
      usage: { inputTokens: 9, outputTokens: 4 }
    })
  })

  it('chat with an image', async () => {
    const { keep_alive: _, ...rest } = params
    const { sent } = await both('ollama', {}, { body }, seeing, (host) =>
      new Ollama({ host, headers: { authorization: 'Bearer key-123456' } }).chat({
        ...rest,
        messages: [{ role: 'user', content: 'What is this?\n[image]', images: ['iVBORw0KGgo='] }],
        options: { ...rest.options }
      })
    )
    expectSame(sent)
  })

  it('reads a reply that comes in lines, and an error among them', async () => {
    const line = (content: string, rest: object = {}): string =>
      JSON.stringify({ model: 'm', message: { role: 'assistant', content }, done: false, ...rest })
    const end = { done: true, done_reason: 'stop', prompt_eval_count: 3, eval_count: 2 }
    const told = [
      `${line('{"score"')}\n${line(': 2}', end)}\n`,
      `${line('{"score"')}\n{"error":"out of memory"}\n`,
      `${line('{"score"')}\n${line(': 2')}\n`
    ]
    server = await record((_, index) => ({ body: told[index] }))
    provider = await openProvider('ollama', { model: 'm', baseURL: server.url })
    expect(await provider.call(request())).toMatchObject({ text: '{"score": 2}', usage: { outputTokens: 2 } })
    await expect(provider.call(request())).rejects.toMatchObject({ status: 500, message: '500 out of memory' })
    await expect(provider.call(request())).rejects.toThrow(SyntaxError)
  })

  it('fetches no images', async () => {
    provider = await openProvider('ollama', { model: 'm', baseURL: 'http://127.0.0.1:1' })
    const far = { type: 'image_url' as const, image_url: { url: 'https://example.com/a.png' } }
    await expect(provider.call(request({ messages: [{ role: 'user', content: [far] }] }))).rejects.toThrow(
      /give a file or a data: URL/
    )
  })

  it.each([
    ['example.org', 'http://example.org:11434/'],
    ['0.0.0.0:99', 'http://127.0.0.1:99/'],
    [':8080', 'http://127.0.0.1:8080/'],
    ['https://example.org/a', 'https://example.org/a']
  ])('takes OLLAMA_HOST=%s', async (host, url) => {
    process.env.OLLAMA_HOST = host
    try {
      const { ollamaFormat } = await import('../../src/judge/providers/ollama.js')
      expect(ollamaFormat({ model: 'm' }).baseURL).toBe(url)
    } finally {
      delete process.env.OLLAMA_HOST
    }
  })
})
