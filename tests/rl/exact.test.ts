import { describe, expect, test } from 'vitest'
import { exactObjective, exactTokenGradients, resolveAlgorithm, type ExactInput } from '../../src/rl/index.js'

const input: ExactInput = {
  choiceLogProbs: Float64Array.of(-0.7, -1.9, -3, -0.2, -2.5),
  referenceChoiceLogProbs: Float64Array.of(-1, -1.2, -2, -0.9, -1.1),
  rewards: Float64Array.of(1, 0, 0.5, 0, 1),
  groupOffsets: Int32Array.of(0, 3, 5)
}

function gradientError(options: Parameters<typeof resolveAlgorithm>[0], scored?: Uint8Array): number {
  const algorithm = resolveAlgorithm(options)
  const { choiceGradients } = exactObjective(algorithm, { ...input, scored })
  let worst = 0
  for (let choice = 0; choice < 5; choice++) {
    const at = (shift: number) => {
      const choiceLogProbs = input.choiceLogProbs.slice()
      choiceLogProbs[choice] = choiceLogProbs[choice] + shift
      return exactObjective(algorithm, { ...input, choiceLogProbs, scored }).loss
    }
    const slope = (at(1e-6) - at(-1e-6)) / 2e-6
    worst = Math.max(worst, Math.abs(slope - choiceGradients[choice]))
  }
  return worst
}

describe('exactObjective', () => {
  test('two answers: the gradient is π(1-π) times the difference of the rewards', () => {
    const result = exactObjective(resolveAlgorithm('exact'), {
      choiceLogProbs: Float64Array.of(Math.log(0.3), Math.log(0.1)),
      rewards: Float64Array.of(1, 0),
      groupOffsets: Int32Array.of(0, 2)
    })
    expect(result.metrics.reward).toBeCloseTo(0.75, 14)
    expect(result.metrics.choice_mass).toBeCloseTo(0.4, 14)
    expect(result.loss).toBeCloseTo(-0.75, 14)
    expect(Array.from(result.choiceGradients)).toEqual([expect.closeTo(-0.1875, 14), expect.closeTo(0.1875, 14)])
  })

  test('gradient equals central differences: softmax, raw, KL, entropy, unscored answers', () => {
    expect(gradientError('exact')).toBeLessThan(1e-9)
    expect(gradientError({ preset: 'exact', kl: { coefficient: 0.2 } })).toBeLessThan(1e-9)
    expect(gradientError({ preset: 'exact', entropy: { coefficient: 0.3 } })).toBeLessThan(1e-9)
    expect(gradientError({ preset: 'exact', advantage: { exact_weights: 'raw', baseline: 'none' } })).toBeLessThan(1e-9)
    expect(gradientError('exact', Uint8Array.of(1, 0, 1, 1, 1))).toBeLessThan(1e-9)
  })

  test('unscored answers and groups of equal rewards have gradient exactly 0', () => {
    const scored = Uint8Array.of(1, 0, 1, 0, 1)
    const result = exactObjective(resolveAlgorithm('exact'), { ...input, scored })
    expect(result.choiceGradients[1]).toBe(0)
    expect(result.choiceGradients[3]).toBe(0)
    expect(result.choiceGradients[4]).toBe(0)
    expect(result.metrics).toMatchObject({ unscored: 2, dead_groups: 1, scored_groups: 2, frac_reward_zero_std: 0.5 })
  })

  test('equals the mean of many sampled REINFORCE gradients, computed without sampling', () => {
    const { probabilities, choiceGradients } = exactObjective(resolveAlgorithm('exact'), input)
    // E over c of (r(c) - J) d log π(c) / d l(k), written out for the first prompt.
    const p = Array.from(probabilities.subarray(0, 3))
    const r = Array.from(input.rewards.subarray(0, 3))
    const expected = p.reduce((sum, value, choice) => sum + value * r[choice], 0)
    for (let k = 0; k < 3; k++) {
      let gradient = 0
      for (let c = 0; c < 3; c++) {
        const score = (c === k ? 1 : 0) - p[k]
        gradient -= p[c] * (r[c] - expected) * score
      }
      expect(choiceGradients[k]).toBeCloseTo(gradient / 2, 13)
    }
  })

  test('each token of an answer carries the answer’s coefficient', () => {
    const gradients = exactTokenGradients(Float64Array.of(0.5, -0.25), Int32Array.of(0, 2, 5))
    expect(Array.from(gradients)).toEqual([0.5, 0.5, -0.25, -0.25, -0.25])
  })

  test('a reference is asked for where a KL needs it', () => {
    const algorithm = resolveAlgorithm({ preset: 'exact', kl: { coefficient: 0.1 } })
    expect(() => exactObjective(algorithm, { ...input, referenceChoiceLogProbs: undefined })).toThrow(
      /referenceChoiceLogProbs/
    )
  })
})
