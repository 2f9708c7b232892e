/** How scores are spread, in flat memory: each value by itself while there are few, else 64 bins. */
import type { Scale } from './types.js'

export interface HistogramRow {
  /** `low` = `high`: one value; else from `low` up to but without `high` (the last with it). */
  low: number
  high: number
  count: number
}

const mostValues = 1024
const bins = 64

export class ScoreHistogram {
  private values: Map<number, number> | undefined = new Map()
  private counts = new Float64Array(0)
  private low = 0
  private width = 0

  /** `scale`: the range of the rows, where it is known. */
  constructor(private readonly scale?: Scale) {}

  add(score: number): void {
    if (this.values) {
      this.values.set(score, (this.values.get(score) ?? 0) + 1)
      if (this.values.size > mostValues) this.intoBins(this.values)
    } else this.count(score, 1)
  }

  /** At most twelve values, or eight ranges. */
  rows(): HistogramRow[] {
    const { values } = this
    if (!values) {
      const wide = bins / 8
      return Array.from({ length: 8 }, (_, row) => ({
        low: this.low + row * wide * this.width,
        high: this.low + (row + 1) * wide * this.width,
        count: this.counts.subarray(row * wide, (row + 1) * wide).reduce((sum, count) => sum + count, 0)
      }))
    }
    const sorted = [...values].sort(([a], [b]) => a - b)
    if (sorted.length <= 12) return sorted.map(([score, count]) => ({ low: score, high: score, count }))
    const { low, high } = this.range(sorted.map(([score]) => score))
    const width = (high - low) / 8
    const rows = Array.from({ length: 8 }, (_, row) => ({
      low: low + row * width,
      high: low + (row + 1) * width,
      count: 0
    }))
    for (const [score, count] of sorted) rows[Math.min(7, Math.floor((score - low) / width))].count += count
    return rows
  }

  private range(sorted: readonly number[]): Scale {
    const least = sorted[0]
    const most = sorted.at(-1)!
    const { scale } = this
    return scale && least >= scale.low && most <= scale.high ? scale : { low: least, high: most }
  }

  private intoBins(values: Map<number, number>): void {
    const { low, high } = this.range([...values.keys()].sort((a, b) => a - b))
    this.low = low
    this.width = (high - low) / bins
    this.counts = new Float64Array(bins)
    this.values = undefined
    for (const [score, count] of values) this.count(score, count)
  }

  private count(score: number, by: number): void {
    while (score < this.low) this.widen(true)
    while (score > this.low + bins * this.width) this.widen(false)
    this.counts[Math.min(bins - 1, Math.floor((score - this.low) / this.width))] += by
  }

  /** Twice the range: two bins become one. */
  private widen(downwards: boolean): void {
    const half = bins / 2
    const counts = new Float64Array(bins)
    for (let bin = 0; bin < bins; bin++) counts[(bin >> 1) + (downwards ? half : 0)] += this.counts[bin]
    if (downwards) this.low -= bins * this.width
    this.width *= 2
    this.counts = counts
  }
}
