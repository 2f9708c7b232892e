import { afterEach, describe, expect, it } from 'vitest'
import { createJudge, type JudgeInput } from '../../src/judge/index.js'
import { faults, rightScore, startFaultServer, type FaultServer } from './faultServer.js'

let server: FaultServer | undefined
afterEach(async () => {
  await server?.close()
  server = undefined
})

describe('a judge whose server fails three times in ten', () => {
  it('gives the right score in order, or none: never a wrong one, never 0 for a failure', async () => {
    const count = 1000
    server = await startFaultServer({ rate: 0.3 })
    const judge = await createJudge({
      provider: 'openai',
      model: 'test',
      baseURL: server.url,
      rubric: { aim: 'Replies', scale: { low: 0, high: 100 } },
      concurrency: 64,
      timeout: 1000,
      hedge: 0
    })
    const inputs = Array.from({ length: count }, (_, index): JudgeInput => ({
      id: String(index),
      messages: [{ role: 'user', content: 'Hello?' }],
      completion: `answer ${index}`
    }))
    let unscored = 0
    let place = 0
    for await (const verdict of judge.score(inputs)) {
      expect(verdict.id).toBe(String(place++))
      if (verdict.score === null) {
        unscored++
        expect(verdict.reason).toBeTruthy()
      } else expect(verdict.score).toBe(rightScore(`answer ${verdict.id}`))
    }
    expect(place).toBe(count)
    expect(unscored).toBeLessThanOrEqual(count / 1000)
    for (const fault of faults) expect(server.seen.get(fault), fault).toBeGreaterThan(0)
    await judge.close()
  }, 120_000)
})
