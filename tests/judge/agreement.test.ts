import { describe, expect, it } from 'vitest'
import { agreementWithLabels, kappaOf, type Comparison, type PairLabel } from '../../src/judge/index.js'

const compared = (winner: Comparison['winner'], orders?: [number, number]): Comparison => ({
  preference: winner === null ? null : winner === 'first' ? 1 : winner === 'second' ? 0 : 0.5,
  winner,
  ...(orders ? { orders } : {}),
  usage: { inputTokens: 0, outputTokens: 0 },
  cost: 0,
  latency: 0,
  attempts: 2,
  flags: orders && (orders[0] - 0.5) * (orders[1] - 0.5) < 0 ? ['swap_flip'] : []
})

describe('agreement with people', () => {
  it('counts a tie of one side half, leaves out what was not judged, and tells the judge’s favourite place', () => {
    const comparisons = [
      compared('first', [1, 1]),
      compared('tie', [1, 0]),
      compared('second', [0, 0]),
      compared('first', [1, 1]),
      compared(null)
    ]
    const labels: PairLabel[] = ['first', 'first', 'second', 'second', 'first']
    const result = agreementWithLabels(comparisons, labels)
    expect(result).toMatchObject({ pairs: 5, judged: 4, unscored: 1, agreement: 2.5 / 4, swapFlips: 1 })
    // Shown first and preferred: of the eight questions 1 + 2 + 1 + 1.
    expect(result.firstShown).toBeCloseTo(5 / 8, 12)
    // Wilson's interval of 2.5 in 4.
    expect(result.interval!.low).toBeCloseTo(0.21942652, 8)
    expect(result.interval!.high).toBeCloseTo(0.90810077, 8)
  })

  it('is no more than chance where a rater always says the same', () => {
    expect(agreementWithLabels([], [])).toMatchObject({
      agreement: null,
      interval: null,
      kappa: null,
      firstShown: null
    })
    expect(
      kappaOf([
        ['a', 'a'],
        ['a', 'a']
      ])
    ).toBeNull()
    expect(
      kappaOf([
        ['a', 'a'],
        ['a', 'b']
      ])
    ).toBe(0)
    // Cohen's table of 20, 5, 10, 15.
    const table = [...Array<[string, string]>(20).fill(['y', 'y']), ...Array<[string, string]>(5).fill(['y', 'n'])]
    table.push(...Array<[string, string]>(10).fill(['n', 'y']), ...Array<[string, string]>(15).fill(['n', 'n']))
    expect(kappaOf(table)).toBeCloseTo(0.4, 12)
  })
})
