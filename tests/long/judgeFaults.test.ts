import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { createJudge, Ledger, type JudgeInput } from '../../src/judge/index.js'
import { rightScore, startFaultServer } from '../judge/faultServer.js'
import { startScript, until } from '../cli/child.js'

const inputs = (count: number): JudgeInput[] =>
  Array.from({ length: count }, (_, index) => ({
    id: String(index),
    messages: [{ role: 'user', content: 'Hello?' }],
    completion: `answer ${index}`
  }))

it('10,000 verdicts of a server that fails three times in ten: none wrong, 1 in 1,000 unscored at most', async () => {
  const count = 10_000
  const server = await startFaultServer({ rate: 0.3, seed: 7 })
  const folder = mkdtempSync(join(tmpdir(), 'adjudge-faults-'))
  const judge = await createJudge({
    provider: 'openai',
    model: 'test',
    baseURL: server.url,
    rubric: { aim: 'Replies', scale: { low: 0, high: 100 } },
    concurrency: 64,
    timeout: 1000,
    ledger: join(folder, 'ledger')
  })
  let unscored = 0
  let place = 0
  for await (const { id, score } of judge.score(inputs(count))) {
    expect(id).toBe(String(place++))
    if (score === null) unscored++
    else expect(score).toBe(rightScore(`answer ${id}`))
  }
  expect(place).toBe(count)
  console.log(`${unscored} of ${count} unscored; faults: ${JSON.stringify(Object.fromEntries(server.seen))}`)
  expect(unscored).toBeLessThanOrEqual(count / 1000)
  await judge.close()
  await server.close()
  rmSync(folder, { recursive: true })
})

it('a judge that is killed 200 times loses no verdict and asks nothing twice but what was in flight', async () => {
  const count = 2000
  const concurrency = 4
  const server = await startFaultServer({ rate: 0, scoreOf: () => 3 })
  const folder = mkdtempSync(join(tmpdir(), 'adjudge-kills-'))
  const ledger = join(folder, 'ledger')
  const start = () => startScript(new URL('../judge/resume.ts', import.meta.url), [server.url, ledger, String(count)])
  const total = (): number => [...server.asked.values()].reduce((sum, times) => sum + times, 0)
  let kills = 0
  let random = 4711
  while (kills < 200) {
    random = (Math.imul(random, 1664525) + 1013904223) >>> 0
    const child = start()
    const goal = total() + 1 + (random % 9)
    await until(() => total() >= goal, child)
    await new Promise((resolve) => setTimeout(resolve, random % 7))
    child.process.kill('SIGKILL')
    await child.ended
    kills++
  }
  const last = start()
  expect(await last.ended).toBe(0)
  const lines = last.out.trim().split('\n')
  expect(lines).toHaveLength(count)
  const twice = [...server.asked.values()].reduce((sum, times) => sum + times - 1, 0)
  console.log(`${total()} questions for ${count} verdicts, ${twice} asked again after ${kills} kills`)
  expect(server.asked.size).toBe(count)
  expect(twice).toBeLessThanOrEqual(kills * concurrency)
  const kept = Ledger.open(ledger)
  expect(kept.stats().verdicts).toBe(count)
  await kept.close()
  await server.close()
  rmSync(folder, { recursive: true })
})
