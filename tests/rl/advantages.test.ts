import { describe, expect, test } from 'vitest'
import { advantages, resolveAlgorithm } from '../../src/rl/index.js'

const groupOffsets = Int32Array.of(0, 4, 8)
const rewards = Float64Array.of(1, 0, 0, 1, 3, 1, 2, 2)

function valuesOf(options: Parameters<typeof resolveAlgorithm>[0], input: object = {}): number[] {
  return Array.from(advantages(resolveAlgorithm(options), { rewards, groupOffsets, ...input }).advantages)
}

function expectClose(actual: number[], expected: number[], digits = 12): void {
  expect(actual).toHaveLength(expected.length)
  actual.forEach((value, index) => expect(value).toBeCloseTo(expected[index], digits))
}

describe('advantages', () => {
  test('GRPO divides by the group’s deviation (n-1) plus epsilon', () => {
    const first = 0.5 / (Math.sqrt(1 / 3) + 1e-4)
    const second = 1 / (Math.sqrt(2 / 3) + 1e-4)
    expectClose(valuesOf('grpo'), [first, -first, -first, first, second, -second, 0, 0])
  })

  test('Dr. GRPO only subtracts the mean; RLOO the mean of the others; REINFORCE what its baseline says', () => {
    expectClose(valuesOf('dr_grpo'), [0.5, -0.5, -0.5, 0.5, 1, -1, 0, 0])
    expectClose(valuesOf('rloo'), [2 / 3, -2 / 3, -2 / 3, 2 / 3, 4 / 3, -4 / 3, 0, 0])
    expectClose(valuesOf('reinforce'), [0.5, -0.5, -0.5, 0.5, 1, -1, 0, 0])
    expectClose(
      valuesOf({ preset: 'reinforce', advantage: { baseline: 'batch' } }),
      Array.from(rewards, (reward) => reward - 1.25)
    )
    expectClose(valuesOf({ preset: 'reinforce', advantage: { baseline: 'none' } }), Array.from(rewards))
  })

  test('unscored completions are left out of mean and spread and get 0', () => {
    const scored = Uint8Array.of(1, 1, 1, 0, 1, 0, 0, 0)
    const result = advantages(resolveAlgorithm('dr_grpo'), { rewards, groupOffsets, scored })
    expectClose(Array.from(result.advantages), [2 / 3, -1 / 3, -1 / 3, 0, 0, 0, 0, 0])
    expect(result.metrics).toMatchObject({ reward: 1, unscored: 4, dead_groups: 1, scored_groups: 2 })
    expect(result.metrics.frac_reward_zero_std).toBe(0.5)
    const missing = Float64Array.of(1, 0, 0, NaN, 3, NaN, NaN, NaN)
    expectClose(valuesOf('dr_grpo', { rewards: missing }), [2 / 3, -1 / 3, -1 / 3, 0, 0, 0, 0, 0])
  })

  test('the only scored member of a group: 0, or as in verl its raw reward', () => {
    const single = { rewards: Float64Array.of(3), groupOffsets: Int32Array.of(0, 1) }
    expectClose(valuesOf('grpo', single), [0])
    expectClose(valuesOf('verl_grpo', single), [3 / (1 + 1e-6)])
    expectClose(valuesOf('verl_rloo', single), [3])
  })

  test('a group of equal rewards is dead: exactly 0, whatever the rounding of its mean', () => {
    const equal = Float64Array.of(0.1, 0.1, 0.1)
    const input = { rewards: equal, groupOffsets: Int32Array.of(0, 3) }
    for (const preset of ['grpo', 'openrlhf_group_norm', 'rloo', 'dr_grpo']) {
      const algorithm = resolveAlgorithm({ preset, kl: { coefficient: 0 } })
      const result = advantages(algorithm, input)
      expect(Array.from(result.advantages)).toEqual([0, 0, 0])
      expect(result.metrics.dead_groups).toBe(1)
    }
  })

  test('several functions: weighted sum over those that judged', () => {
    const input = { rewards: Float64Array.of(1, 2, NaN, 4, NaN, NaN), groupOffsets: Int32Array.of(0, 3) }
    const result = advantages(resolveAlgorithm('dr_grpo'), { ...input, weights: [1, 0.5] })
    expectClose(Array.from(result.advantages), [0, 0, 0])
    expect(result.metrics).toMatchObject({ reward: 2, unscored: 1 })
  })

  test('REINFORCE++ gives token advantages of mean 0 and deviation 1 over the counted tokens', () => {
    const cuSeqlens = Int32Array.of(0, 2, 5, 6)
    const mask = Uint8Array.of(1, 1, 1, 0, 1, 1)
    const result = advantages(resolveAlgorithm('reinforce_plus_plus'), {
      rewards: Float64Array.of(1, 0, 3),
      groupOffsets: Int32Array.of(0, 3),
      cuSeqlens,
      mask
    })
    expect(result.perToken).toBe(true)
    const counted = Array.from(result.advantages).filter((_, token) => mask[token] === 1)
    const mean = counted.reduce((sum, value) => sum + value) / 5
    const variance = counted.reduce((sum, value) => sum + (value - mean) ** 2, 0) / 5
    expect(mean).toBeCloseTo(0, 12)
    expect(variance).toBeCloseTo(1, 12)
    expect(result.advantages[3]).toBe(0)
  })

  test('a KL in the reward is taken off: per completion before the baseline, or token by token', () => {
    const tokens = {
      rewards: Float64Array.of(1, 0),
      groupOffsets: Int32Array.of(0, 2),
      cuSeqlens: Int32Array.of(0, 2, 3),
      logProbs: Float64Array.of(-1, -1, -1),
      referenceLogProbs: Float64Array.of(-1.5, -2, -1)
    }
    const kl = { kind: 'k1', coefficient: 0.1, in_reward: true }
    expectClose(valuesOf({ preset: 'dr_grpo', kl }, tokens), [0.425, -0.425])
    // Returns: the reward on the last token, minus the penalties from each token on.
    const perToken = { preset: 'dr_grpo', kl: { ...kl, per_token: true } }
    expectClose(valuesOf(perToken, tokens), [0.5 - 0.15, 0.5 - 0.1, -0.5])
  })

  test('Float32Array in, Float32Array out', () => {
    const result = advantages(resolveAlgorithm('grpo'), { rewards: Float32Array.from(rewards), groupOffsets })
    expect(result.advantages).toBeInstanceOf(Float32Array)
    expectClose(Array.from(result.advantages), valuesOf('grpo'), 6)
  })

  test('wrong input is named', () => {
    expect(() => valuesOf('grpo', { rewards: new Float64Array(7) })).toThrow(/rewards/)
    expect(() => valuesOf('grpo', { scored: new Uint8Array(3) })).toThrow(/scored: expected 8/)
    expect(() => valuesOf('grpo', { groupOffsets: Int32Array.of(0, 5, 4, 8) })).toThrow(/groupOffsets/)
    expect(() => valuesOf('grpo', { rewards: rewards.map(() => Infinity) })).toThrow(/completion 0 is infinite/)
    expect(() => valuesOf('reinforce_plus_plus')).toThrow(/cuSeqlens/)
    expect(() => valuesOf('exact')).toThrow(/exactObjective/)
    const one = {
      rewards: Float64Array.of(1),
      groupOffsets: Int32Array.of(0, 1),
      cuSeqlens: Int32Array.of(0, 1)
    }
    expect(() => valuesOf('verl_reinforce_plus_plus', one)).toThrow(/at least 2 counted tokens/)
  })
})
