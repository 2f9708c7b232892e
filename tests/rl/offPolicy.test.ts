import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import {
  gammaWeights,
  importanceWeights,
  mismatchMetrics,
  offPolicyPresetNames,
  policyLoss,
  rejectionMask,
  resolveAlgorithm,
  resolveOffPolicy,
  type OffPolicyOptions,
  type RolloutInput
} from '../../src/rl/index.js'

interface Expected {
  mask: number[]
  advantages: number[]
  log_probs: number[]
  rollout_log_probs: number[]
  off_policy_keep: Record<string, number[]>
  gamma: { plain: number[]; importance_weights: number[]; corrected: number[] }
}

const expected = JSON.parse(
  readFileSync(new URL('./expected/off-policy.json', import.meta.url), 'utf8')
) as unknown as Expected

const mask = Uint8Array.from(expected.mask)
const cuSeqlens = Int32Array.of(0, 4, 8, 12, 16, 20)
const input: RolloutInput = {
  logProbs: Float64Array.from(expected.log_probs),
  rolloutLogProbs: Float64Array.from(expected.rollout_log_probs),
  advantages: Float64Array.from(expected.advantages),
  mask,
  cuSeqlens
}
const logRatios = Array.from(input.logProbs, (value, token) => value - (input.rolloutLogProbs[token] as number))

/** Log ratios of each completion's counted tokens. */
const rows = Array.from({ length: 5 }, (_, row) =>
  logRatios.slice(row * 4, row * 4 + 4).filter((_, token) => mask[row * 4 + token] === 1)
)
const sum = (values: number[]) => values.reduce((total, value) => total + value, 0)
const mean = (values: number[]) => (values.length > 0 ? sum(values) / values.length : 0)

const weigh = (importance: Record<string, unknown>, change: Partial<RolloutInput> = {}) =>
  importanceWeights(resolveOffPolicy({ importance }), { ...input, ...change })
const reject = (criterion: Record<string, unknown>, change: Partial<RolloutInput> = {}) =>
  rejectionMask(resolveOffPolicy({ rejection: [criterion] }), { ...input, ...change })

const closeTo = (actual: ArrayLike<number>, wanted: number[]) => {
  expect(actual).toHaveLength(wanted.length)
  wanted.forEach((value, index) => expect(actual[index]).toBeCloseTo(value, 12))
}

describe('importanceWeights', () => {
  test('without a bound: exp of each token’s log ratio, or of the completion’s sum; 0 where nothing counts', () => {
    closeTo(
      weigh({}).weights,
      logRatios.map((value, token) => (mask[token] === 1 ? Math.exp(value) : 0))
    )
    const result = weigh({ level: 'sequence' })
    closeTo(
      result.sequenceWeights ?? [],
      rows.map((row) => Math.exp(sum(row)))
    )
    result.weights.forEach((weight, token) =>
      expect(weight).toBe(mask[token] === 1 ? result.sequenceWeights?.[token >> 2] : 0)
    )
  })

  test('clip moves a weight to its bound, zero drops it; both count what lies outside', () => {
    const bounds = { low: 0.9, high: 1.1 }
    const clipped = weigh({ ...bounds, outside: 'clip' })
    const zeroed = weigh({ ...bounds, outside: 'zero' })
    let outside = 0
    logRatios.forEach((value, token) => {
      if (mask[token] === 0) return
      const raw = Math.exp(value)
      const inside = raw >= 0.9 && raw <= 1.1
      outside += inside ? 0 : 1
      expect(clipped.weights[token]).toBeCloseTo(Math.min(Math.max(raw, 0.9), 1.1), 12)
      expect(zeroed.weights[token]).toBeCloseTo(inside ? raw : 0, 12)
    })
    expect(outside).toBeGreaterThan(0)
    expect(zeroed.metrics.filter_ratio).toBeCloseTo(outside / 11, 12)
    expect(clipped.metrics.rollout_is_oob_ratio).toBeCloseTo(outside / 11, 12)
  })

  test('a gate by the geometric mean or by a divergence drops whole completions, the others keep token weights', () => {
    const geometric = weigh({ gate: 'geometric_mean', outside: 'zero', low: 0.9, high: 1.1 })
    rows.forEach((row, index) => {
      const inside = Math.abs(Math.exp(mean(row)) - 1) <= 0.1
      const first = geometric.weights[index * 4]
      if (row.length > 0) expect(first).toBeCloseTo(inside ? Math.exp(row[0] as number) : 0, 12)
    })
    const kept = weigh({ gate: 'total_variation_mean', outside: 'zero', high: 1 })
    closeTo(kept.weights, Array.from(weigh({}).weights))
    const dropped = weigh({ gate: 'binary_kl_mean', outside: 'zero', high: 0 })
    expect(dropped.metrics.filter_ratio).toBeCloseTo(0.8, 12)
    expect(dropped.weights.every((weight) => weight === 0)).toBe(true)
  })

  test('normalised weights have mean 1: over tokens, or over completions', () => {
    const tokens = weigh({ normalize: true, high: 1.2 })
    expect(sum(Array.from(tokens.weights)) / 11).toBeCloseTo(1, 12)
    const sequences = weigh({ level: 'sequence', normalize: true })
    const counted = [0, 1, 3, 4].map((row) => sequences.sequenceWeights?.[row] as number)
    expect(mean(counted)).toBeCloseTo(1, 12)
    expect(sequences.metrics.rollout_is_batch_norm_factor).not.toBe(1)
  })

  test('the same policy in training and rollout: every weight exactly 1, the effective sample size is the whole', () => {
    for (const preset of [
      'verl_decoupled_token_is',
      'verl_decoupled_seq_is',
      'trl_sequence_mask',
      'openrlhf_seq_mask'
    ]) {
      const result = importanceWeights(resolveOffPolicy(preset), { ...input, rolloutLogProbs: input.logProbs })
      result.weights.forEach((weight, token) => expect(weight).toBe(mask[token]))
      expect(result.metrics.rollout_is_eff_sample_size).toBeCloseTo(1, 7)
    }
  })

  test('a missing rollout log-prob is named, or counts as a ratio of 1', () => {
    const rolloutLogProbs = input.rolloutLogProbs.with(2, NaN)
    expect(() => weigh({}, { rolloutLogProbs })).toThrow(/rolloutLogProbs\[2\] is NaN.*ratio_one/)
    const spec = resolveOffPolicy('trl_token_mask')
    const result = importanceWeights(spec, { ...input, rolloutLogProbs })
    expect(result.weights[2]).toBe(1)
    expect(mismatchMetrics({ ...input, rolloutLogProbs }).missing).toBe(1)
    const infinite = input.rolloutLogProbs.with(2, -Infinity)
    expect(() => importanceWeights(spec, { ...input, rolloutLogProbs: infinite })).toThrow(/\[2\] is -Infinity/)
  })

  test('a weight beyond the range of numbers is an error, not an infinity', () => {
    const rolloutLogProbs = input.rolloutLogProbs.with(0, -1000)
    expect(() => weigh({}, { rolloutLogProbs })).toThrow(/importance weight of token 0 is Infinity/)
    expect(weigh({ high: 2 }, { rolloutLogProbs }).weights[0]).toBe(2)
    const limited = resolveOffPolicy({ logRatioLimit: 20, importance: {} })
    expect(importanceWeights(limited, { ...input, rolloutLogProbs }).weights[0]).toBeCloseTo(Math.exp(20), 3)
  })

  test('they weigh the policy loss as constants: the gradient is weight × that of each token', () => {
    const { weights } = weigh({ high: 1.05 })
    const algorithm = resolveAlgorithm('reinforce')
    const batch = { logProbs: input.logProbs, oldLogProbs: input.logProbs, mask, cuSeqlens }
    const advantages = input.advantages as Float64Array
    const plain = policyLoss(algorithm, { ...batch, advantages })
    const weighted = policyLoss(algorithm, { ...batch, advantages, importanceWeights: weights })
    closeTo(
      weighted.logProbGradients,
      Array.from(plain.logProbGradients, (gradient, token) => gradient * (weights[token] as number))
    )
  })
})

describe('rejectionMask', () => {
  test('tokens are judged one by one', () => {
    const result = reject({ statistic: 'ratio', level: 'token', low: 0.8, high: 1.25 })
    logRatios.forEach((value, token) => {
      const inside = Math.exp(value) >= 0.8 && Math.exp(value) <= 1.25
      expect(result.mask[token]).toBe(mask[token] === 1 && inside ? 1 : 0)
    })
    expect(result.keep[2]).toBe(1)
    expect(result.metrics.rollout_rs_masked_fraction).toBeGreaterThan(0)
  })

  test('completions by the sum, mean or maximum of their tokens', () => {
    const k3 = (row: number[]) => row.map((value) => Math.exp(value) - 1 - value)
    const statistics = {
      sequence_sum: (row: number[]) => sum(k3(row)),
      sequence_mean: (row: number[]) => mean(k3(row)),
      sequence_max: (row: number[]) => Math.max(0, ...k3(row))
    }
    for (const [level, of] of Object.entries(statistics)) {
      const ranked = rows.map(of)
      const high = [...ranked].sort((left, right) => left - right)[2] as number
      const result = reject({ statistic: 'k3', level, high: high * 1.0001 })
      expect(Array.from(result.keep)).toEqual(ranked.map((value) => (value <= high * 1.0001 ? 1 : 0)))
      expect(sum(Array.from(result.keep))).toBe(3)
      expect(result.metrics.rollout_rs_seq_masked_fraction).toBeCloseTo(0.4, 12)
      expect(result.metrics.criteria[0]?.seq_max).toBeCloseTo(Math.max(...ranked), 12)
    }
  })

  test('a ratio band and the same band of k1 agree, mirrored: r = exp(−k1)', () => {
    const ratio = reject({ statistic: 'ratio', level: 'sequence_mean', low: 0.95, high: 1.2 })
    const k1 = reject({ statistic: 'k1', level: 'sequence_mean', low: -Math.log(1.2), high: -Math.log(0.95) })
    expect(ratio.mask).toEqual(k1.mask)
    expect(ratio.keep.some((flag) => flag === 0)).toBe(true)
  })

  test('every criterion has to be met', () => {
    const token = { statistic: 'k2', level: 'token', high: 0.02 } as const
    const sequence = { statistic: 'k3', level: 'sequence_mean', high: 0.03 } as const
    const both = rejectionMask(resolveOffPolicy({ rejection: [token, sequence] }), input)
    const [left, right] = [reject(token), reject(sequence)]
    both.mask.forEach((flag, index) => expect(flag).toBe((left.mask[index] as number) & (right.mask[index] as number)))
    expect(both.metrics.criteria).toHaveLength(2)
  })

  test('off-policy sequence masking is TRL’s, at every threshold', () => {
    for (const [threshold, keep] of Object.entries(expected.off_policy_keep)) {
      const criterion = { statistic: 'k1', level: 'sequence_mean', high: Number(threshold), only_negative: true }
      expect(Array.from(reject(criterion).keep)).toEqual(keep)
    }
    expect(() => reject({ high: 1, onlyNegative: true }, { advantages: undefined })).toThrow(/advantages: needed/)
  })

  test('binary KL takes the larger direction, total variation the distance of the probabilities', () => {
    const batch = {
      logProbs: Float64Array.of(Math.log(0.5), Math.log(0.9)),
      rolloutLogProbs: Float64Array.of(Math.log(0.4), Math.log(0.1)),
      mask: undefined,
      advantages: undefined,
      cuSeqlens: Int32Array.of(0, 1, 2)
    }
    const kl = (p: number, q: number) => p * Math.log(p / q) + (1 - p) * Math.log((1 - p) / (1 - q))
    const binary = reject({ statistic: 'binary_kl', high: 0.1 }, batch)
    expect(Array.from(binary.mask)).toEqual([1, 0])
    expect(binary.metrics.criteria[0]?.min).toBeCloseTo(Math.max(kl(0.5, 0.4), kl(0.4, 0.5)), 12)
    const variation = reject({ statistic: 'total_variation', high: 0.1000001 }, batch)
    expect(Array.from(variation.mask)).toEqual([1, 0])
    expect(variation.metrics.criteria[0]?.max).toBeCloseTo(0.8, 12)
  })
})

describe('mismatchMetrics', () => {
  test('equal their definitions', () => {
    const metrics = mismatchMetrics(input)
    const all = rows.flat()
    expect(metrics.kl).toBeCloseTo(-mean(all), 12)
    expect(metrics.k3_kl).toBeCloseTo(mean(all.map((value) => Math.exp(value) - 1 - value)), 12)
    expect(metrics.chi2_token).toBeCloseTo(mean(all.map((value) => Math.exp(2 * value))) - 1, 12)
    expect(metrics.chi2_seq).toBeCloseTo(mean(rows.map((row) => Math.exp(2 * sum(row)))) - 1, 12)
    expect(metrics.ppl_ratio).toBeCloseTo(mean(rows.map((row) => Math.exp(-mean(row)))), 12)
    expect(metrics['sampling/sampling_logp_difference/max']).toBeCloseTo(Math.max(...all.map(Math.abs)), 12)
    expect(metrics.training_log_ppl - metrics.rollout_log_ppl).toBeCloseTo(metrics.log_ppl_diff, 12)
  })

  test('the same policy twice: nothing differs; no counted token: no NaN', () => {
    const same = mismatchMetrics({ ...input, rolloutLogProbs: input.logProbs })
    expect(same).toMatchObject({ kl: 0, k3_kl: 0, chi2_token: 0, chi2_seq: 0, log_ppl_diff: 0, ppl_ratio: 1 })
    for (const value of Object.values(mismatchMetrics({ ...input, mask: new Uint8Array(20) }))) {
      expect(value).toBeTypeOf('number')
      expect(value).not.toBeNaN()
    }
  })
})

describe('gammaWeights', () => {
  test('equal TRL’s, with and without importance weights', () => {
    const batch = {
      logProbs: input.logProbs,
      oldLogProbs: input.rolloutLogProbs,
      advantages: Float64Array.from(expected.advantages),
      mask,
      cuSeqlens
    }
    closeTo(gammaWeights({}, batch), expected.gamma.plain)
    const spec = { shapePositive: 1.5, ratePositive: 1, shapeNegative: 2.5, rateNegative: 0.5 }
    const weights = Float64Array.from(expected.gamma.importance_weights)
    closeTo(gammaWeights(spec, { ...batch, importanceWeights: weights }), expected.gamma.corrected)
    expect(() => gammaWeights({ shapePositive: 0 }, batch)).toThrow(/shapePositive is 0/)
  })
})

describe('resolveOffPolicy', () => {
  test('every preset is complete and runs', () => {
    for (const name of offPolicyPresetNames) {
      const spec = resolveOffPolicy(name)
      expect(spec.preset).toBe(name)
      if (spec.importance) expect(importanceWeights(spec, input).weights).toHaveLength(20)
      if (spec.rejection.length > 0) expect(rejectionMask(spec, input).mask).toHaveLength(20)
    }
    expect(resolveOffPolicy('verl_bypass_pg_geo_rs').oldLogProbs).toBe('rollout')
    expect(resolveOffPolicy('verl_decoupled_seq_is_rs').rejection[0]).toMatchObject({
      level: 'sequence_sum',
      low: -Math.LN2
    })
  })

  test('YAML’s spelling and TypeScript’s are the same; a part is completed', () => {
    const yaml = resolveOffPolicy({ log_ratio_limit: 20, rejection: [{ high: 0.1, only_negative: true }] })
    const typed = resolveOffPolicy({ logRatioLimit: 20, rejection: [{ high: 0.1, onlyNegative: true }] })
    expect(yaml).toEqual(typed)
    expect(yaml.rejection[0]).toEqual({ statistic: 'k3', level: 'token', low: null, high: 0.1, onlyNegative: true })
    expect(resolveOffPolicy({ importance: { high: 4 } }).importance).toMatchObject({ level: 'token', gate: 'weight' })
    expect(resolveOffPolicy({ preset: 'verl_decoupled_seq_is', importance: { high: 5 } }).importance).toMatchObject({
      level: 'sequence',
      high: 5
    })
  })

  test('what has no meaning is refused, with the nearest name or the cure', () => {
    const refusal = (options: OffPolicyOptions) => () => resolveOffPolicy(options)
    expect(refusal('opsn')).toThrow(/did you mean "opsm"/)
    expect(refusal({ importance: { levl: 'token' } })).toThrow(/"importance.levl"; did you mean "importance.level"/)
    expect(refusal({ rejection: [{ statistc: 'k1' }] })).toThrow(/"rejection\[0\].statistc"/)
    expect(refusal({ rejection: [{ statistic: 'k4', high: 1 }] })).toThrow(/"rejection.0.statistic" is "k4"/)
    expect(refusal({ rejection: [{}] })).toThrow(/rejects nothing/)
    expect(refusal({ importance: { low: 2, high: 1 } })).toThrow(/"importance.low" is above/)
    expect(refusal({ importance: { gate: 'binary_kl', outside: 'clip' } })).toThrow(/gate" must be weight/)
    expect(refusal({ rejection: [{ statistic: 'ratio', low: 0 }] })).toThrow(/above 0/)
    expect(() => importanceWeights(resolveOffPolicy('off'), input)).toThrow(/no importance weights/)
    expect(() => rejectionMask(resolveOffPolicy('off'), input)).toThrow(/rejects nothing/)
  })
})
