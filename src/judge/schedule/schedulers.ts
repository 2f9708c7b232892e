/** The schedulers of the process, by key, and what they tell. */
import { telemetry } from '../telemetry.js'
import { Scheduler } from './scheduler.js'

const schedulers = new Map<string, Scheduler>()

/** Kept for the life of the process: what a key used in the last minute counts for its next judge. */
export function schedulerOf(key: string): Scheduler {
  let scheduler = schedulers.get(key)
  if (!scheduler) schedulers.set(key, (scheduler = new Scheduler(key)))
  return scheduler
}

function gauge(name: string, help: string, value: (state: Scheduler['state']) => number): void {
  telemetry.gauge(name, help, function* () {
    for (const scheduler of schedulers.values()) yield [{ key: scheduler.key }, value(scheduler.state)] as const
  })
}
gauge('adjudge_judge_queued', 'Calls that wait for a place', ({ queued }) => queued)
gauge('adjudge_judge_in_flight', 'Calls in flight, and verdicts on their way to the ledger', ({ inFlight }) => inFlight)
gauge('adjudge_judge_limited', '1 where calls wait for a rate limit or a pause', ({ limited }) => Number(limited))
gauge('adjudge_judge_breaker', '0 closed, 1 half-open, 2 open', ({ breaker }) =>
  breaker === 'closed' ? 0 : breaker === 'half-open' ? 1 : 2
)
