import { mkdtempSync, readdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { createJudge, type Judge, type JudgeInput, type JudgeOptions, type Rubric } from '../../src/judge/index.js'
import { startBatchServer, type BatchServer, type Fate, type Line } from './batchServer.js'
import { answerIn, type ChatBody } from './server.js'

const rubric: Rubric = { aim: 'Numbers', scale: { low: 0, high: 1000 } }
const judgeFolder = (): string => mkdtempSync(join(tmpdir(), 'batch-'))

let server: BatchServer | undefined
const judges: Judge[] = []
afterEach(async () => {
  for (const judge of judges.splice(0)) await judge.close()
  await server?.close()
  server = undefined
})

const numbers = (count: number): JudgeInput[] =>
  Array.from({ length: count }, (_, index) => ({
    id: String(index),
    messages: [{ role: 'user', content: 'A number?' }],
    completion: String(index)
  }))
const valueOf = (body: Line['body']): number => Number(answerIn(body as unknown as ChatBody))
const right = (body: Line['body']): string => JSON.stringify({ score: valueOf(body) })

async function start(fate: (value: number, batch: number) => Fate = (value) => ({ content: `{"score": ${value}}` })) {
  return (server = await startBatchServer(({ body }, batch) => fate(valueOf(body), batch), right))
}

async function open(provider: 'openai' | 'anthropic', ledger: string, options: Partial<JudgeOptions> = {}) {
  const judge = await createJudge({
    provider,
    model: 'test',
    baseURL: provider === 'openai' ? `${server!.url}/v1` : server!.url,
    apiKey: 'key-123456',
    rubric,
    ledger,
    transport: 'batch',
    batch: { linger: 60, poll: 20 },
    priceTable: { test: { input: 1, output: 10 } },
    ...options
  })
  judges.push(judge)
  return judge
}

describe.each(['openai', 'anthropic'] as const)('batches of %s', (provider) => {
  it('bring each answer its own verdict, at half the price, however results are mixed', async () => {
    await start()
    const folder = judgeFolder()
    const judge = await open(provider, folder)
    const verdicts = await judge.scoreAll(numbers(200))
    expect(verdicts.map(({ id, score }) => [id, score])).toEqual(
      Array.from({ length: 200 }, (_, index) => [String(index), index])
    )
    expect(server!.direct).toBe(1)
    expect(server!.batches.map((lines) => lines.length)).toEqual([199])
    expect(verdicts[7]!.cost).toBeCloseTo((100 * 1 + 10 * 10) / 1e6 / 2, 12)
    expect(readdirSync(join(folder, 'batches'))).toHaveLength(1)
    await judge.close()
    expect(readdirSync(join(folder, 'batches'))).toHaveLength(0)
  })

  it('are split by size', async () => {
    await start()
    const judge = await open(provider, judgeFolder(), { batch: { size: 40, linger: 60, poll: 20 } })
    const verdicts = await judge.scoreAll(numbers(101))
    expect(verdicts.map(({ score }) => score)).toEqual(Array.from({ length: 101 }, (_, index) => index))
    expect(server!.batches.flat()).toHaveLength(100)
    expect(Math.max(...server!.batches.map((lines) => lines.length))).toBe(40)
  })

  it('ask again for what failed, was missing or expired, and for nothing else', async () => {
    const bad: Fate[] = [{ status: 500 }, 'missing', 'expired', { content: '{"score": "four"}' }]
    await start((value, batch) =>
      batch === 0 && value % 10 < 4 ? bad[value % 10]! : { content: `{"score": ${value}}` }
    )
    const judge = await open(provider, judgeFolder())
    const verdicts = await judge.scoreAll(numbers(100))
    expect(verdicts.map(({ score }) => score)).toEqual(Array.from({ length: 100 }, (_, index) => index))
    expect(server!.batches[0]).toHaveLength(99)
    expect(server!.batches.slice(1).flat()).toHaveLength(39)
    expect(verdicts[13]!.flags).toContain('reasked')
  })

  it('are found again by a later run, which asks and pays for nothing twice', async () => {
    await start()
    server!.looks = Infinity
    const folder = judgeFolder()
    const stop = new AbortController()
    const first = await open(provider, folder)
    const given = first.scoreAll(numbers(60), { signal: stop.signal })
    while (server!.batches.length === 0) await new Promise((resolve) => setTimeout(resolve, 20))
    await new Promise((resolve) => setTimeout(resolve, 50))
    stop.abort()
    expect((await given).filter(({ reason }) => reason === 'cancelled')).toHaveLength(59)
    await first.close()

    server!.looks = 1
    server!.cut = 1
    const second = await open(provider, folder)
    const scores: (number | null)[] = []
    for await (const verdict of second.score(numbers(60))) scores.push(verdict.score)
    expect(scores).toEqual(Array.from({ length: 60 }, (_, index) => index))
    expect(server!.batches.flat()).toHaveLength(59)
    expect(server!.direct).toBe(1)
  })

  it('whose download breaks off are downloaded again', async () => {
    await start()
    server!.cut = 2
    const judge = await open(provider, judgeFolder())
    const verdicts = await judge.scoreAll(numbers(50))
    expect(verdicts.map(({ score }) => score)).toEqual(Array.from({ length: 50 }, (_, index) => index))
    expect(server!.batches.flat()).toHaveLength(49)
  })
})

describe('a batch', () => {
  it('whose submission was carried out though its answer was lost is not submitted twice, where it can be found', async () => {
    await start()
    server!.lose = 1
    const judge = await open('openai', judgeFolder())
    const verdicts = await judge.scoreAll(numbers(20))
    expect(verdicts.every(({ score }) => score !== null)).toBe(true)
    expect(server!.batches).toHaveLength(1)
  })

  it('is not made before the first question, sent directly, has shown that the server answers', async () => {
    server = await startBatchServer(
      () => ({ content: '' }),
      () => 'What a lovely day.'
    )
    const judge = await open('openai', judgeFolder(), { api: 'chat' })
    const [verdict] = await judge.scoreAll(numbers(1))
    expect(verdict).toMatchObject({ score: null, reason: 'unparseable' })
    const asked = server.batches.flat().length
    await server.close()
    const dead = await open('openai', judgeFolder(), { deadline: 300 })
    expect(await dead.scoreAll(numbers(3))).toMatchObject(
      Array.from({ length: 3 }, () => ({ score: null, reason: 'provider_error' }))
    )
    expect(server.batches.flat()).toHaveLength(asked)
  })

  it('needs a ledger, and a provider that has batches', async () => {
    const options = {
      model: 'm',
      rubric: { aim: 'x', scale: { low: 1, high: 5 } },
      apiKey: 'k',
      transport: 'batch' as const
    }
    await expect(createJudge({ provider: 'openai', ...options })).rejects.toThrow(/transport batch needs a ledger/)
    const ledger = judgeFolder()
    await expect(createJudge({ provider: 'ollama', ...options, ledger })).rejects.toThrow(/is for openai/)
    await expect(
      createJudge({ provider: 'openai', api: 'decisions', ...options, ledger: judgeFolder() })
    ).rejects.toThrow(/not for openai decisions/)
    await expect(
      createJudge({ provider: 'openai', ...options, ledger: judgeFolder(), batch: { poll: 0 } })
    ).rejects.toThrow(/batch.poll is 0/)
  })
})
