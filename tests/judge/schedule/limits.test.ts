import { setMaxListeners } from 'node:events'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { durationOf } from '../../../src/judge/schedule/headers.js'
import type { Place } from '../../../src/judge/schedule/place.js'
import { NotSent, Scheduler, type Ask } from '../../../src/judge/schedule/scheduler.js'
import { mostWithin, settled, VirtualClock } from './virtualClock.js'

afterEach(() => vi.useRealTimers())

const signal = new AbortController().signal
setMaxListeners(0, signal)
const ask = (part: Partial<Ask> = {}): Ask => ({
  limit: 64,
  priority: 'training',
  retry: false,
  tokens: 100,
  patience: 120_000,
  waits: true,
  signal,
  ...part
})
const usage = (inputTokens: number, outputTokens = 0): { inputTokens: number; outputTokens: number } => ({
  inputTokens,
  outputTokens
})
const headers = (record: Record<string, string>): { get(name: string): string | null } => ({
  get: (name) => record[name] ?? null
})
const limited = (retryAfter?: number): Parameters<Place['failed']>[0] => ({
  kind: 'retry',
  reason: 'rate_limited',
  detail: '429',
  status: 429,
  ...(retryAfter === undefined ? {} : { retryAfter })
})
const refused: Parameters<Place['failed']>[0] = { kind: 'connection', reason: 'provider_error', detail: 'ECONNREFUSED' }

/** As many callers as there are places, who ask without end; each call takes what `cost` says. */
function demand(
  scheduler: Scheduler,
  clock: VirtualClock,
  cost: (index: number) => { reserved: number; used: number; latency: number },
  callers = 64
): { times: number[]; tokens: number[] } {
  const times: number[] = []
  const tokens: number[] = []
  let index = 0
  const caller = async (): Promise<void> => {
    for (;;) {
      const { reserved, used, latency } = cost(index++)
      const place = await scheduler.acquire(ask({ tokens: reserved, limit: callers }))
      times.push(clock.now())
      tokens.push(used)
      await clock.sleep(latency)
      place.answered(usage(used), undefined)
      place.release()
    }
  }
  for (let count = 0; count < callers; count++) void caller()
  return { times, tokens }
}

const sumWithin = (times: number[], amounts: number[], from: number, to: number): number =>
  times.reduce((sum, time, index) => (time >= from && time < to ? sum + amounts[index]! : sum), 0)

describe('requests and tokens per minute', () => {
  it.each([
    ['600 requests', { requestsPerMinute: 600 }, 10],
    ['10 requests', { requestsPerMinute: 10 }, 10],
    ['60,000 tokens', { tokensPerMinute: 60_000 }, 500],
    ['60,000 tokens in large calls', { tokensPerMinute: 60_000 }, 1700],
    ['both', { requestsPerMinute: 600, tokensPerMinute: 60_000 }, 100]
  ] as const)('%s are never exceeded in any 60 s, and used', async (_, limits, size) => {
    const clock = new VirtualClock()
    const scheduler = new Scheduler('key', clock)
    scheduler.join(limits)
    const begin = clock.now()
    let random = 1
    const next = (): number => (random = (Math.imul(random, 48271) >>> 0) % 2147483647) / 2147483647
    // Too much is reserved for some calls and too little for others, by a fifth.
    const { times, tokens } = demand(scheduler, clock, () => {
      const used = Math.round(size * (0.8 + 0.4 * next()))
      return { reserved: size, used, latency: 50 + 400 * next() }
    })
    await clock.advance(240_000)
    const requests = times.map(() => 1)
    const { requestsPerMinute = Infinity, tokensPerMinute = Infinity } = limits as Partial<Record<string, number>>
    expect(mostWithin(times, requests, 60_000)).toBeLessThanOrEqual(requestsPerMinute)
    expect(mostWithin(times, tokens, 60_000)).toBeLessThanOrEqual(1.01 * tokensPerMinute)
    for (const minute of [1, 2, 3]) {
      const [from, to] = [begin + minute * 60_000, begin + (minute + 1) * 60_000]
      const used = Math.max(
        sumWithin(times, requests, from, to) / requestsPerMinute,
        sumWithin(times, tokens, from, to) / tokensPerMinute
      )
      expect(used).toBeGreaterThanOrEqual(0.97)
    }
  })

  it('spread the calls over the minute, after a pause as well', async () => {
    const clock = new VirtualClock()
    const scheduler = new Scheduler('key', clock)
    scheduler.join({ requestsPerMinute: 600 })
    await clock.advance(300_000)
    const { times } = demand(scheduler, clock, () => ({ reserved: 1, used: 1, latency: 10 }))
    await clock.advance(10_000)
    expect(
      mostWithin(
        times,
        times.map(() => 1),
        1000
      )
    ).toBeLessThanOrEqual(16)
  })

  it('hold the strictest of the judges that share a key, and none when they are gone', async () => {
    const clock = new VirtualClock()
    const scheduler = new Scheduler('key', clock)
    const leave = [scheduler.join({ requestsPerMinute: 6000 }), scheduler.join({ requestsPerMinute: 60 })]
    const { times } = demand(scheduler, clock, () => ({ reserved: 1, used: 1, latency: 1 }), 4)
    await clock.advance(60_000)
    expect(times.length).toBeLessThanOrEqual(60)
    for (const one of leave) one()
    await clock.advance(10_000)
    expect(times.length).toBeGreaterThan(1000)
  })

  it('take no notice of the date', async () => {
    const clock = new VirtualClock()
    const scheduler = new Scheduler('key', clock)
    scheduler.join({ requestsPerMinute: 60 })
    vi.useFakeTimers({ toFake: ['Date'] })
    vi.setSystemTime('2030-01-01')
    const { times } = demand(scheduler, clock, () => ({ reserved: 1, used: 1, latency: 1 }), 4)
    await clock.advance(10_000)
    vi.setSystemTime('2020-01-01')
    await clock.advance(10_000)
    vi.setSystemTime('2040-01-01')
    await clock.advance(10_000)
    expect(times.length).toBeGreaterThanOrEqual(29)
    expect(times.length).toBeLessThanOrEqual(31)
  })
})

describe('waiting calls', () => {
  it('go by priority, then retries, then in their order', async () => {
    const scheduler = new Scheduler('key', new VirtualClock())
    const first = await scheduler.acquire(ask({ limit: 1 }))
    const order: string[] = []
    const wait = (name: string, part: Partial<Ask>): void => {
      void Promise.resolve(scheduler.acquire(ask({ limit: 1, ...part }))).then((place) => {
        order.push(name)
        place.release()
      })
    }
    wait('audit', { priority: 'audit' })
    wait('audit again', { priority: 'audit', retry: true })
    wait('training 1', {})
    wait('training 2', {})
    wait('training again', { retry: true })
    first.release()
    await settled()
    await settled()
    expect(order).toEqual(['training again', 'training 1', 'training 2', 'audit again', 'audit'])
  })

  it('leave the queue when they are cancelled', async () => {
    const scheduler = new Scheduler('key', new VirtualClock())
    const first = await scheduler.acquire(ask({ limit: 1 }))
    const controller = new AbortController()
    const gone = Promise.resolve(scheduler.acquire(ask({ limit: 1, signal: controller.signal })))
    const next = Promise.resolve(scheduler.acquire(ask({ limit: 1 })))
    controller.abort(new Error('enough'))
    await expect(gone).rejects.toThrow('enough')
    first.release()
    await expect(next).resolves.toBeDefined()
    expect(scheduler.state).toMatchObject({ queued: 0, inFlight: 1 })
  })
})

describe('what the server says', () => {
  it('Retry-After of a 429 pauses the whole key', async () => {
    const clock = new VirtualClock()
    const scheduler = new Scheduler('key', clock)
    const place = await scheduler.acquire(ask())
    place.failed(limited(2000))
    place.release()
    let started = 0
    void Promise.resolve(scheduler.acquire(ask())).then(() => (started = clock.now()))
    const begin = clock.now()
    await clock.advance(5000)
    expect(started - begin).toBeCloseTo(2000, 3)
  })

  it('a pause that is longer than a verdict may take ends those that wait', async () => {
    const scheduler = new Scheduler('key', new VirtualClock())
    const place = await scheduler.acquire(ask({ limit: 1 }))
    const waiting = Promise.resolve(scheduler.acquire(ask({ limit: 1 })))
    place.failed(limited(3_600_000))
    place.release()
    await expect(waiting).rejects.toMatchObject({ reason: 'rate_limited' })
    expect(() => scheduler.acquire(ask())).toThrow(NotSent)
  })

  it.each([
    [
      'OpenAI',
      {
        'x-ratelimit-remaining-requests': '0',
        'x-ratelimit-limit-requests': '60',
        'x-ratelimit-reset-requests': '1m0s'
      }
    ],
    [
      'Anthropic, by its own clock',
      {
        date: 'Tue, 01 Jan 2030 00:00:00 GMT',
        'anthropic-ratelimit-requests-remaining': '0',
        'anthropic-ratelimit-requests-limit': '60',
        'anthropic-ratelimit-requests-reset': '2030-01-01T00:01:00Z'
      }
    ]
  ])('the headers of %s hold calls back until some are left', async (_, record) => {
    const clock = new VirtualClock()
    const scheduler = new Scheduler('key', clock)
    const place = await scheduler.acquire(ask())
    place.answered(usage(10), headers(record))
    place.release()
    const { times } = demand(scheduler, clock, () => ({ reserved: 1, used: 1, latency: 1 }))
    const begin = clock.now()
    await clock.advance(10_500)
    // One comes back each second.
    expect(times.map((time) => Math.round((time - begin) / 1000))).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
  })

  it.each([
    ['1s', 1000],
    ['6m0s', 360_000],
    ['120ms', 120],
    ['2m59.56s', 179_560],
    ['1h2m3s', 3_723_000],
    ['0.5', 500],
    ['soon', undefined],
    ['', undefined]
  ])('a reset of %j is understood', (text, expected) => {
    expect(durationOf(text)).toBe(expected)
  })

  it('tokens that are left are not taken twice by calls in flight', async () => {
    const clock = new VirtualClock()
    const scheduler = new Scheduler('key', clock)
    const place = await scheduler.acquire(ask())
    const record = {
      'x-ratelimit-remaining-tokens': '250',
      'x-ratelimit-limit-tokens': '1000',
      'x-ratelimit-reset-tokens': '7.5s'
    }
    place.answered(usage(100), headers(record))
    place.release()
    const { times } = demand(scheduler, clock, () => ({ reserved: 100, used: 100, latency: 60_000 }))
    await clock.advance(0)
    expect(times.length).toBe(2)
    await clock.advance(600)
    expect(times.length).toBe(3)
  })
})

describe('the circuit breaker', () => {
  const fail = async (scheduler: Scheduler, times = 1): Promise<void> => {
    for (let count = 0; count < times; count++) {
      const place = await scheduler.acquire(ask())
      place.failed(refused)
      place.release()
    }
  }

  it('lets single probes through to a server that does not answer, and all when it does', async () => {
    const clock = new VirtualClock()
    const scheduler = new Scheduler('key', clock)
    await fail(scheduler, 5)
    expect(scheduler.state.breaker).toBe('open')
    const sent: number[] = []
    const begin = clock.now()
    let up = false
    const caller = async (): Promise<void> => {
      for (;;) {
        const place = await scheduler.acquire(ask())
        sent.push(clock.now() - begin)
        await clock.sleep(up ? 1000 : 1)
        if (up) place.answered(usage(1), undefined)
        else place.failed(refused)
        place.release()
      }
    }
    for (let count = 0; count < 20; count++) void caller()
    await clock.advance(60_000)
    // After 0.5, 1, 2, 4, 8 s, then every 10 s.
    expect(sent.length).toBeGreaterThanOrEqual(8)
    expect(sent.length).toBeLessThanOrEqual(10)
    up = true
    sent.length = 0
    await clock.advance(12_000)
    expect(scheduler.state.breaker).toBe('closed')
    expect(scheduler.state.inFlight).toBe(20)
  })

  it('sends those on at once that have somebody else to ask', async () => {
    const scheduler = new Scheduler('key', new VirtualClock())
    await fail(scheduler, 4)
    const last = await scheduler.acquire(ask({ limit: 1 }))
    const waiting = Promise.resolve(scheduler.acquire(ask({ limit: 1, waits: false })))
    last.failed(refused)
    await expect(waiting).rejects.toMatchObject({ reason: 'provider_error' })
    expect(() => scheduler.acquire(ask({ waits: false }))).toThrow(NotSent)
  })

  it('does not wait for ever', async () => {
    const clock = new VirtualClock()
    const scheduler = new Scheduler('key', clock)
    await fail(scheduler, 5)
    const ends: number[] = []
    const begin = clock.now()
    const caller = async (): Promise<void> => {
      for (;;) {
        const place = await scheduler.acquire(ask({ patience: 10_000 }))
        await clock.sleep(1)
        place.failed(refused)
        place.release()
      }
    }
    for (let count = 0; count < 5; count++) void caller().catch(() => ends.push(clock.now() - begin))
    await clock.advance(100_000)
    expect(ends).toHaveLength(5)
    expect(Math.min(...ends)).toBeGreaterThan(50_000)
  })

  it('is not moved by refusals of a server that answers', async () => {
    const scheduler = new Scheduler('key', new VirtualClock())
    for (let count = 0; count < 20; count++) {
      const place = await scheduler.acquire(ask())
      place.failed(count % 2 ? refused : limited())
      place.release()
    }
    expect(scheduler.state.breaker).toBe('closed')
  })
})
