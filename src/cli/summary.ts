/** What `adjudge judge` says at its end. */
import type { HistogramRow, JudgeMetrics, SummaryRecord } from '../judge/index.js'
import { outColors } from './colors.js'

export const shown = (value: number | null): string => (value === null ? 'none' : value.toFixed(3))

export const percent = (share: number): string => `${(share * 100).toFixed(1)} %`

export function summaryLines(name: string, summary: SummaryRecord): string[] {
  const { answers, scored, unscored, mean, standard_error: error, interval } = summary
  const lines = [
    `${name}: mean ${shown(mean)}${error === null ? '' : ` ± ${shown(error)} (standard error)`}, ${scored} of ${answers} scored`
  ]
  if (interval) {
    const degrees = interval.degrees_of_freedom
    const method =
      interval.method === 't'
        ? `Student's t, ${degrees} ${degrees === 1 ? 'degree' : 'degrees'} of freedom`
        : `Student's t over ${degrees + 1} prompts; answers to one prompt are one cluster`
    lines.push(`95 % interval of the mean ${shown(interval.low)} to ${shown(interval.high)} (${method})`)
  }
  lines.push(...histogramLines(summary.histogram))
  lines.push(...listed('labels', summary.labels))
  if (unscored > 0) lines.push(...listed(`unscored ${unscored}`, summary.unscored_by_reason))
  const { swap_flip: flips = 0, cached: _, ...flags } = summary.flags
  if (flips > 0) lines.push(`swap flips: ${flips} of ${answers} (${percent(flips / answers)})`)
  lines.push(...listed('flags', flags))
  if (summary.agreement !== null) lines.push(`agreement of the members: ${percent(summary.agreement)}`)
  return [...lines, costLine(summary)]
}

/** What a judge tells of itself: canaries by kind, and how a cascade's stages agree. */
export function watchLines({ canaries = {}, drift = {} }: Pick<JudgeMetrics, 'canaries' | 'drift'>): string[] {
  return [
    ...Object.entries(canaries).map(
      ([kind, { n, unscored, mean, accepted }]) =>
        `canaries ${kind}: mean ${shown(mean)} of ${n}, above the middle ${accepted}${unscored > 0 ? `, unscored ${unscored}` : ''}`
    ),
    ...Object.entries(drift).map(
      ([pair, { pairs, agreement, alarm }]) =>
        `agreement ${pair}: ${percent(agreement)} over ${pairs} answers${alarm ? ', less than it should be' : ''}`
    )
  ]
}

export function costLine(
  summary: Pick<SummaryRecord, 'judged' | 'cached' | 'input_tokens' | 'output_tokens' | 'cost'>
): string {
  const { judged, cached, input_tokens: input, output_tokens: output, cost } = summary
  const dollars = cost === null ? 'unknown cost' : `$${cost.toFixed(4)}`
  return `judged ${judged}, from the ledger ${cached}; ${input + output} tokens, ${dollars}`
}

const listed = (name: string, counts: Partial<Record<string, number>>): string[] => {
  const parts = Object.entries(counts).map(([key, count]) => `${key} ${count}`)
  return parts.length === 0 ? [] : [`${name}: ${parts.join(', ')}`]
}

const barWidth = 40

/** A row for each value or range, its bar relative to the highest. */
export function histogramLines(rows: readonly HistogramRow[]): string[] {
  const total = rows.reduce((sum, { count }) => sum + count, 0)
  if (total === 0) return []
  const most = Math.max(...rows.map(({ count }) => count))
  const whole = rows.every(({ low, high }) => Number.isInteger(low) && Number.isInteger(high))
  const digits = whole ? 0 : rows.some(({ low, high }) => high > low && high - low < 0.02) ? 4 : 2
  const names = rows.map(({ low, high }) =>
    low === high ? low.toFixed(digits) : `${low.toFixed(digits)} to ${high.toFixed(digits)}`
  )
  const width = Math.max(...names.map((name) => name.length))
  return rows.map(({ count }, index) => {
    // A value that is there has a bar, however short.
    const bar = '█'.repeat(count === 0 ? 0 : Math.max(1, Math.round((count / most) * barWidth)))
    return `  ${names[index].padStart(width)}  ${outColors.cyan(bar)}${bar === '' ? '' : ' '}${count} (${percent(count / total)})`
  })
}
