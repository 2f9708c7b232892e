import { describe, expect, test } from 'vitest'
import { preferenceLabels, preferencePairs, type GroupScores, type PreferencePairsOptions } from '../../src/rl/index.js'

const groups: GroupScores = [[0.5, 2, null, 1], [1, 1], [null, 3], [], [4, 1, 4, 1, 2]]

const pairsOf = (options: PreferencePairsOptions, scores = groups) => {
  const { chosen, rejected } = preferencePairs(scores, options)
  return Array.from(chosen, (completion, pair) => [completion, rejected[pair]])
}

describe('preferencePairs', () => {
  test('best against worst: of equal scores the first is best and the last worst', () => {
    const result = preferencePairs(groups)
    expect(pairsOf({})).toEqual([
      [1, 0],
      [8, 11]
    ])
    expect(Array.from(result.margins)).toEqual([1.5, 3])
    expect(Array.from(result.groups)).toEqual([0, 4])
    // The two equal scores are a tie; one scored completion has nothing to be compared with.
    expect(result.metrics).toEqual({ pairs: 2, ties: 1, unscored: 2, dead_groups: 3 })
  })

  test('all pairs whose margin is above the least one', () => {
    expect(pairsOf({ rule: 'all' })).toEqual([
      [1, 3],
      [1, 0],
      [3, 0],
      [8, 12],
      [8, 9],
      [8, 11],
      [10, 12],
      [10, 9],
      [10, 11],
      [12, 9],
      [12, 11]
    ])
    expect(preferencePairs(groups, { rule: 'all' }).metrics.ties).toBe(3)
    // Equal to the margin is not above it.
    expect(pairsOf({ rule: 'all', minMargin: 1.5 }, [groups[0]!])).toEqual([])
    expect(pairsOf({ rule: 'all', minMargin: 1.4 }, [groups[0]!])).toEqual([[1, 0]])
  })

  test('adjacent ranks', () => {
    expect(pairsOf({ rule: 'adjacent' })).toEqual([
      [1, 3],
      [3, 0],
      [10, 12],
      [12, 9]
    ])
    expect(preferencePairs(groups, { rule: 'adjacent' }).metrics).toEqual({
      pairs: 4,
      ties: 3,
      unscored: 2,
      dead_groups: 3
    })
  })

  test('every pair is of one group, the better one chosen, and no unscored completion is in any', () => {
    let state = 1
    const random = () => (state = (state * 48271) % 2147483647) / 2147483647
    const many = Array.from({ length: 50 }, () =>
      Array.from({ length: Math.floor(random() * 7) }, () => (random() < 0.2 ? null : Math.floor(random() * 5)))
    )
    const flat = many.flatMap((scores, group) => scores.map((score) => ({ score, group })))
    for (const rule of ['best_worst', 'all', 'adjacent'] as const) {
      const result = preferencePairs(many, { rule, minMargin: 1 })
      expect(result.metrics.pairs).toBeGreaterThan(10)
      result.chosen.forEach((better, pair) => {
        const [good, bad] = [flat[better]!, flat[result.rejected[pair]!]!]
        expect([good.group, bad.group]).toEqual([result.groups[pair], result.groups[pair]])
        expect(good.score! - bad.score!).toBe(result.margins[pair])
        expect(result.margins[pair]).toBeGreaterThan(1)
      })
      if (rule !== 'all') continue
      // By brute force.
      let expected = 0
      for (const scores of many) {
        for (const one of scores)
          for (const other of scores) if (one !== null && other !== null && one - other > 1) expected++
      }
      expect(result.metrics.pairs).toBe(expected)
    }
  })

  test('wrong input is named', () => {
    expect(() => preferencePairs([[1], [0, NaN]])).toThrow(/scores\[1\]\[1\] is NaN/)
    expect(() => preferencePairs(groups, { minMargin: -1 })).toThrow(/minMargin is -1/)
    expect(() => preferencePairs(groups, { rule: 'worst' as 'all' })).toThrow(/rule is "worst", expected one of/)
  })
})

describe('preferenceLabels', () => {
  test('above and below the mean of each group’s scored completions, or a given score', () => {
    const result = preferenceLabels(groups)
    expect(Array.from(result.completions)).toEqual([0, 1, 3, 8, 9, 10, 11, 12])
    expect(Array.from(result.desirable)).toEqual([0, 1, 0, 1, 0, 1, 0, 0])
    // Two equal scores, and the one scored completion of its group, are their groups’ means.
    expect(result.metrics).toEqual({ desirable: 3, undesirable: 5, ties: 3, unscored: 2, dead_groups: 3 })
    const fixed = preferenceLabels(groups, 1)
    expect(Array.from(fixed.completions)).toEqual([0, 1, 7, 8, 10, 12])
    expect(Array.from(fixed.desirable)).toEqual([0, 1, 1, 1, 1, 1])
    expect(fixed.metrics).toMatchObject({ ties: 5, unscored: 2, dead_groups: 2 })
  })

  test('wrong input is named', () => {
    expect(() => preferenceLabels(groups, NaN)).toThrow(/threshold is NaN/)
    expect(() => preferenceLabels([[1, Infinity]], 0)).toThrow(/scores\[0\]\[1\] is Infinity/)
  })
})
