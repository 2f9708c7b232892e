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

describe('estimators of several papers', () => {
  const four = { rewards: Float64Array.of(1, 0, 0.5, 0), groupOffsets: Int32Array.of(0, 4) }
  const tokens = { cuSeqlens: Int32Array.of(0, 2, 6, 9, 10) }

  test('OPO weighs the rewards by length; GPG divides by the share of rewards that are not 0', () => {
    expectClose(valuesOf('opo', { ...four, ...tokens }), [0.65, -0.35, 0.15, -0.35])
    expectClose(valuesOf('gpg', four), [1.25, -0.75, 0.25, -0.75])
    expectClose(valuesOf({ preset: 'gpg', advantage: { f_norm: 2.5 } }, four), [0.5, -0.3, 0.1, -0.3])
    // An unscored member is neither among all rewards nor among those that are not 0.
    const missing = Float64Array.of(1, 0, NaN, 0)
    expectClose(valuesOf('gpg', { ...four, rewards: missing }), [2, -1, 0, -1])
  })

  test('pass@k: only the best learns, from its lead over the second; a tie teaches nothing', () => {
    expectClose(valuesOf('verl_grpo_passk', four), [0.5 / (Math.sqrt(0.6875 / 3) + 1e-6), 0, 0, 0])
    expectClose(valuesOf({ preset: 'grpo_passk', advantage: { scale: 'none' } }, four), [0.5, 0, 0, 0])
    const tied = { rewards: Float64Array.of(0, 2, 2), groupOffsets: Int32Array.of(0, 3) }
    expectClose(valuesOf('grpo_passk', tied), [0, 0, 0])
    const single = { rewards: Float64Array.of(3, 1, 0), groupOffsets: Int32Array.of(0, 1, 3) }
    expectClose(valuesOf({ preset: 'grpo_passk', advantage: { scale: 'none' } }, single), [0, 1, 0])
    expect(() => valuesOf('verl_grpo_passk', single)).toThrow(/group 0 has one scored completion/)
  })

  test('ReMax subtracts the greedy completion’s reward, given per group or per completion', () => {
    const greedy = Float64Array.of(0.5, 2)
    const expected = [0.5, -0.5, -0.5, 0.5, 1, -1, 0, 0]
    expectClose(valuesOf('remax', { baselines: greedy }), expected)
    expectClose(valuesOf('remax', { baselines: Float64Array.of(0.5, 0.5, 0.5, 0.5, 2, 2, 2, 2) }), expected)
    expect(() => valuesOf('remax')).toThrow(/baselines: this algorithm subtracts/)
    expect(() => valuesOf('remax', { baselines: new Float64Array(3) })).toThrow(/baselines: expected 2/)
    expect(() => valuesOf('remax', { baselines: Float64Array.of(1, NaN) })).toThrow(/baselines\[1\] is NaN/)
  })

  test('GDPO normalises each function by its group, and the sum by the batch', () => {
    const scores = [
      [1.4, 0],
      [NaN, 3],
      [-0.1, 1],
      [NaN, NaN],
      [2, NaN],
      [1, 5]
    ]
    const groups = [
      [0, 1, 2, 3],
      [4, 5]
    ]
    const weights = [0.7, 0.3]
    const sums = new Array<number>(6).fill(0)
    const statistics = (values: number[]) => {
      const mean = values.reduce((a, b) => a + b, 0) / values.length
      return { mean, deviation: Math.sqrt(values.reduce((a, b) => a + (b - mean) ** 2, 0) / (values.length - 1)) }
    }
    for (const group of groups) {
      for (const [k, weight] of weights.entries()) {
        const judged = group.filter((row) => !Number.isNaN(scores[row][k]))
        if (judged.length < 2) continue
        const { mean, deviation } = statistics(judged.map((row) => scores[row][k]))
        for (const row of judged) sums[row] += (weight * (scores[row][k] - mean)) / (deviation + 1e-4)
      }
    }
    const { mean, deviation } = statistics(sums.filter((_, row) => row !== 3))
    const expected = sums.map((sum, row) => (row === 3 ? 0 : (sum - mean) / (deviation + 1e-4)))
    const input = { rewards: Float64Array.from(scores.flat()), weights, groupOffsets: Int32Array.of(0, 4, 6) }
    expectClose(valuesOf('gdpo', input), expected)
  })

  test('the optimal token baseline weighs the returns by the squared norm of the score so far', () => {
    const input = {
      rewards: Float64Array.of(1, 0, 4),
      groupOffsets: Int32Array.of(0, 3),
      cuSeqlens: Int32Array.of(0, 2, 5, 6),
      mask: Uint8Array.of(1, 1, 1, 0, 1, 1),
      logProbs: Float64Array.from([0.5, 0.5, 0.25, 0.9, 0.1, 0.2], Math.log),
      sumPiSquared: Float64Array.of(0.5, 0.4, 0.3, 0.9, 0.2, 0.1)
    }
    // Weights 1 - 2p + Σp², summed: 0.5, 0.9 | 0.8, -, 1.8 | 0.7.
    const first = (1 * 0.5 + 0 * 0.8 + 4 * 0.7) / (2 + 1e-8)
    const second = 0.9 / (0.9 + 1e-8)
    // At place 1 only the first row counts a token, at place 2 only the second, which lies beyond the tail or not.
    const position = [1 - first, 1 - second, -first, 0, 0, 4 - first]
    expectClose(valuesOf('optimal_token_baseline', input), position)
    const counted = (1 * 0.9 + 0 * 1.8) / (2.7 + 1e-8)
    expectClose(valuesOf('tir_optimal_token_baseline', input), [
      1 - first,
      1 - counted,
      -first,
      0,
      0 - counted,
      4 - first
    ])
    const scored = Uint8Array.of(1, 0, 1)
    const pair = (1 * 0.5 + 4 * 0.7) / (1.2 + 1e-8)
    // The longer of two: its tail has no baseline, unless it is asked for.
    expectClose(valuesOf('optimal_token_baseline', { ...input, scored }), [1 - pair, 1, 0, 0, 0, 4 - pair])
    const tail = { preset: 'optimal_token_baseline', advantage: { zero_tail: false } }
    expectClose(valuesOf(tail, { ...input, scored }), [1 - pair, 1 - second, 0, 0, 0, 4 - pair])
    expect(() => valuesOf(tail, { ...input, sumPiSquared: undefined })).toThrow(/sumPiSquared/)
  })

  test('PPO: GAE of the outcome on the last token, whitened, with the critic’s targets', () => {
    const input = {
      rewards: Float64Array.of(1),
      groupOffsets: Int32Array.of(0, 1),
      cuSeqlens: Int32Array.of(0, 3),
      values: Float64Array.of(0.5, 0.4, 0.3)
    }
    const result = advantages(resolveAlgorithm('ppo'), input)
    expectClose(Array.from(result.returns ?? []), [0.93675, 0.965, 1])
    expectClose(Array.from(result.advantages), [-0.991344, -0.017092, 1.008436], 6)
    const raw = { preset: 'ppo', advantage: { whitening: null } }
    expectClose(valuesOf(raw, input), [0.43675, 0.565, 0.7])
    // What is taken off a token's reward reaches the tokens before it, discounted by λ.
    const penalties = Float64Array.of(0, 0, 0.1)
    expectClose(valuesOf(raw, { ...input, penalties }), [0.43675 - 0.09025, 0.565 - 0.095, 0.6])
    expect(() => valuesOf('ppo', { ...input, values: undefined })).toThrow(/values: the estimator gae/)
    expect(() => valuesOf('ppo', { ...input, values: Float64Array.of(1, NaN, 0) })).toThrow(/values\[1\] is NaN/)
  })

  test('a masked token is no step of GAE, or one of value 0; unscored completions stay out', () => {
    const input = {
      rewards: Float64Array.of(2, NaN),
      groupOffsets: Int32Array.of(0, 2),
      cuSeqlens: Int32Array.of(0, 3, 4),
      mask: Uint8Array.of(1, 0, 1, 1),
      values: Float64Array.of(1, NaN, 0.5, 7)
    }
    const gamma = { preset: 'ppo', advantage: { gamma: 0.5, lambda: 0.5, whitening: null } }
    const skipped = { ...gamma, advantage: { ...gamma.advantage, masked_return: 'skip' } }
    // δ = 1.5 at the end; before it 0.5 · 0.5 − 1, and 0.25 · 1.5 of what follows.
    expectClose(valuesOf(skipped, input), [-0.75 + 0.375, 0, 1.5, 0])
    // Through: δ of the masked token is 0.5 · 0.5, and then a value of 0.
    expectClose(valuesOf(gamma, input), [-1 + 0.25 * (0.25 + 0.375), 0, 1.5, 0])
  })
})
