/** Run by shareLimits.ts in processes of its own: takes places as fast as it may, for a time, and prints when. */
import { Scheduler } from '../../../src/judge/schedule/scheduler.js'
import { RateStore } from '../../../src/judge/schedule/store.js'

const [folder, requestsPerMinute, tokensPerMinute, milliseconds] = process.argv.slice(2)
const scheduler = new Scheduler('key')
scheduler.join({
  requestsPerMinute: Number(requestsPerMinute),
  tokensPerMinute: Number(tokensPerMinute),
  store: RateStore.open(folder!)
})
const signal = AbortSignal.timeout(Number(milliseconds))
async function caller(): Promise<void> {
  for (;;) {
    const place = await scheduler.acquire({
      limit: 8,
      priority: 'training',
      retry: false,
      tokens: 120,
      patience: 60_000,
      waits: true,
      signal
    })
    process.stdout.write(`${place.start.startedAt}\n`)
    await new Promise((resolve) => setTimeout(resolve, 20))
    place.answered({ inputTokens: 90, outputTokens: 10 }, undefined)
    place.release()
  }
}
await Promise.allSettled(Array.from({ length: 8 }, caller))
process.exit(0)
