import { describe, expect, test } from 'vitest'
import { policyLoss, resolveAlgorithm, type AlgorithmOptions, type PolicyLossInput } from '../../src/rl/index.js'
import { stream } from './stream.js'

const cuSeqlens = Int32Array.of(0, 4, 4, 9, 10, 13)
const mask = Uint8Array.of(1, 1, 1, 0, 1, 1, 0, 1, 1, 1, 1, 0, 1)

function batch(spread: number): PolicyLossInput {
  const random = stream(7)
  const draw = (scale: number) => Float64Array.from({ length: 13 }, () => -2 + scale * (random() - 0.5))
  const logProbs = draw(spread)
  return {
    logProbs,
    oldLogProbs: draw(spread),
    referenceLogProbs: draw(spread),
    entropies: draw(1).map((value) => value + 4),
    advantages: Float64Array.of(1.2, -0.4, -0.9, 0.3, -1.7),
    mask,
    cuSeqlens,
    maxTokens: 16
  }
}

/** Largest difference between the gradient and central differences of the loss. */
function gradientError(options: AlgorithmOptions, input: PolicyLossInput): number {
  const algorithm = resolveAlgorithm(options)
  const { logProbGradients } = policyLoss(algorithm, input)
  const step = 1e-6
  let worst = 0
  for (let token = 0; token < 13; token++) {
    const at = (shift: number) => {
      const logProbs = input.logProbs.slice()
      logProbs[token] = logProbs[token] + shift
      return policyLoss(algorithm, { ...input, logProbs }).loss
    }
    const slope = (at(step) - at(-step)) / (2 * step)
    worst = Math.max(worst, Math.abs(slope - logProbGradients[token]))
  }
  return worst
}

const kl = { coefficient: 0.3 }
const differentiable: Record<string, AlgorithmOptions> = {
  grpo: 'grpo',
  'grpo with k3': { preset: 'grpo', kl },
  'grpo with k3 times ratio': { preset: 'grpo', kl: { ...kl, ratio_weighted: true } },
  'grpo with k2': { preset: 'grpo', kl: { ...kl, kind: 'k2' } },
  'grpo with k1': { preset: 'grpo', kl: { ...kl, kind: 'k1' } },
  'grpo with |d|': { preset: 'grpo', kl: { ...kl, kind: 'absolute' } },
  dapo: 'dapo',
  dr_grpo: 'dr_grpo',
  'entropy bonus': { preset: 'dapo', entropy: { coefficient: 0.1 } },
  'dual clip': { preset: 'dapo', loss: { dual_clip: 1.1 } },
  'ratio cap': { preset: 'dapo', loss: { ratio_cap: 1.05 } },
  'sum per sequence': { preset: 'grpo', aggregation: 'sequence_mean_token_sum' },
  sum: { preset: 'grpo', aggregation: 'token_sum' },
  gspo: { preset: 'gspo', loss: { clip_low: 0.2, clip_high: 0.2 } },
  'gspo with k3 times ratio': { preset: 'trl_gspo', kl: { ...kl, ratio_weighted: true } },
  trl_rloo: 'trl_rloo',
  rloo: 'rloo'
}

describe('policyLoss', () => {
  for (const [name, options] of Object.entries(differentiable)) {
    test(`gradient equals central differences: ${name}`, () => {
      expect(gradientError(options, batch(0.5))).toBeLessThan(1e-8)
      expect(gradientError(options, batch(3))).toBeLessThan(1e-6)
    })
  }

  test('equals a plain reading of the formula: clip, KL k3, mean over tokens', () => {
    const input = batch(1)
    let loss = 0
    let kl3 = 0
    let count = 0
    for (let row = 0; row < 5; row++) {
      for (let token = cuSeqlens[row]; token < cuSeqlens[row + 1]; token++) {
        if (mask[token] === 0) continue
        const logProb = input.logProbs[token]
        const advantage = input.advantages[row]
        const ratio = Math.exp(logProb - input.oldLogProbs[token])
        const clipped = Math.min(Math.max(ratio, 0.8), 1.28)
        const difference = (input.referenceLogProbs?.[token] as number) - logProb
        kl3 += Math.exp(difference) - difference - 1
        loss -= Math.min(ratio * advantage, clipped * advantage)
        count++
      }
    }
    const result = policyLoss(resolveAlgorithm({ preset: 'dapo', kl: { coefficient: 0.04 } }), input)
    expect(result.loss).toBeCloseTo((loss + 0.04 * kl3) / count, 12)
    expect(result.metrics.kl).toBeCloseTo(kl3 / count, 12)
    expect(result.metrics).toMatchObject({ tokens: 10, sequences: 5 })
  })

  test('on-policy the ratio is exactly 1 and the gradient is that of plain policy gradient', () => {
    const input = batch(1)
    input.oldLogProbs = input.logProbs
    const result = policyLoss(resolveAlgorithm('dapo'), input)
    expect(result.metrics['ratio/mean']).toBe(1)
    expect(result.metrics['ratio/max']).toBe(1)
    expect(result.metrics['clip_ratio/region_mean']).toBe(0)
    expect(result.logProbGradients[0]).toBeCloseTo(-1.2 / 10, 14)
    expect(result.logProbGradients[3]).toBe(0)
  })

  test('parts of an optimizer batch add up to the whole', () => {
    for (const preset of ['grpo', 'dapo', 'dr_grpo', 'gspo', 'verl_grpo', 'trl_rloo', 'reinforce']) {
      const algorithm = resolveAlgorithm({ preset, kl: { coefficient: 0.1, in_reward: false } })
      const whole = policyLoss(algorithm, batch(1))
      const parts = [
        { rows: [0, 3], tokens: [0, 9] },
        { rows: [3, 5], tokens: [9, 13] }
      ].map(({ rows, tokens }) => {
        const input = batch(1)
        return policyLoss(algorithm, {
          logProbs: input.logProbs.slice(...tokens),
          oldLogProbs: input.oldLogProbs.slice(...tokens),
          referenceLogProbs: input.referenceLogProbs?.slice(...tokens),
          advantages: input.advantages.slice(...rows),
          mask: mask.slice(...tokens),
          cuSeqlens: cuSeqlens.slice(rows[0], rows[1] + 1).map((value) => value - tokens[0]),
          maxTokens: 16,
          batchTokens: whole.metrics.tokens,
          batchSequences: whole.metrics.sequences
        })
      })
      expect(parts.reduce((sum, part) => sum + part.loss, 0)).toBeCloseTo(whole.loss, 12)
      const gradients = parts.flatMap((part) => Array.from(part.logProbGradients))
      gradients.forEach((value, token) => expect(value).toBeCloseTo(whole.logProbGradients[token], 12))
    }
  })

  test('a clipped token teaches nothing, and is counted', () => {
    const input = {
      logProbs: Float64Array.of(0, 0, 0),
      oldLogProbs: Float64Array.of(-1, 0, 1),
      advantages: Float64Array.of(1, 1, -1),
      cuSeqlens: Int32Array.of(0, 1, 2, 3)
    }
    const result = policyLoss(resolveAlgorithm('dapo'), input)
    expect(Array.from(result.logProbGradients)).toEqual([0, -1 / 3, 0])
    expect(result.metrics['clip_ratio/high_mean']).toBeCloseTo(1 / 3, 14)
    expect(result.metrics['clip_ratio/low_mean']).toBeCloseTo(1 / 3, 14)
  })

  test('an empty batch and completions without a counted token give 0, never NaN', () => {
    for (const preset of ['grpo', 'dapo', 'dr_grpo', 'verl_grpo', 'gspo']) {
      const result = policyLoss(resolveAlgorithm(preset), { ...batch(1), mask: new Uint8Array(13) })
      expect(result.loss).toBe(0)
      expect(Array.from(result.logProbGradients).every((value) => value === 0)).toBe(true)
    }
  })

  test('Float32Array agrees with Float64Array on the same numbers', () => {
    const single = batch(1)
    for (const name of ['logProbs', 'oldLogProbs', 'advantages'] as const)
      single[name] = Float32Array.from(single[name])
    const double = { ...single }
    for (const name of ['logProbs', 'oldLogProbs', 'advantages'] as const)
      double[name] = Float64Array.from(single[name])
    const left = policyLoss(resolveAlgorithm('grpo'), single)
    const right = policyLoss(resolveAlgorithm('grpo'), double)
    expect(left.logProbGradients).toBeInstanceOf(Float32Array)
    // Its arithmetic is f32 too: 1e-5 (1 + |value|) of the f64 formulas on the same numbers.
    expect(Math.abs(left.loss - right.loss)).toBeLessThan(1e-5 * (1 + Math.abs(right.loss)))
    left.logProbGradients.forEach((value, token) => {
      const expected = right.logProbGradients[token]!
      expect(Math.abs(value - expected)).toBeLessThan(1e-5 * (1 + Math.abs(expected)))
    })
  })

  test('wrong input is named', () => {
    const loss = (options: AlgorithmOptions, change: Partial<PolicyLossInput>) => () =>
      policyLoss(resolveAlgorithm(options), { ...batch(1), ...change })
    expect(loss('grpo', { logProbs: batch(1).logProbs.with(4, NaN) })).toThrow(/logProbs\[4\] is NaN/)
    expect(loss('grpo', { oldLogProbs: new Float64Array(3) })).toThrow(/oldLogProbs: expected 13/)
    expect(loss({ kl }, { referenceLogProbs: undefined })).toThrow(/referenceLogProbs/)
    expect(loss({ entropy: { coefficient: 1 } }, { entropies: undefined })).toThrow(/entropies/)
    expect(loss('dr_grpo', { maxTokens: undefined })).toThrow(/maxTokens/)
    expect(loss('grpo', { cuSeqlens: Int32Array.of(0, 9, 4, 13) })).toThrow(/advantages|cuSeqlens/)
  })
})
