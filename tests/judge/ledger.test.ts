import { spawn, type ChildProcess } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { open } from 'lmdb'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createJudge, Ledger, type Judge, type JudgeOptions, type Rubric } from '../../src/judge/index.js'
import { answerIn, score, startServer, type TestServer } from './server.js'

const rubric: Rubric = { aim: 'Replies', scale: { low: 1, high: 5 } }
const messages = [{ role: 'user' as const, content: 'Hello?' }]

let folder: string
let server: TestServer | undefined
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'adjudge-ledger-'))))
afterEach(async () => {
  await server?.close()
  server = undefined
  rmSync(folder, { recursive: true })
})

const open_ = (options: Partial<JudgeOptions> = {}): Promise<Judge> =>
  createJudge({
    provider: 'openai',
    model: 'test',
    baseURL: server!.url,
    rubric,
    ledger: join(folder, 'ledger'),
    ...options
  })

describe('the ledger', () => {
  it('answers a second run, and holds prompt, reply, usage and cost', async () => {
    server = await startServer(() => ({ content: score(4) }))
    const first = await open_({ priceTable: { test: { input: 1, output: 1 } } })
    const verdict = await first.scoreOne({ id: 'a', messages, completion: 'hi' })
    await first.close()
    const second = await open_()
    expect(await second.scoreOne({ id: 'b', messages, completion: 'hi' })).toMatchObject({
      id: 'b',
      score: 4,
      latency: 0,
      cost: 0,
      flags: ['cached'],
      key: verdict.key
    })
    expect(second.metrics).toMatchObject({ cached: 1, calls: 0 })
    await second.close()
    expect(server.requests).toHaveLength(1)
    const ledger = Ledger.open(join(folder, 'ledger'))
    expect(ledger.get(verdict.key!)).toMatchObject({
      model: 'test',
      reply: score(4),
      verdict: { score: 4, cost: 0.00011 }
    })
    expect(JSON.stringify([...ledger.list()])).toContain('<<<BEGIN ANSWER')
    expect(ledger.stats()).toMatchObject({ verdicts: 1, failures: 0, inputTokens: 100, outputTokens: 10 })
    await ledger.close()
  })

  it('asks again where rubric, model or parameters differ', async () => {
    server = await startServer(() => ({ content: JSON.stringify({ score: 4, polite: 2, brief: 4 }) }))
    const weighed = (weight: number): Rubric => ({
      ...rubric,
      criteria: [{ name: 'polite', weight }, { name: 'brief' }]
    })
    const variants: Partial<JudgeOptions>[] = [
      {},
      { model: 'other' },
      { temperature: 0.5 },
      { rubric: { ...rubric, aim: 'Else' } },
      { rubric: weighed(1) },
      { rubric: weighed(3) }
    ]
    const scores: (number | null)[] = []
    for (const options of variants) {
      const judge = await open_(options)
      scores.push((await judge.scoreOne({ messages, completion: 'hi' })).score)
      await judge.close()
    }
    expect(server.requests).toHaveLength(variants.length)
    expect(scores).toEqual([4, 4, 4, 4, 3, 2.5])
  })

  it('never answers with a failure, but keeps it on record', async () => {
    let broken = true
    server = await startServer(() => ({ content: broken ? 'nonsense' : score(4) }))
    const judge = await open_()
    expect((await judge.scoreOne({ messages, completion: 'hi' })).score).toBeNull()
    broken = false
    expect((await judge.scoreOne({ messages, completion: 'hi' })).score).toBe(4)
    const ledger = Ledger.open(join(folder, 'ledger'))
    expect(ledger.stats()).toMatchObject({ verdicts: 1, failures: 1 })
    await ledger.close()
    await judge.close()
  })

  it('refuses a folder that a newer version wrote', async () => {
    const root = open({ path: join(folder, 'ledger'), encoding: 'json', maxDbs: 4 })
    await root.openDB<number, string>({ name: 'meta', encoding: 'json' }).put('format', 2)
    await root.close()
    expect(() => Ledger.open(join(folder, 'ledger'))).toThrow(/newer adjudge/)
  })

  it('says where it cannot be opened', () => {
    writeFileSync(join(folder, 'file'), '')
    expect(() => Ledger.open(join(folder, 'file', 'ledger'))).toThrow(expect.objectContaining({ code: 'LEDGER_OPEN' }))
  })

  it('loses nothing to kill -9: a second run asks only for what was in flight', async () => {
    const count = 40
    server = await startServer(() => ({ content: score(3), delay: 40 }))
    const done: string[] = []
    const first = child(server.url, count, (line) => done.push(line))
    await until(() => done.length >= 10)
    first.kill('SIGKILL')
    await new Promise((resolve) => first.once('close', resolve))
    const before = server.requests.length
    expect(before).toBeLessThan(count)
    const rest: string[] = []
    const second = child(server.url, count, (line) => rest.push(line))
    expect(await new Promise((resolve) => second.once('close', resolve))).toBe(0)
    expect(rest).toHaveLength(count)
    expect(rest.every((line) => line.endsWith(' 3'))).toBe(true)
    const asked = new Map<string, number>()
    for (const body of server.requests) asked.set(answerIn(body), (asked.get(answerIn(body)) ?? 0) + 1)
    expect(asked.size).toBe(count)
    const twice = [...asked.values()].filter((times) => times > 1).length
    expect(twice).toBeLessThanOrEqual(4)
    for (const line of done) expect(asked.get(`answer ${line.split(' ')[0]}`)).toBe(1)
  }, 60_000)

  it('is shared by processes that run at once', async () => {
    server = await startServer(() => ({ content: score(3) }))
    const runs = [0, 1].map(() => child(server!.url, 20, () => undefined))
    const codes = await Promise.all(runs.map((run) => new Promise((resolve) => run.once('close', resolve))))
    expect(codes).toEqual([0, 0])
    const ledger = Ledger.open(join(folder, 'ledger'))
    expect(ledger.stats().verdicts).toBe(20)
    await ledger.close()
  }, 60_000)
})

function child(url: string, count: number, onLine: (line: string) => void): ChildProcess {
  const script = fileURLToPath(new URL('./resume.ts', import.meta.url))
  const process_ = spawn(
    process.execPath,
    ['--import', new URL('./typescript.mjs', import.meta.url).href, script, url, join(folder, 'ledger'), String(count)],
    { stdio: ['ignore', 'pipe', 'inherit'] }
  )
  let rest = ''
  process_.stdout.on('data', (chunk: Buffer) => {
    const lines = (rest + chunk.toString()).split('\n')
    rest = lines.pop()!
    lines.forEach(onLine)
  })
  return process_
}

async function until(condition: () => boolean): Promise<void> {
  for (let waited = 0; !condition(); waited += 10) {
    if (waited > 20_000) throw new Error('waited in vain')
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}
