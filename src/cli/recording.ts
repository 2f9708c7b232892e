/** What stands around a command that writes records: the file, progress, metrics, Ctrl-C. */
import { onInterrupt } from './interrupt.js'
import { startMetrics, type MetricsFlags } from './metrics.js'
import { openOutput, type RecordWriter } from './output.js'
import { Pace } from './pace.js'
import { startProgress } from './progress.js'

export interface Recording {
  writer: RecordWriter
  progress: ReturnType<typeof startProgress>
  pace: Pace
  /** Aborted by Ctrl-C. */
  signal: AbortSignal
}

/**
 * Runs `work`, which resolves to whether its records are whole: only then is there a file at `out`. Throws what `work`
 * throws, and what opening the file or the metrics throws.
 */
export async function recording(
  out: string,
  unit: string,
  options: MetricsFlags,
  work: (recording: Recording) => Promise<boolean>
): Promise<void> {
  const metrics = await startMetrics(options)
  try {
    const writer = await openOutput(out)
    const progress = startProgress(null, unit)
    using interrupt = onInterrupt('gives up the verdicts in flight and ends')
    try {
      const whole = await work({ writer, progress, pace: new Pace(), signal: interrupt.signal })
      if (whole) await writer.finish()
      else await writer.abandon()
    } catch (error) {
      await writer.abandon().catch(() => undefined)
      throw error
    } finally {
      progress.stop()
    }
  } finally {
    await metrics.close()
  }
}
