import { setMaxListeners } from 'node:events'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { Rates } from '../../../src/judge/schedule/rates.js'
import { Scheduler } from '../../../src/judge/schedule/scheduler.js'
import { RateStore } from '../../../src/judge/schedule/store.js'
import { runShared } from './shareLimits.js'
import { mostWithin, VirtualClock } from './virtualClock.js'

const signal = new AbortController().signal
setMaxListeners(0, signal)
let folder: string
let store: RateStore
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'adjudge-limits-'))
  store = RateStore.open(folder)
})
afterEach(async () => {
  await store.close()
  rmSync(folder, { recursive: true })
})

const ask = {
  limit: 16,
  priority: 'training' as const,
  retry: false,
  tokens: 120,
  patience: 120_000,
  waits: true,
  signal
}

/** Takes places without end; gives the times of its calls. */
function demand(scheduler: Scheduler, clock: VirtualClock, goOn: () => boolean = () => true): number[] {
  const times: number[] = []
  const caller = async (): Promise<void> => {
    while (goOn()) {
      const place = await scheduler.acquire(ask)
      times.push(clock.now())
      await clock.sleep(150)
      place.answered({ inputTokens: 90, outputTokens: 10 }, undefined)
      place.release()
    }
  }
  for (let count = 0; count < 16; count++) void caller()
  return times
}

const merged = (...lists: number[][]): number[] => lists.flat().sort((a, b) => a - b)
const ones = (times: number[]): number[] => times.map(() => 1)

describe('limits kept in a common file', () => {
  it('hold for all together, are used, and shared out', async () => {
    const clock = new VirtualClock()
    const limits = { requestsPerMinute: 600, tokensPerMinute: 57_000, store }
    const schedulers = [new Scheduler('key', clock), new Scheduler('key', clock)]
    for (const scheduler of schedulers) scheduler.join(limits)
    const begin = clock.now()
    const [one, other] = schedulers.map((scheduler) => demand(scheduler, clock))
    await clock.advance(150_000)
    const all = merged(one!, other!)
    expect(100 * mostWithin(all, ones(all), 60_000)).toBeLessThanOrEqual(1.01 * 57_000)
    const used = all.filter((time) => time >= begin + 60_000 && time < begin + 120_000).length * 100
    expect(used).toBeGreaterThanOrEqual(0.97 * 57_000)
    expect(Math.min(one!.length, other!.length) / all.length).toBeGreaterThan(0.3)
  }, 20_000)

  it('are not held by one that is gone', async () => {
    const clock = new VirtualClock()
    const limits = { requestsPerMinute: 600, store }
    const schedulers = [new Scheduler('key', clock), new Scheduler('key', clock)]
    for (const scheduler of schedulers) scheduler.join(limits)
    let alive = true
    demand(schedulers[0]!, clock, () => alive)
    const rest = demand(schedulers[1]!, clock)
    await clock.advance(20_000)
    // As a process that is killed: nothing is given back.
    alive = false
    const gone = clock.now()
    await clock.advance(70_000)
    const last = rest.filter((time) => time >= gone + 60_000).length
    expect(last).toBeGreaterThanOrEqual(0.97 * 100)
  }, 20_000)

  it('a pause that one is told of holds for the others', async () => {
    const clock = new VirtualClock()
    const [one, other] = [new Scheduler('key', clock), new Scheduler('key', clock)]
    for (const scheduler of [one, other]) scheduler.join({ requestsPerMinute: 600, store })
    const place = await one.acquire(ask)
    place.failed({ kind: 'retry', reason: 'rate_limited', detail: '429', status: 429, retryAfter: 3000 })
    place.release()
    const begin = clock.now()
    const times = demand(other, clock)
    await clock.advance(3500)
    expect(times[0]! - begin).toBeGreaterThanOrEqual(3000 - 1e-6)
    expect(times[0]! - begin).toBeLessThanOrEqual(3100)
  })

  it('keys have their own', async () => {
    const clock = new VirtualClock()
    const [one, other] = [new Scheduler('a', clock), new Scheduler('b', clock)]
    for (const scheduler of [one, other]) scheduler.join({ requestsPerMinute: 60, store })
    const lists = [demand(one, clock), demand(other, clock)]
    await clock.advance(10_500)
    for (const times of lists) expect(times.length).toBe(11)
  })

  it('numbers from before the machine was started again, or of an unknown kind, count for nothing', () => {
    const full = new Rates(1e9)
    for (let count = 0; count < 10; count++) full.take(1e9, [1, 0], [10, Infinity])
    expect(new Rates(1e9 + 10, full.numbers).take(1e9 + 10, [1, 0], [10, Infinity])).toBeGreaterThan(0)
    expect(new Rates(5000, full.numbers).take(5000, [1, 0], [10, Infinity])).toBe(0)
    expect(new Rates(1e9, full.numbers.slice(1)).take(1e9, [1, 0], [10, Infinity])).toBe(0)
  })

  it('go on in the process alone where the file cannot be written any more', async () => {
    const warned = vi.spyOn(process, 'emitWarning').mockReturnValue()
    const clock = new VirtualClock()
    const scheduler = new Scheduler('key', clock)
    const broken = RateStore.open(mkdtempSync(join(folder, 'other-')))
    scheduler.join({ requestsPerMinute: 60, store: broken })
    await broken.close()
    const times = demand(scheduler, clock)
    await clock.advance(10_500)
    expect(times.length).toBe(11)
    expect(warned).toHaveBeenCalledOnce()
    warned.mockRestore()
  })

  it('the same folder is opened once, and an older start of the machine leaves nothing', async () => {
    const other = mkdtempSync(join(folder, 'other-'))
    const old = join(other, 'limits-0000aaaa-bbbb')
    writeFileSync(old, 'x')
    const [one, same] = [RateStore.open(other), RateStore.open(other)]
    expect(same).toBe(one)
    await one.close()
    expect(same.update('key', 1000, (rates) => rates.take(1000, [1, 0], [10, Infinity]))).toBe(0)
    await same.close()
    expect(process.platform === 'linux' && existsSync(old)).toBe(false)
  })

  it('hold for processes of their own', async () => {
    const runs = await Promise.all([0, 1].map(() => runShared(folder, { requests: 6000, tokens: 1e6, seconds: 1.5 })))
    const all = merged(...runs)
    for (const run of runs) expect(run.length).toBeGreaterThan(20)
    // 100 in a second, and the 60 that may go at once.
    expect(mostWithin(all, ones(all), 1000)).toBeLessThanOrEqual(162)
    const seconds = (all.at(-1)! - all[0]!) / 1000
    expect(all.length).toBeLessThanOrEqual(62 + 100 * seconds)
  }, 30_000)
})
