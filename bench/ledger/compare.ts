/** What moved between the last two records of a suite on one kind of machine by more than the rounds differ. */
import { kindOf, type Figure, type LedgerRecord } from './record.js'
import { words } from './statistics.js'

export interface Movement {
  name: string
  before: Figure
  after: Figure
  /** (after − before) / before. */
  change: number
  /** Sum of both runs' quartile ranges, relative to `before`. */
  noise: number
  better: boolean
}

export interface Comparison {
  kind: string
  suite: string
  before: LedgerRecord
  after: LedgerRecord
  moved: Movement[]
  /** Figures that both records have. */
  compared: number
  added: string[]
  gone: string[]
}

/** A figure moved where the medians differ by more than the two quartile ranges together. */
export function movementOf(name: string, before: Figure, after: Figure): Movement | undefined {
  const difference = after.value - before.value
  const noise = before.high - before.low + (after.high - after.low)
  if (!(Math.abs(difference) > noise)) return undefined
  const better = before.unit === 'µs' ? difference < 0 : difference > 0
  return { name, before, after, change: difference / before.value, noise: noise / before.value, better }
}

function compareRecords(before: LedgerRecord, after: LedgerRecord): Comparison {
  const shared = Object.keys(after.figures).filter((name) => before.figures[name]?.unit === after.figures[name]!.unit)
  const without = (one: LedgerRecord) => Object.keys(one.figures).filter((name) => !shared.includes(name))
  return {
    kind: kindOf(after.machine),
    suite: after.suite,
    before,
    after,
    moved: shared.flatMap((name) => movementOf(name, before.figures[name]!, after.figures[name]!) ?? []),
    compared: shared.length,
    added: without(after),
    gone: without(before)
  }
}

/** The last record of each suite and kind of machine against the one before it; a suite with one record is left out. */
export function compareLedger(records: readonly LedgerRecord[]): Comparison[] {
  const last = new Map<string, LedgerRecord[]>()
  for (const record of records) {
    const key = `${kindOf(record.machine)}\n${record.suite}`
    last.set(key, [...(last.get(key) ?? []), record].slice(-2))
  }
  return [...last.values()].flatMap(([before, after]) => (before && after ? [compareRecords(before, after)] : []))
}

const percent = (share: number): string => `${share > 0 ? '+' : ''}${(100 * share).toFixed(1)} %`
const nameOf = ({ commit, changed, date }: LedgerRecord) => `${commit}${changed ? '+' : ''} of ${date.slice(0, 10)}`

/** Lines for a terminal. */
export function comparisonLines(comparisons: readonly Comparison[]): string[] {
  if (comparisons.length === 0) return ['Nothing to compare: no suite has two records of one kind of machine yet.']
  return comparisons.flatMap(({ kind, suite, before, after, moved, compared, added, gone }) => [
    `${suite}: ${nameOf(after)} against ${nameOf(before)} (${kind})`,
    ...moved.map(
      (one) =>
        `  ${one.better ? 'better' : 'worse '} ${one.name.padEnd(44)} ${words(one.before).padEnd(22)} -> ` +
        `${words(one.after).padEnd(22)} ${percent(one.change).padStart(8)}, noise ${(100 * one.noise).toFixed(1)} %`
    ),
    `  ${moved.length === 0 ? 'nothing moved' : `${moved.length} moved`} of ${compared} by more than the noise`,
    ...(added.length > 0 ? [`  new: ${added.join('; ')}`] : []),
    ...(gone.length > 0 ? [`  gone: ${gone.join('; ')}`] : [])
  ])
}
