/** What the judges tell of themselves during a run: canaries they accepted, members that no longer agree. */
import { canaryWarning } from '../judge/index.js'
import type { Metrics } from './metrics.js'
import type { RewardColumn } from './rewards.js'

/** Numbers for the metrics of a step, by column; over the run so far in this process. */
export function watchMetrics(columns: readonly RewardColumn[]): Metrics {
  const metrics: Metrics = {}
  for (const { name, judge } of columns) {
    const { canaries, drift } = judge?.metrics ?? {}
    const counts = Object.values(canaries ?? {})
    if (counts.length > 0) {
      metrics[`rewards/${name}/canaries`] = counts.reduce((sum, { n }) => sum + n, 0)
      metrics[`rewards/${name}/canaries_accepted`] = counts.reduce((sum, { accepted }) => sum + accepted, 0)
    }
    const pairs = Object.values(drift ?? {})
    if (pairs.length > 0) metrics[`rewards/${name}/stage_agreement`] = Math.min(...pairs.map(({ recent }) => recent))
  }
  return metrics
}

/** Each warning once. */
export class JudgeWatch {
  private readonly told = new Set<string>()

  constructor(private readonly columns: readonly RewardColumn[]) {}

  see(): string[] {
    return this.columns.flatMap(({ name, judge }) => {
      const { canaries, drift } = judge?.metrics ?? {}
      const warning = canaryWarning(`reward ${name}'s judge`, canaries)
      const alarms = Object.entries(drift ?? {})
        .filter(([, { alarm }]) => alarm)
        .map(
          ([pair, { recent }]) =>
            `reward ${name}: the stages ${pair} agree by no more than ${recent.toFixed(2)} of 1 on the last answers. ` +
            'The policy may have learned to please the cheap one: raise escalate.audit, or put its judge right'
        )
      return [
        ...(warning === undefined ? [] : this.once(`canary ${name}`, warning)),
        ...alarms.flatMap((alarm) => this.once(`drift ${name}`, alarm))
      ]
    })
  }

  private once(key: string, message: string): string[] {
    if (this.told.has(key)) return []
    this.told.add(key)
    return [message]
  }
}
