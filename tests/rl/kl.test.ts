import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { AdaptiveKl, klDivergence, klReward, klRows, resolveAlgorithm } from '../../src/rl/index.js'

interface Rows {
  values: number[]
  gradients: number[]
}

const { kl } = JSON.parse(readFileSync(new URL('./expected/off-policy.json', import.meta.url), 'utf8')) as unknown as {
  kl: { logits: number[]; reference_logits: number[]; width: number; reverse: Rows; forward: Rows }
}

const logits = Float64Array.from(kl.logits)
const referenceLogits = Float64Array.from(kl.reference_logits)
const { width } = kl

describe('klRows', () => {
  for (const direction of ['reverse', 'forward'] as const) {
    test(`${direction}: values and gradients are those of torch's kl_div`, () => {
      const result = klRows({ logits, referenceLogits, width, direction })
      result.values.forEach((value, row) => expect(value).toBeCloseTo(kl[direction].values[row] as number, 13))
      result.logitGradients?.forEach((value, index) =>
        expect(value).toBeCloseTo(kl[direction].gradients[index] as number, 13)
      )
      expect(result.logitGradients).toHaveLength(logits.length)
    })
  }

  test('is the expectation of the sampled estimates k1 and k3 over the policy', () => {
    const exact = klRows({ logits, referenceLogits, width, gradients: false })
    expect(exact.logitGradients).toBeUndefined()
    const normalized = (row: Float64Array) => {
      const sum = Math.log(row.reduce((total, value) => total + Math.exp(value), 0))
      return row.map((value) => value - sum)
    }
    for (const kind of ['k1', 'k3']) {
      const algorithm = resolveAlgorithm({ kl: { kind } })
      exact.values.forEach((value, row) => {
        const logProbs = normalized(logits.slice(row * width, (row + 1) * width))
        const referenceLogProbs = normalized(referenceLogits.slice(row * width, (row + 1) * width))
        const sampled = Array.from(klDivergence(algorithm, { logProbs, referenceLogProbs }).values)
        const mean = sampled.reduce((sum, estimate, k) => sum + Math.exp(logProbs[k] as number) * estimate, 0)
        expect(mean).toBeCloseTo(value, 13)
      })
    }
  })

  test('a masked row is 0; a probability of 0 is fine in the policy and named in the reference', () => {
    const cut = logits.with(2, -Infinity)
    const result = klRows({ logits: cut, referenceLogits, width, mask: Uint8Array.of(1, 0, 1) })
    expect(result.values[0]).toBeGreaterThan(0)
    expect(result.logitGradients?.[2]).toBe(0)
    expect(result.values[1]).toBe(0)
    expect(result.logitGradients?.slice(5, 10).every((value) => value === 0)).toBe(true)
    expect(() => klRows({ logits, referenceLogits: referenceLogits.with(2, -Infinity), width })).toThrow(
      /referenceLogits: row 0/
    )
    expect(() => klRows({ logits: logits.with(7, NaN), referenceLogits, width })).toThrow(/logits\[7\] is NaN/)
    expect(() => klRows({ logits, referenceLogits, width: 4 })).toThrow(/width is 4/)
  })
})

describe('klReward', () => {
  const algorithm = resolveAlgorithm({ kl: { kind: 'k1', coefficient: 0.1 }, advantage: { reward_clip: [-1, 1] } })
  const cuSeqlens = Int32Array.of(0, 3, 4, 4)
  const mask = Uint8Array.of(1, 1, 0, 1)
  const logProbs = Float64Array.of(-1, -2, -3, -0.5)
  const referenceLogProbs = Float64Array.of(-1.5, -1, -9, -0.25)
  const rewards = Float64Array.of(5, -0.25, 3)

  test('takes coefficient × KL off every counted token and puts the clipped reward on the last', () => {
    const { tokenRewards, metrics } = klReward(algorithm, { rewards, logProbs, referenceLogProbs, mask, cuSeqlens })
    const expected = [-0.05, 1 + 0.1, 0, -0.25 + 0.025]
    tokenRewards.forEach((value, token) => expect(value).toBeCloseTo(expected[token] as number, 14))
    expect(metrics.kl).toBeCloseTo((-0.25 - 0.25 + 0) / 3, 14)
    expect(metrics.kl_token).toBeCloseTo((0.5 - 1 - 0.25) / 3, 14)
    expect(metrics.coefficient).toBe(0.1)
  })

  test('a KL known already, rewards on tokens and a coefficient of its own give the same', () => {
    const left = klReward(algorithm, { rewards, logProbs, referenceLogProbs, mask, cuSeqlens, coefficient: 0.3 })
    const right = klReward(algorithm, {
      tokenRewards: Float64Array.of(0, 1, 7, -0.25),
      kl: Float64Array.of(0.5, -1, 50, -0.25),
      mask,
      cuSeqlens,
      coefficient: 0.3
    })
    left.tokenRewards.forEach((value, token) => expect(value).toBeCloseTo(right.tokenRewards[token] as number, 14))
    expect(left.metrics.kl).toBeCloseTo(right.metrics.kl, 14)
  })

  test('missing input is named', () => {
    expect(() => klReward(algorithm, { rewards, mask, cuSeqlens })).toThrow(/referenceLogProbs/)
    expect(() => klReward(algorithm, { kl: logProbs, mask, cuSeqlens })).toThrow(/rewards/)
    expect(() => klReward(algorithm, { rewards: rewards.with(1, NaN), kl: logProbs, mask, cuSeqlens })).toThrow(
      /rewards\[1\] is NaN/
    )
    expect(() => klReward(algorithm, { rewards, kl: logProbs, mask, cuSeqlens, coefficient: -1 })).toThrow(
      /coefficient is -1/
    )
  })
})

describe('AdaptiveKl', () => {
  test('rises above the target, falls below it, at most by the limit', () => {
    const controller = new AdaptiveKl({ coefficient: 0.04, horizon: 1000 })
    expect(controller.update(0.1, 64)).toBe(0.04)
    expect(controller.update(0.11, 64)).toBeCloseTo(0.04 * 1.0064, 15)
    const before = controller.coefficient
    expect(controller.update(90, 64)).toBeCloseTo(before * (1 + 0.2 * 0.064), 15)
    expect(new AdaptiveKl({ coefficient: 0.04 }).update(-3, 64)).toBeCloseTo(0.04 * (1 - (0.2 * 64) / 10000), 15)
    expect(new AdaptiveKl({ coefficient: 0.04, horizon: 1 }).update(-3, 64)).toBe(0)
  })

  test('steers a policy whose KL answers to the coefficient to its target', () => {
    const controller = new AdaptiveKl({ coefficient: 1, target: 0.1, horizon: 500 })
    for (let step = 0; step < 500; step++) controller.update(0.02 / controller.coefficient, 64)
    expect(0.02 / controller.coefficient).toBeCloseTo(0.1, 3)
  })

  test('numbers out of range are refused', () => {
    expect(() => new AdaptiveKl({ coefficient: 0.1, target: 0 })).toThrow(/"target" is 0/)
    expect(() => new AdaptiveKl({ coefficient: NaN })).toThrow(/"coefficient" is NaN/)
    expect(() => new AdaptiveKl({ coefficient: 0.1 }).update(NaN, 8)).toThrow(/observed is NaN/)
  })
})
