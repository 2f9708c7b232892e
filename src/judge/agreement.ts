/** How far a judge of pairs agrees with people, and how far it goes by the place instead. */
import { wilsonInterval, type Interval } from './intervals.js'
import type { Comparison } from './types.js'

/** What people said of a pair. */
export type PairLabel = 'first' | 'second' | 'tie'

export interface Agreement {
  pairs: number
  /** Those that the judge could compare. */
  judged: number
  unscored: number
  /** Share of the judged pairs with the people's winner; a tie of one side only counts half. */
  agreement: number | null
  interval: Interval | null
  /** Cohen's kappa over the three outcomes: agreement beyond chance; null for a rater who always says the same. */
  kappa: number | null
  /** Pairs whose two orders gave different winners. */
  swapFlips: number
  /** Share of all questions asked that preferred the answer shown first: 0.5 for a judge without a favourite place. */
  firstShown: number | null
}

/** Agreement of comparisons with labels, one per comparison, with Wilson's interval at 95 %. */
export function agreementWithLabels(comparisons: readonly Comparison[], labels: readonly PairLabel[]): Agreement {
  const outcomes = comparisons.flatMap(({ winner }, index) =>
    winner === null ? [] : [{ winner, label: labels[index] }]
  )
  const points = outcomes.reduce(
    (sum, { winner, label }) => sum + (winner === label ? 1 : winner === 'tie' || label === 'tie' ? 0.5 : 0),
    0
  )
  const orders = comparisons.flatMap((comparison) => comparison.orders ?? [])
  return {
    pairs: comparisons.length,
    judged: outcomes.length,
    unscored: comparisons.length - outcomes.length,
    agreement: outcomes.length === 0 ? null : points / outcomes.length,
    interval: wilsonInterval(points, outcomes.length),
    kappa: kappaOf(outcomes.map(({ winner, label }) => [winner, label])),
    swapFlips: comparisons.filter(({ flags }) => flags.includes('swap_flip')).length,
    firstShown: orders.length === 0 ? null : firstShownShare(comparisons)
  }
}

/** Of the second order the preference is told for the first answer, which was then shown second. */
function firstShownShare(comparisons: readonly Comparison[]): number {
  const shares = comparisons.flatMap(({ orders }) => (orders ? [orders[0], 1 - orders[1]] : []))
  return shares.reduce((sum, share) => sum + (share > 0.5 ? 1 : share === 0.5 ? 0.5 : 0), 0) / shares.length
}

/** Cohen (1960). */
export function kappaOf(pairs: readonly (readonly [string, string])[]): number | null {
  if (pairs.length === 0) return null
  const share = (index: 0 | 1, name: string): number =>
    pairs.filter((pair) => pair[index] === name).length / pairs.length
  const names = [...new Set(pairs.flat())]
  const observed = pairs.filter(([a, b]) => a === b).length / pairs.length
  const expected = names.reduce((sum, name) => sum + share(0, name) * share(1, name), 0)
  return expected === 1 ? null : (observed - expected) / (1 - expected)
}
