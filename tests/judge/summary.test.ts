import { describe, expect, it } from 'vitest'
import { studentT975 } from '../../src/judge/intervals.js'
import { VerdictSummary, wilsonInterval, type Verdict } from '../../src/judge/index.js'

const verdict = (score: number | null, more: Partial<Verdict> = {}): Verdict => ({
  score,
  usage: { inputTokens: 100, outputTokens: 10 },
  cost: 0.25,
  latency: 1,
  attempts: 1,
  flags: [],
  ...more
})
const summaryOf = (groups: (number | null)[][], scale?: { low: number; high: number }) => {
  const summary = new VerdictSummary(scale)
  for (const group of groups) summary.add(group.map((score) => verdict(score)))
  return summary.record()
}

describe('intervals', () => {
  // scipy.stats.t.ppf(0.975, d)
  it.each([
    [1, 12.706204736174694],
    [2, 4.302652729749462],
    [3, 3.1824463052837078],
    [5, 2.5705818356363146],
    [9, 2.262157162798205],
    [30, 2.0422724563012378],
    [1000, 1.9623390808264083]
  ])("has Student's t of %i degrees of freedom to 2e-6", (degrees, expected) => {
    expect(Math.abs(studentT975(degrees) / expected - 1)).toBeLessThan(2e-6)
  })

  // statsmodels.stats.proportion.proportion_confint(8, 10, method='wilson'), and of 0 in 10
  it("has Wilson's interval of a share, also of none and of no trial", () => {
    const interval = wilsonInterval(8, 10)!
    expect(interval.low).toBeCloseTo(0.4901624715, 8)
    expect(interval.high).toBeCloseTo(0.9433178485, 8)
    expect(wilsonInterval(0, 10)!.low).toBe(0)
    expect(wilsonInterval(0, 10)!.high).toBeCloseTo(0.2775327999, 8)
    expect(wilsonInterval(0, 0)).toBeNull()
  })
})

describe('the summary of verdicts', () => {
  it('has mean, deviation, standard error and interval of single answers, and leaves unscored ones out', () => {
    const scores = [3, 1, 4, 1, 5, 9, 2, 6]
    const mean = scores.reduce((sum, score) => sum + score) / 8
    const deviation = Math.sqrt(scores.reduce((sum, score) => sum + (score - mean) ** 2, 0) / 7)
    const record = summaryOf([...scores.map((score) => [score]), [null]])
    expect(record).toMatchObject({ answers: 9, scored: 8, unscored: 1, lowest: 1, highest: 9 })
    expect(record.mean).toBeCloseTo(mean, 12)
    expect(record.standard_deviation).toBeCloseTo(deviation, 12)
    expect(record.standard_error).toBeCloseTo(deviation / Math.sqrt(8), 12)
    expect(record.interval!.high - mean).toBeCloseTo((2.364624251 * deviation) / Math.sqrt(8), 5)
    expect(record.interval).toMatchObject({ method: 't', degrees_of_freedom: 7, level: 0.95 })
  })

  it('takes answers to one prompt as one cluster', () => {
    const groups = [
      [1, 2],
      [4, 5, 5],
      [2, null, 3]
    ]
    const present = groups.map((group) => group.filter((score) => score !== null))
    const all = present.flat()
    const mean = all.reduce((sum, score) => sum + score) / all.length
    const squares = present.map((group) => group.reduce((sum, score) => sum + score - mean, 0) ** 2)
    const error = Math.sqrt((3 / 2) * squares.reduce((sum, square) => sum + square)) / all.length
    const record = summaryOf(groups)
    expect(record.standard_error).toBeCloseTo(error, 12)
    expect(record.interval).toMatchObject({ method: 't over prompts', degrees_of_freedom: 2 })
  })

  it('loses nothing where scores are far from zero', () => {
    const record = summaryOf([1e8 + 1, 1e8 + 2, 1e8 + 3].map((score) => [score]))
    expect(record.standard_deviation).toBeCloseTo(1, 9)
  })

  it('says nothing of a spread that one score or none has', () => {
    expect(summaryOf([[null]])).toMatchObject({ mean: null, standard_error: null, interval: null, histogram: [] })
    expect(summaryOf([[2], [null]])).toMatchObject({ mean: 2, standard_deviation: null, interval: null })
  })

  it('counts values while there are few, else ranges of the scale that hold every score', () => {
    expect(summaryOf([[3], [1], [3]]).histogram).toEqual([
      { low: 1, high: 1, count: 1 },
      { low: 3, high: 3, count: 2 }
    ])
    const many = Array.from({ length: 100 }, (_, index) => [1 + (index * 4) / 100])
    const rows = summaryOf(many, { low: 1, high: 5 }).histogram
    expect(rows.map(({ low, high }) => [low, high])[0]).toEqual([1, 1.5])
    expect(rows.at(-1)!.high).toBe(5)
    rows.forEach(({ low, high, count }, index) => {
      const within = many.flat().filter((score) => score >= low && (score < high || (index === 7 && score === high)))
      expect(count).toBe(within.length)
    })
  })

  it('holds thousands of different scores in bins, whatever their range becomes', () => {
    const scores = Array.from({ length: 3000 }, (_, index) => Math.sin(index) * (index < 2000 ? 1 : 50))
    const rows = summaryOf(scores.map((score) => [score])).histogram
    expect(rows).toHaveLength(8)
    expect(rows[0].low).toBeLessThanOrEqual(Math.min(...scores))
    expect(rows.at(-1)!.high).toBeGreaterThanOrEqual(Math.max(...scores))
    rows.forEach(({ low, high, count }) => {
      expect(count).toBe(scores.filter((score) => score >= low && score < high).length)
    })
  })

  it('counts reasons, flags, labels, calls and cost; an unknown cost makes the sum unknown', () => {
    const summary = new VerdictSummary()
    summary.add([verdict(1, { flags: ['swap_flip'], label: 'yes' })])
    summary.add([verdict(1, { flags: ['cached'], attempts: 0, cost: 0 })])
    summary.add([verdict(null, { reason: 'timeout', attempts: 6 })])
    expect(summary.record()).toMatchObject({
      unscored_by_reason: { timeout: 1 },
      flags: { swap_flip: 1, cached: 1 },
      labels: { yes: 1 },
      cached: 1,
      judged: 2,
      attempts: 7,
      input_tokens: 200,
      cost: 0.5
    })
    summary.add([verdict(1, { cost: null })])
    expect(summary.record().cost).toBeNull()
  })
})
