/** What many verdicts say together: mean with interval, spread, what stayed unscored and why, flags, cost. */
import { ScoreHistogram, type HistogramRow } from './histogram.js'
import { studentT975, type Interval } from './intervals.js'
import type { Scale, UnscoredReason, Verdict } from './types.js'

export interface SummaryRecord {
  answers: number
  scored: number
  unscored: number
  /** null where nothing is scored, as everything that is made of scores. */
  mean: number | null
  standard_deviation: number | null
  /** Of the mean. Answers to one prompt are one cluster: they are no independent evidence. */
  standard_error: number | null
  interval: (Interval & { level: number; method: 't' | 't over prompts'; degrees_of_freedom: number }) | null
  lowest: number | null
  highest: number | null
  histogram: HistogramRow[]
  labels: Record<string, number>
  unscored_by_reason: Partial<Record<UnscoredReason, number>>
  flags: Record<string, number>
  /** Verdicts that were there before. */
  cached: number
  /** Verdicts that calls were made for, and how many calls. */
  judged: number
  attempts: number
  input_tokens: number
  output_tokens: number
  /** US dollars of the calls of this run; null where the price of some is unknown. */
  cost: number | null
  /** Of votes and panels: mean agreement of the members. */
  agreement: number | null
}

/** Takes verdicts as they come and holds none of them. */
export class VerdictSummary {
  private readonly histogram: ScoreHistogram
  private readonly reasons = new Map<UnscoredReason, number>()
  private readonly flags = new Map<string, number>()
  private readonly labels = new Map<string, number>()
  private answers = 0
  private cached = 0
  private judged = 0
  private attempts = 0
  private input = 0
  private output = 0
  private dollars = 0
  private unknownCosts = 0
  private agreements = 0
  private agreement = 0
  /** Scores are taken relative to the first, so that sums of squares lose nothing. */
  private origin: number | undefined
  private lowest = Infinity
  private highest = -Infinity
  private scored = 0
  private sum = 0
  private squares = 0
  /** Over clusters with sum S of n scores: how many, Σ S², Σ S·n, Σ n². */
  private clusters = 0
  private sumSquares = 0
  private sumCounts = 0
  private countSquares = 0

  constructor(scale?: Scale) {
    this.histogram = new ScoreHistogram(scale)
  }

  /** Verdicts on answers to one prompt. */
  add(verdicts: readonly Verdict[]): void {
    let sum = 0
    let count = 0
    for (const verdict of verdicts) {
      this.count(verdict)
      const { score } = verdict
      if (score === null) continue
      this.origin ??= score
      sum += score - this.origin
      this.squares += (score - this.origin) ** 2
      count++
      this.histogram.add(score)
      this.lowest = Math.min(this.lowest, score)
      this.highest = Math.max(this.highest, score)
    }
    if (count === 0) return
    this.scored += count
    this.sum += sum
    this.clusters++
    this.sumSquares += sum * sum
    this.sumCounts += sum * count
    this.countSquares += count * count
  }

  get mean(): number | null {
    return this.scored === 0 ? null : this.origin! + this.sum / this.scored
  }

  get total(): number {
    return this.answers
  }

  get unscored(): number {
    return this.answers - this.scored
  }

  /** US dollars so far; null = unknown. */
  get cost(): number | null {
    return this.unknownCosts > 0 ? null : this.dollars
  }

  record(): SummaryRecord {
    const { scored, clusters } = this
    const mean = this.mean
    const shift = scored === 0 ? 0 : this.sum / scored
    const spread = this.squares - scored * shift * shift
    const error = this.standardError(shift)
    const reach = error === null ? 0 : error * studentT975(clusters - 1)
    return {
      answers: this.answers,
      scored,
      unscored: this.answers - scored,
      mean,
      standard_deviation: scored < 2 ? null : Math.sqrt(Math.max(0, spread) / (scored - 1)),
      standard_error: error,
      interval:
        error === null
          ? null
          : {
              low: mean! - reach,
              high: mean! + reach,
              level: 0.95,
              method: clusters === scored ? 't' : 't over prompts',
              degrees_of_freedom: clusters - 1
            },
      lowest: scored === 0 ? null : this.lowest,
      highest: scored === 0 ? null : this.highest,
      histogram: this.histogram.rows(),
      labels: counts(this.labels),
      unscored_by_reason: counts(this.reasons),
      flags: counts(this.flags),
      cached: this.cached,
      judged: this.judged,
      attempts: this.attempts,
      input_tokens: this.input,
      output_tokens: this.output,
      cost: this.cost,
      agreement: this.agreements === 0 ? null : this.agreement / this.agreements
    }
  }

  /** √(k / (k − 1) · Σ (S − n · mean)²) / scored over k clusters; of clusters of one, the usual s / √n. */
  private standardError(mean: number): number | null {
    const { clusters } = this
    if (clusters < 2) return null
    const squares = this.sumSquares - 2 * mean * this.sumCounts + mean * mean * this.countSquares
    return Math.sqrt((Math.max(0, squares) * clusters) / (clusters - 1)) / this.scored
  }

  private count({ score, reason, flags, attempts, usage, cost, label, agreement }: Verdict): void {
    this.answers++
    if (score === null) more(this.reasons, reason ?? 'provider_error')
    for (const flag of flags) more(this.flags, flag)
    if (label !== undefined) more(this.labels, label)
    if (flags.includes('cached')) this.cached++
    else if (attempts > 0) this.judged++
    if (attempts > 0) {
      this.attempts += attempts
      this.input += usage.inputTokens
      this.output += usage.outputTokens
      if (cost === null) this.unknownCosts++
      else this.dollars += cost
    }
    if (agreement !== undefined) {
      this.agreements++
      this.agreement += agreement
    }
  }
}

const more = <Key>(map: Map<Key, number>, key: Key): void => void map.set(key, (map.get(key) ?? 0) + 1)

/** The most frequent first. */
const counts = <Key extends string>(map: Map<Key, number>): Record<Key, number> =>
  Object.fromEntries([...map].sort((a, b) => b[1] - a[1])) as Record<Key, number>
