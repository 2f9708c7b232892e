import { setMaxListeners } from 'node:events'
import { describe, expect, it } from 'vitest'
import { Scheduler } from '../../../src/judge/schedule/scheduler.js'
import { VirtualClock } from './virtualClock.js'

const signal = new AbortController().signal
setMaxListeners(0, signal)

interface Result {
  /** Calls that a server with that room answers in the time, at most. */
  possible: number
  answered: number
  refused: number
}

/** Callers without end before a server that answers `room(time)` calls at once, each in `latency`, and refuses others. */
async function load(
  room: (time: number) => number,
  { callers = 256, latency = 100, seconds = 60, chance = 0 } = {}
): Promise<Result[]> {
  const clock = new VirtualClock()
  const scheduler = new Scheduler('key', clock)
  const begin = clock.now()
  const results: Result[] = []
  let busy = 0
  let random = 1
  const next = (): number => (random = (Math.imul(random, 48271) >>> 0) % 2147483647) / 2147483647
  const current = (): Result => results.at(-1)!
  const caller = async (): Promise<void> => {
    for (let retry = false; ;) {
      const place = await scheduler.acquire({
        limit: callers,
        priority: 'training',
        retry,
        tokens: 1,
        patience: 60_000,
        waits: true,
        signal
      })
      // The way there and back.
      await clock.sleep(2 + 3 * next())
      const refused = busy >= room(clock.now() - begin) || next() < chance
      if (!refused) {
        busy++
        await clock.sleep(latency * (0.9 + 0.2 * next()))
        busy--
        current().answered++
      } else current().refused++
      await clock.sleep(2 + 3 * next())
      if (refused) place.failed({ kind: 'retry', reason: 'rate_limited', detail: '429', status: 429 })
      else place.answered({ inputTokens: 1, outputTokens: 0 }, undefined)
      place.release()
      retry = refused
      if (refused) await clock.sleep(500 * next())
    }
  }
  for (let count = 0; count < callers; count++) void caller()
  for (let second = 0; second < seconds; second += 10) {
    results.push({ possible: (room(clock.now() - begin) * 10_000) / (latency + 10), answered: 0, refused: 0 })
    await clock.advance(10_000)
  }
  return results
}

const last = (results: Result[], count: number): Result =>
  results.slice(-count).reduce((sum, one) => ({
    possible: sum.possible + one.possible,
    answered: sum.answered + one.answered,
    refused: sum.refused + one.refused
  }))

describe('adaptive concurrency', () => {
  it.each([4, 10, 50, 200])('uses a server with room for %i calls, with few refusals', async (room) => {
    const results = await load(() => room, { callers: 256, seconds: 30 })
    const { possible, answered, refused } = last(results, 2)
    expect(answered / possible).toBeGreaterThanOrEqual(0.9)
    expect(refused / answered).toBeLessThan(0.03)
    // Finding out costs little as well.
    expect(results[0]!.refused).toBeLessThan(700)
  })

  it('follows a server whose room changes', async () => {
    const results = await load((time) => (time < 20_000 ? 40 : time < 40_000 ? 12 : 40), { callers: 64, seconds: 70 })
    for (const index of [1, 3, 6]) {
      expect(results[index]!.answered / results[index]!.possible).toBeGreaterThanOrEqual(0.85)
      expect(results[index]!.refused / results[index]!.answered).toBeLessThan(0.05)
    }
  })

  it('keeps its calls where refusals come by chance: fewer would not help', async () => {
    const results = await load(() => Infinity, { callers: 32, chance: 0.1, seconds: 30 })
    const { answered } = last(results, 2)
    // With all 32 in flight all the time, but for the waits after a refusal of 250 ms on average.
    const possible = (2 * 10_000 * 32 * 0.9) / (0.9 * 105 + 0.1 * 255)
    expect(answered / possible).toBeGreaterThan(0.8)
  })
})
