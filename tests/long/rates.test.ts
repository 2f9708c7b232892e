import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { createJudge } from '../../src/judge/index.js'
import { runShared } from '../judge/schedule/shareLimits.js'
import { mostWithin } from '../judge/schedule/virtualClock.js'
import { score, startServer } from '../judge/server.js'

const rates = { requests: 600, tokens: 60_000 }
const seconds = 150

/** Most within any minute, and what is used of the second minute, as shares of the limit. */
function shares(times: number[], amounts: number[], limit: number): { most: number; used: number } {
  const from = times[0]! + 60_000
  const used = times.reduce(
    (sum, time, index) => (time >= from && time < from + 60_000 ? sum + amounts[index]! : sum),
    0
  )
  return { most: mostWithin(times, amounts, 60_000) / limit, used: used / limit }
}

it('a judge holds 600 requests and 60,000 tokens per minute, seen from its server, and uses them', async () => {
  const times: number[] = []
  // Each call takes 110 tokens here, so that it is the tokens that are scarce.
  const server = await startServer(() => {
    times.push(performance.now())
    return { content: score(3), delay: 100 }
  })
  const judge = await createJudge({
    provider: 'openai',
    model: 'test',
    baseURL: server.url,
    rubric: { aim: 'x', scale: { low: 1, high: 5 } },
    concurrency: 32,
    requestsPerMinute: rates.requests,
    tokensPerMinute: rates.tokens,
    logProbs: 'never'
  })
  const controller = new AbortController()
  setTimeout(() => controller.abort(), seconds * 1000)
  let index = 0
  const caller = async (): Promise<void> => {
    while (!controller.signal.aborted) {
      const completion = `answer ${index++}`
      await judge.scoreOne({ messages: [{ role: 'user', content: 'q' }], completion }, { signal: controller.signal })
    }
  }
  await Promise.all(Array.from({ length: 48 }, caller))
  await judge.close()
  await server.close()
  const tokens = shares(
    times,
    times.map(() => 110),
    rates.tokens
  )
  const requests = shares(
    times,
    times.map(() => 1),
    rates.requests
  )
  console.log(`one judge: tokens ${JSON.stringify(tokens)}, requests ${JSON.stringify(requests)}`)
  expect(tokens.most).toBeLessThanOrEqual(1.01)
  expect(tokens.used).toBeGreaterThanOrEqual(0.97)
  expect(requests.most).toBeLessThanOrEqual(1.01)
})

it('two processes with one ledger hold them together', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'adjudge-rates-'))
  try {
    const runs = await Promise.all([0, 1].map(() => runShared(folder, { ...rates, seconds })))
    const times = runs.flat().sort((a, b) => a - b)
    // 100 tokens each.
    const found = shares(
      times,
      times.map(() => 1),
      rates.requests
    )
    console.log(`two processes: ${JSON.stringify(found)}; ${runs.map((run) => run.length).join(' and ')} calls`)
    expect(found.most).toBeLessThanOrEqual(1.01)
    expect(found.used).toBeGreaterThanOrEqual(0.97)
  } finally {
    rmSync(folder, { recursive: true })
  }
})
