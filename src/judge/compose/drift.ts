/** Whether two judges still agree as they did: a cheap judge that a policy has learned to please shows here. */
import { telemetry } from '../telemetry.js'
import type { Drift } from '../types.js'

/** Pairs that `recent` looks at, and the fewest that an alarm rests on. */
const window = 64
const fewest = 16

export class DriftWatch {
  private readonly pairs = new Map<string, { sum: number; drift: Drift; last: number[] }>()

  /** `least`: the agreement, in [0, 1], below which the last pairs raise the alarm. */
  constructor(
    private readonly judge: string,
    private readonly least: number
  ) {}

  get summary(): Record<string, Drift> {
    return Object.fromEntries([...this.pairs].map(([name, { drift }]) => [name, { ...drift }]))
  }

  add(pair: string, agreement: number): void {
    let known = this.pairs.get(pair)
    if (!known) {
      known = { sum: 0, drift: { pairs: 0, agreement: 0, recent: 0, alarm: false }, last: [] }
      this.pairs.set(pair, known)
    }
    const { drift, last } = known
    last.push(agreement)
    if (last.length > window) last.shift()
    known.sum += agreement
    drift.pairs++
    drift.agreement = known.sum / drift.pairs
    drift.recent = last.reduce((sum, one) => sum + one, 0) / last.length
    const alarm = last.length >= fewest && drift.recent < this.least
    if (alarm && !drift.alarm) telemetry.emit('drift', () => ({ judge: this.judge, pair, recent: drift.recent }))
    drift.alarm = alarm
  }
}
