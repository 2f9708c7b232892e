/** Several scores on one scale as one, with how far they lie apart. */
import type { Scale } from '../types.js'

export const aggregates = ['mean', 'median', 'majority'] as const
export type Aggregate = (typeof aggregates)[number]

export interface Opinion {
  score: number
  weight: number
  label?: string
}

export interface Joined {
  score: number
  label?: string
  /** Standard deviation of the scores (divided by their number less one); absent for one score. */
  spread?: number
  agreement?: number
}

/**
 * `mean`: weighted. `median`: weighted, halfway where two are in the middle. `majority`: of labels, where all have one;
 * else of scores rounded to whole numbers (on a scale from 0 to 1: passed or not); where several have the most weight,
 * their mean.
 */
export function aggregate(kind: Aggregate, opinions: readonly Opinion[], scale: Scale): Joined {
  const joined =
    kind === 'mean' ? { score: mean(opinions) } : kind === 'median' ? { score: median(opinions) } : undefined
  if (joined) return { ...joined, ...apart(opinions, scale) }
  const { score, share, label } = majority(opinions)
  const { spread } = apart(opinions, scale)
  return {
    score,
    ...(label === undefined ? {} : { label }),
    ...(spread === undefined ? {} : { spread, agreement: share })
  }
}

const weightOf = (opinions: readonly Opinion[]): number => opinions.reduce((sum, { weight }) => sum + weight, 0)

const mean = (opinions: readonly Opinion[]): number =>
  opinions.reduce((sum, { score, weight }) => sum + weight * score, 0) / weightOf(opinions)

function median(opinions: readonly Opinion[]): number {
  const sorted = [...opinions].sort((a, b) => a.score - b.score)
  const half = weightOf(sorted) / 2
  let below = 0
  for (const [index, { score, weight }] of sorted.entries()) {
    below += weight
    if (below > half) return score
    if (below === half) return (score + sorted[index + 1].score) / 2
  }
  return sorted.at(-1)!.score
}

function majority(opinions: readonly Opinion[]): { score: number; share: number; label?: string } {
  const labelled = opinions.every(({ label }) => label !== undefined)
  const camps = new Map<string | number, Opinion[]>()
  for (const opinion of opinions) {
    const camp = labelled ? opinion.label! : Math.round(opinion.score)
    camps.set(camp, [...(camps.get(camp) ?? []), opinion])
  }
  const weights = [...camps].map(([camp, members]) => ({ camp, members, weight: weightOf(members) }))
  const most = Math.max(...weights.map(({ weight }) => weight))
  const winners = weights.filter(({ weight }) => weight === most)
  const scores = winners.map(({ camp, members }) => (labelled ? mean(members) : (camp as number)))
  const [{ camp }] = winners
  return {
    score: scores.reduce((sum, score) => sum + score, 0) / scores.length,
    share: most / weightOf(opinions),
    ...(labelled && winners.length === 1 ? { label: camp as string } : {})
  }
}

function apart(opinions: readonly Opinion[], { low, high }: Scale): { spread?: number; agreement?: number } {
  const count = opinions.length
  if (count < 2) return {}
  const centre = opinions.reduce((sum, { score }) => sum + score, 0) / count
  let squares = 0
  let differences = 0
  for (const [index, { score }] of opinions.entries()) {
    squares += (score - centre) ** 2
    for (const other of opinions.slice(index + 1)) differences += Math.abs(score - other.score)
  }
  const pairs = (count * (count - 1)) / 2
  return { spread: Math.sqrt(squares / (count - 1)), agreement: Math.max(0, 1 - differences / pairs / (high - low)) }
}
