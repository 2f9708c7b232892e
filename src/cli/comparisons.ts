/** What many comparisons say together. */
import { wilsonInterval, type Comparison, type Interval } from '../judge/index.js'
import { costLine, percent } from './summary.js'

export interface ComparisonRecord {
  pairs: number
  /** Those that could be judged. */
  judged: number
  wins: number
  losses: number
  ties: number
  /** Of the first: (wins + ties / 2) / judged; null where nothing was judged. */
  win_rate: number | null
  interval: (Interval & { level: number; method: 'wilson' }) | null
  /** Mean of how far the first was preferred. */
  mean_preference: number | null
  swap_flips: number
  unscored: number
  unscored_by_reason: Record<string, number>
  cached: number
  called: number
  input_tokens: number
  output_tokens: number
  cost: number | null
}

export class ComparisonSummary {
  pairs = 0
  private wins = 0
  private losses = 0
  private ties = 0
  private preferences = 0
  private flips = 0
  private cached = 0
  private called = 0
  private input = 0
  private output = 0
  private cost: number | null = 0
  private readonly reasons: Record<string, number> = {}

  add({ preference, winner, reason, flags, usage, cost, attempts }: Comparison): void {
    this.pairs++
    if (preference === null)
      this.reasons[reason ?? 'provider_error'] = (this.reasons[reason ?? 'provider_error'] ?? 0) + 1
    else this.preferences += preference
    if (winner === 'first') this.wins++
    if (winner === 'second') this.losses++
    if (winner === 'tie') this.ties++
    if (flags.includes('swap_flip')) this.flips++
    if (flags.includes('cached')) this.cached++
    if (attempts === 0) return
    this.called++
    this.input += usage.inputTokens
    this.output += usage.outputTokens
    this.cost = cost === null || this.cost === null ? null : this.cost + cost
  }

  short(): string {
    return `${this.wins} won, ${this.ties} tied, ${this.losses} lost, ${this.flips} swap flips`
  }

  record(): ComparisonRecord {
    const judged = this.wins + this.losses + this.ties
    const points = this.wins + this.ties / 2
    const interval = wilsonInterval(points, judged)
    return {
      pairs: this.pairs,
      judged,
      wins: this.wins,
      losses: this.losses,
      ties: this.ties,
      win_rate: judged === 0 ? null : points / judged,
      interval: interval && { ...interval, level: 0.95, method: 'wilson' },
      mean_preference: judged === 0 ? null : this.preferences / judged,
      swap_flips: this.flips,
      unscored: this.pairs - judged,
      unscored_by_reason: this.reasons,
      cached: this.cached,
      called: this.called,
      input_tokens: this.input,
      output_tokens: this.output,
      cost: this.cost
    }
  }
}

export function comparisonLines(
  judge: string,
  [first, second]: readonly [string, string],
  record: ComparisonRecord
): string[] {
  const { pairs, judged, wins, losses, ties, win_rate: rate, interval, swap_flips: flips, unscored } = record
  const lines: string[] = []
  if (rate !== null && interval) {
    lines.push(
      `${judge}: ${first} wins ${percent(rate)} against ${second} (95 % interval ${percent(interval.low)} to ${percent(interval.high)}, Wilson; a tie is half a win)`,
      `${wins} won, ${ties} tied, ${losses} lost, ${judged} of ${pairs} pairs judged; swap flips ${flips} (${percent(flips / judged)})`
    )
    if (interval.low <= 0.5 && interval.high >= 0.5) lines.push('the interval holds 50 %: no difference is shown')
  }
  if (unscored > 0) {
    const reasons = Object.entries(record.unscored_by_reason).map(([reason, count]) => `${reason} ${count}`)
    lines.push(`unscored ${unscored}: ${reasons.join(', ')}`)
  }
  return [...lines, costLine({ ...record, judged: record.called })]
}
