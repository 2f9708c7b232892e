import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import {
  clipRewards,
  completionLengths,
  lengthPenalty,
  overlongPenalty,
  relativeLengthReward,
  repetitionPenalty,
  RewardStatistics,
  shapeRewards,
  truncationPenalty
} from '../../src/rl/index.js'

interface Expected {
  completions: number[][]
  overlong: { maxTokens: number; cacheTokens: number; expected: number[] }[]
  repetition: { size: number; factor: number; expected: number[] }[]
}

/** Made by scripts/golden/reward_shaping.py. */
const { completions, overlong, repetition } = JSON.parse(
  readFileSync(new URL('expected/reward-shaping.json', import.meta.url), 'utf8')
) as Expected
const tokens = Int32Array.from(completions.flat())
const cuSeqlens = Int32Array.from([0, ...completions.map((_, i) => completions.slice(0, i + 1).flat().length)])

function expectClose(actual: ArrayLike<number>, wanted: ArrayLike<number>): void {
  expect(actual).toHaveLength(wanted.length)
  for (let index = 0; index < wanted.length; index++) {
    if (Number.isNaN(wanted[index])) expect(actual[index], `completion ${index}`).toBeNaN()
    else expect(actual[index], `completion ${index}`).toBeCloseTo(wanted[index], 12)
  }
}

describe('penalties', () => {
  test('DAPO’s soft over-length penalty is TRL’s', () => {
    for (const { maxTokens, cacheTokens, expected } of overlong) {
      expectClose(overlongPenalty(completionLengths(cuSeqlens), { maxTokens, cacheTokens }), expected)
      const half = overlongPenalty(completionLengths(cuSeqlens), { maxTokens, cacheTokens, factor: 0.5 })
      expectClose(
        half,
        expected.map((value) => value / 2)
      )
    }
  })

  test('the repetition penalty is TRL’s', () => {
    for (const { size, factor, expected } of repetition) {
      expectClose(repetitionPenalty(tokens, cuSeqlens, { size, factor }), expected)
    }
    expect(() => repetitionPenalty(tokens, cuSeqlens, { size: 0 })).toThrow(/size is 0/)
    expect(() => repetitionPenalty(tokens.subarray(1), cuSeqlens)).toThrow(/tokens: expected/)
  })

  test('a price per token beyond a free number, up to a limit', () => {
    expectClose(lengthPenalty([0, 10, 11, 30], { freeTokens: 10, perToken: 0.1 }), [0, 0, -0.1, -2])
    expectClose(lengthPenalty([0, 10, 11, 30], { freeTokens: 10, perToken: 0.1, limit: 1 }), [0, 0, -0.1, -1])
    expect(Object.is(lengthPenalty([5], { freeTokens: 10, perToken: 0.1 })[0], 0)).toBe(true)
    expect(() => lengthPenalty([1], { perToken: -1 })).toThrow(/perToken is -1/)
  })

  test('relative to the shortest and longest of the group; a wrong answer gains nothing by being short', () => {
    const lengths = [10, 20, 30, 7, 7]
    const groups = Int32Array.of(0, 3, 5)
    expectClose(relativeLengthReward(lengths, groups), [0.5, 0, -0.5, 0, 0])
    expectClose(relativeLengthReward(lengths, groups, { correct: [0, 1, 0, 1, 1] }), [0, 0, -0.5, 0, 0])
    expectClose(relativeLengthReward(lengths, groups, { scored: [1, 1, 0, 1, 1] }), [0.5, -0.5, 0, 0, 0])
  })

  test('truncated completions: their reward times a coefficient, or a reward in its place', () => {
    const rewards = Float64Array.of(2, 1, NaN)
    expectClose(truncationPenalty(rewards, [1, 0, 1], 0.5), [1, 1, NaN])
    expectClose(truncationPenalty(rewards, [1, 0, 1], -0.5), [-0.5, 1, NaN])
    expect(() => truncationPenalty(rewards, [1, 0, 1], 2)).toThrow(/coefficient is 2/)
  })

  test('clip', () => {
    expectClose(clipRewards(Float64Array.of(-3, 0.5, 4, NaN), [-1, 1]), [-1, 0.5, 1, NaN])
    expect(() => clipRewards(Float64Array.of(1), [1, -1])).toThrow(/clip is \[1, -1\]/)
  })
})

describe('RewardStatistics', () => {
  const rewards = Array.from({ length: 50 }, (_, i) => 1e6 + Math.sin(i * 12.9898) * 3)
  const mean = rewards.reduce((a, b) => a + b) / 50
  const deviation = Math.sqrt(rewards.reduce((sum, reward) => sum + (reward - mean) ** 2, 0) / 49)

  test('are those of all rewards together, however they are split, unscored ones left out', () => {
    for (const size of [1, 7, 50]) {
      const statistics = new RewardStatistics()
      for (let begin = 0; begin < 50; begin += size) {
        statistics.update(Float64Array.from([...rewards.slice(begin, begin + size), NaN]))
      }
      expect(statistics.count).toBe(50)
      expect(statistics.mean).toBeCloseTo(mean, 8)
      expect(statistics.deviation).toBeCloseTo(deviation, 8)
    }
  })

  test('go on from a saved state', () => {
    const whole = new RewardStatistics()
    whole.update(Float64Array.from(rewards))
    const first = new RewardStatistics()
    first.update(Float64Array.from(rewards.slice(0, 20)))
    const second = new RewardStatistics(JSON.parse(JSON.stringify(first.state)))
    second.update(Float64Array.from(rewards.slice(20)))
    expect(second.deviation).toBeCloseTo(whole.deviation, 8)
    expect(() => new RewardStatistics({ count: -1, mean: 0, squares: 0 })).toThrow(/state is/)
  })

  test('scale: by the deviation, centred or not, within a limit', () => {
    const statistics = new RewardStatistics()
    statistics.update(Float64Array.of(1, 3, NaN))
    const divisor = Math.SQRT2 + 1e-8
    expectClose(statistics.scale(Float64Array.of(4, NaN)), [4 / divisor, NaN])
    expectClose(statistics.scale(Float64Array.of(4), { center: true }), [2 / divisor])
    expectClose(statistics.scale(Float64Array.of(40, -40), { limit: 5 }), [5, -5])
    expectClose(new RewardStatistics().scale(Float64Array.of(4), { epsilon: 1e-15 }), [4])
    expect(() => statistics.scale(Float64Array.of(4), { epsilon: 0 })).toThrow(/epsilon is 0/)
  })

  test('an infinite reward is refused by name, and nothing of its batch is taken in', () => {
    const statistics = new RewardStatistics()
    expect(() => statistics.update(Float64Array.of(1, Infinity))).toThrow(/rewards\[1\] is Infinity/)
    expect(statistics.count).toBe(0)
    expect(statistics.mean).toBeNaN()
  })
})

describe('shapeRewards', () => {
  const input = {
    rewards: Float64Array.of(5, 2, NaN),
    cuSeqlens: Int32Array.of(0, 4, 6, 7),
    tokens: Int32Array.of(8, 8, 8, 8, 1, 2, 3),
    truncated: [1, 0, 0]
  }

  test('truncation, clip and scale in turn; then the penalties, unscaled', () => {
    const statistics = new RewardStatistics()
    const shaped = shapeRewards(
      {
        truncated: 0.8,
        clip: [-3, 3],
        scale: { epsilon: 1e-12 },
        overlong: { maxTokens: 6, cacheTokens: 4, factor: 0.1 },
        length: { perToken: 0.01 },
        repetition: { size: 1, factor: 0.4 }
      },
      { ...input, statistics }
    )
    expect(statistics.mean).toBeCloseTo(2.5, 12)
    const deviation = Math.SQRT1_2 + 1e-12
    expectClose(shaped, [3 / deviation - 0.05 - 0.04 - 0.3, 2 / deviation - 0.02, NaN])
    expect(input.rewards[0]).toBe(5)
  })

  test('nothing asked, nothing done; Float32Array stays one', () => {
    expectClose(shapeRewards({}, input), input.rewards)
    expect(shapeRewards({}, { ...input, rewards: Float32Array.from(input.rewards) })).toBeInstanceOf(Float32Array)
  })

  test('a mask says which tokens count for the length', () => {
    const mask = Uint8Array.of(1, 0, 0, 1, 1, 1, 1)
    expectClose(shapeRewards({ length: { perToken: 1 } }, { ...input, mask }), [3, 0, NaN])
  })

  test('what a rule needs is asked for by name', () => {
    expect(() => shapeRewards({ scale: {} }, input)).toThrow(/statistics: needed by "scale"/)
    expect(() => shapeRewards({ repetition: {} }, { ...input, tokens: undefined })).toThrow(/tokens: needed/)
    expect(() => shapeRewards({}, { ...input, rewards: new Float64Array(2) })).toThrow(/rewards: expected 3/)
  })
})
