/** Numbers of a rollout and of a run, by TRL's names where TRL has one. */
import { appendFile, readFile } from 'node:fs/promises'
import { AdjudgeError } from '../errors.js'
import { writeAtomic } from './files.js'
import type { Rewards } from './rewards.js'
import type { Rollout } from './rollout.js'
import { summarize } from './statistics.js'

export type Metrics = Record<string, number | null>

/** What can be said of a rollout before any gradient: rewards by column, lengths, what stayed unscored. */
export function rolloutMetrics(rollout: Rollout, rewards: Rewards): Metrics {
  const all = rollout.rewarded.flat()
  const total = summarize(all.map(({ reward }) => reward))
  const lengths = rollout.groups.flatMap(({ completions }) => completions.map(({ tokens }) => tokens.length))
  const cut = rollout.groups.flatMap(({ completions }) => completions).filter((one) => one.finishReason === 'length')
  const metrics: Metrics = {
    reward: total.mean,
    reward_std: total.deviation,
    reward_stderr: total.standardError,
    unscored: total.unscored,
    'completions/mean_length': lengths.reduce((sum, length) => sum + length, 0) / lengths.length,
    'completions/min_length': Math.min(...lengths),
    'completions/max_length': Math.max(...lengths),
    'completions/clipped_ratio': cut.length / lengths.length
  }
  rewards.columns.forEach(({ name }, column) => {
    const scores = summarize(all.map(({ verdicts }) => verdicts[column]!.score))
    metrics[`rewards/${name}/mean`] = scores.mean
    metrics[`rewards/${name}/std`] = scores.deviation
    metrics[`rewards/${name}/unscored`] = scores.unscored
    const agreement = summarize(all.flatMap(({ verdicts }) => verdicts[column]!.agreement ?? []))
    if (agreement.mean !== null) metrics[`rewards/${name}/agreement`] = agreement.mean
  })
  return metrics
}

/** NaN and infinities have no JSON: they are null. */
export function finite(metrics: Record<string, number | null | undefined>): Metrics {
  return Object.fromEntries(
    Object.entries(metrics).map(([name, value]) => [name, Number.isFinite(value) ? (value as number) : null])
  )
}

/** The run's metrics.jsonl: one line per step or evaluation. */
export class MetricsFile {
  constructor(private readonly path: string) {}

  async append(record: object): Promise<void> {
    try {
      await appendFile(this.path, JSON.stringify(record) + '\n', { flush: true })
    } catch (cause) {
      const message = `${this.path}: cannot be written (${(cause as Error).message}); is the disk full?`
      throw new AdjudgeError('FILE_UNWRITABLE', message, { cause })
    }
  }

  /** Drops what a resumed run will do again: lines after `step`, and a line that a crash left half-written. */
  async rewind(step: number): Promise<void> {
    let text: string
    try {
      text = await readFile(this.path, 'utf8')
    } catch {
      return
    }
    const kept = text.split('\n').filter((line) => {
      try {
        return (JSON.parse(line) as { step: number }).step <= step
      } catch {
        return false
      }
    })
    await writeAtomic(this.path, kept.map((line) => line + '\n').join(''))
  }
}
