import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import {
  policyLoss,
  resolveAlgorithm,
  type AlgorithmOptions,
  type PolicyLoss,
  type PolicyLossInput
} from '../../src/rl/index.js'

interface TrlSettings {
  loss_type: string
  importance_sampling_level: 'token' | 'sequence'
  epsilon_low: number
  epsilon_high: number
  delta: number | null
  beta: number
  use_bias_correction_kl: boolean
  top_entropy_quantile: number
  off_policy_mask_threshold: number | null
  entropy_coef: number
  vespo_k_pos: number
  vespo_lambda_neg: number
  sapo_temperature_neg: number
}

interface TrlFile {
  inputs: Record<string, number[]>
  defaults: TrlSettings
  cases: Record<
    string,
    {
      settings: Partial<TrlSettings>
      loss: number
      log_prob_gradients: number[]
      entropy_gradients: number[] | null
      metrics: Record<string, number>
    }
  >
}

// Made by TRL's own trainers: scripts/golden/trl_losses.py.
const trl = JSON.parse(readFileSync(new URL('expected/trl-losses.json', import.meta.url), 'utf8')) as TrlFile
const trlPresets: Record<string, string> = {
  cispo: 'trl_cispo',
  sapo: 'trl_sapo',
  luspo: 'trl_luspo',
  vespo: 'trl_vespo',
  gmpo: 'trl_gmpo',
  dapo: 'trl_dapo'
}

function trlAlgorithm(settings: TrlSettings): AlgorithmOptions {
  const kind = settings.loss_type
  const bounds =
    kind === 'cispo'
      ? { ratio_cap: settings.epsilon_high }
      : { clip_low: settings.epsilon_low, clip_high: settings.epsilon_high, ratio_cap: settings.delta }
  return {
    preset: trlPresets[kind],
    ratio: settings.importance_sampling_level,
    loss: {
      ...bounds,
      temperature_negative: settings.sapo_temperature_neg,
      gamma_weight: { shape_positive: settings.vespo_k_pos, rate_negative: settings.vespo_lambda_neg },
      off_policy_threshold: settings.off_policy_mask_threshold
    },
    kl: { coefficient: settings.beta },
    entropy: { coefficient: settings.entropy_coef, top_quantile: settings.top_entropy_quantile }
  }
}

const trlInput: PolicyLossInput = {
  logProbs: Float64Array.from(trl.inputs.log_probs!),
  oldLogProbs: Float64Array.from(trl.inputs.old_log_probs!),
  referenceLogProbs: Float64Array.from(trl.inputs.reference_log_probs!),
  rolloutLogProbs: Float64Array.from(trl.inputs.rollout_log_probs!),
  entropies: Float64Array.from(trl.inputs.entropies!),
  mask: Uint8Array.from(trl.inputs.mask!),
  advantages: Float64Array.from(trl.inputs.advantages!),
  cuSeqlens: Int32Array.of(0, 5, 10, 15, 20)
}

const trlMetrics: Record<string, keyof PolicyLoss['metrics']> = {
  kl: 'kl',
  cispo_clip_ratio: 'clip_ratio/high_mean',
  policy_loss: 'policy_loss',
  'vespo/phi_seq_mean': 'vespo/phi_seq_mean',
  'clip_ratio/low_mean': 'clip_ratio/low_mean',
  'clip_ratio/high_mean': 'clip_ratio/high_mean',
  'clip_ratio/low_min': 'clip_ratio/low_min',
  'clip_ratio/high_max': 'clip_ratio/high_max'
}

function close(actual: ArrayLike<number>, expected: ArrayLike<number>): void {
  expect(actual.length).toBe(expected.length)
  for (let index = 0; index < expected.length; index++) {
    const limit = 1e-10 * (1 + Math.abs(expected[index]!))
    expect(Math.abs(actual[index]! - expected[index]!), `index ${index}`).toBeLessThanOrEqual(limit)
  }
}

describe('losses of TRL', () => {
  for (const [name, { settings, ...expected }] of Object.entries(trl.cases)) {
    test(name, () => {
      const result = policyLoss(resolveAlgorithm(trlAlgorithm({ ...trl.defaults, ...settings })), trlInput)
      close([result.loss], [expected.loss])
      close(result.logProbGradients, expected.log_prob_gradients)
      if (expected.entropy_gradients) close(result.entropyGradients!, expected.entropy_gradients)
      let compared = 0
      for (const [theirs, value] of Object.entries(expected.metrics)) {
        const ours = trlMetrics[theirs]
        if (ours === undefined) continue
        expect(Math.abs(result.metrics[ours]! - value), theirs).toBeLessThan(1e-6)
        compared++
      }
      if (settings.loss_type !== 'sapo' || settings.beta) expect(compared).toBeGreaterThan(0)
    })
  }
})

/** A batch of five completions, one of them empty, with masked tokens. */
const cuSeqlens = Int32Array.of(0, 4, 4, 9, 10, 13)
const mask = Uint8Array.of(1, 1, 1, 0, 1, 1, 0, 1, 1, 1, 1, 0, 1)
const wave = (shift: number, scale: number) =>
  Float64Array.from({ length: 13 }, (_, index) => -1.5 + scale * Math.sin(index * 2.3 + shift))

function batch(spread: number): PolicyLossInput {
  const shift = wave(4, spread)
  return {
    logProbs: wave(1, 1.1),
    oldLogProbs: wave(1, 1.1).map((value, index) => value + shift[index]! + 1.5),
    referenceLogProbs: wave(2, 1),
    entropies: wave(3, 1).map((value) => value + 3),
    importanceWeights: wave(5, 0.4).map((value) => value + 2.5),
    advantages: Float64Array.of(1.2, -0.4, -0.9, 0.3, -1.7),
    mask,
    cuSeqlens,
    maxTokens: 16
  }
}

/** Largest difference between the gradient and central differences. `frozen`: the ratio is held, as a constant weight is. */
function gradientError(options: AlgorithmOptions, input: PolicyLossInput, frozen = false): number {
  const algorithm = resolveAlgorithm(options)
  const { logProbGradients } = policyLoss(algorithm, input)
  const step = 1e-6
  let worst = 0
  for (let token = 0; token < 13; token++) {
    const at = (shift: number) => {
      const moved = (values: PolicyLossInput['logProbs']) => values.with(token, values[token]! + shift)
      const change = { logProbs: moved(input.logProbs) }
      return policyLoss(algorithm, {
        ...input,
        ...change,
        ...(frozen ? { oldLogProbs: moved(input.oldLogProbs) } : {})
      }).loss
    }
    worst = Math.max(worst, Math.abs((at(step) - at(-step)) / (2 * step) - logProbGradients[token]!))
  }
  return worst
}

const kl = { coefficient: 0.3 }

describe('gradients equal central differences', () => {
  const whole: Record<string, AlgorithmOptions> = {
    sapo: 'sapo',
    'sapo of sequences': { preset: 'sapo', ratio: 'sequence', kl },
    luspo: { preset: 'luspo', loss: { clip_low: 0.2, clip_high: 0.2 } },
    gmpo: 'gmpo',
    'gmpo with close bounds and KL': { preset: 'gmpo', loss: { clip_low: 0.05, clip_high: 0.1 }, kl },
    'verl_gmpo, high entropy': { preset: 'verl_gmpo', entropy: { top_quantile: 0.5 } },
    dro: { preset: 'dro', loss: { quadratic_coefficient: 0.7 }, kl },
    kl_cov: { preset: 'kl_cov', loss: { covariance: { share: 0.4, kl_coefficient: 0.6 } } },
    clip_cov: { preset: 'clip_cov', loss: { covariance: { share: 1, low: 0.02, high: 0.8 } } },
    'rejection by ratio': { preset: 'dapo', loss: { keep_ratio_low: 0.8, keep_ratio_high: 1.2 } },
    'off-policy mask': { preset: 'dapo', loss: { off_policy_threshold: 0.01 } },
    'high entropy': { preset: 'dapo', entropy: { top_quantile: 0.4, coefficient: 0.2 }, kl }
  }
  for (const [name, options] of Object.entries(whole)) {
    test(name, () => {
      expect(gradientError(options, batch(0.2))).toBeLessThan(1e-8)
      expect(gradientError(options, batch(1))).toBeLessThan(1e-8)
    })
  }

  const weighted: Record<string, AlgorithmOptions> = {
    cispo: 'cispo',
    cispo_absolute: { preset: 'cispo_absolute', loss: { ratio_cap: 1.3 } },
    'cispo of sequences': { preset: 'cispo', ratio: 'sequence' },
    verl_cispo: 'verl_cispo',
    vespo: 'vespo',
    dppo: 'dppo',
    dppo_kl: 'dppo_kl',
    verl_bypass_reinforce: 'verl_bypass_reinforce',
    gpg: 'gpg'
  }
  for (const [name, options] of Object.entries(weighted)) {
    test(`${name}, its weight held`, () => {
      expect(gradientError(options, batch(0.2), true)).toBeLessThan(1e-8)
      expect(gradientError(options, batch(1), true)).toBeLessThan(1e-8)
    })
  }

  test('gspo_token has the gradient of gspo where a completion has one advantage', () => {
    const options = { loss: { clip_low: 0.2, clip_high: 0.2 } }
    const input = { ...batch(0.2), importanceWeights: undefined }
    const joint = policyLoss(resolveAlgorithm({ preset: 'gspo', ...options }), input)
    const own = policyLoss(resolveAlgorithm({ preset: 'gspo_token', ...options }), input)
    close(own.logProbGradients, joint.logProbGradients)
    expect(own.loss).toBeCloseTo(joint.loss, 12)
  })
})

interface Token {
  logProb: number
  old: number
  ratio: number
  advantage: number
  weight: number
}

/** The counted tokens, and the mean over them of a formula. */
function tokensOf(input: PolicyLossInput): Token[] {
  const result: Token[] = []
  for (let row = 0; row < 5; row++) {
    for (let token = cuSeqlens[row]!; token < cuSeqlens[row + 1]!; token++) {
      if (mask[token] === 0) continue
      const logProb = input.logProbs[token]!
      const old = input.oldLogProbs[token]!
      result.push({
        logProb,
        old,
        ratio: Math.exp(logProb - old),
        advantage: input.advantages[row]!,
        weight: input.importanceWeights?.[token] ?? 1
      })
    }
  }
  return result
}
const meanOf = (tokens: Token[], formula: (token: Token) => number) =>
  tokens.reduce((sum, token) => sum + formula(token), 0) / tokens.length
const clipped = ({ ratio, advantage }: Token) =>
  Math.max(-ratio * advantage, -Math.min(Math.max(ratio, 0.8), 1.2) * advantage)

describe('losses equal a plain reading of their formula', () => {
  const lossOf = (options: AlgorithmOptions, input: PolicyLossInput) => policyLoss(resolveAlgorithm(options), input)

  test('dppo: stops a token whose probability moved too far the way its advantage pushes', () => {
    const input = batch(1)
    const formula = ({ logProb, old, ratio, advantage, weight }: Token) => {
      const change = Math.exp(logProb) - Math.exp(old)
      const stopped = advantage > 0 ? change > 0.03 : change < -0.02
      return stopped ? 0 : -advantage * Math.min(ratio, 1.5) * logProb * weight
    }
    const result = lossOf({ preset: 'dppo', loss: { clip_low: 0.02, clip_high: 0.03, ratio_cap: 1.5 } }, input)
    expect(result.loss).toBeCloseTo(meanOf(tokensOf(input), formula), 12)
    expect(result.metrics['clip_ratio/region_mean']).toBeGreaterThan(0)
    expect(result.metrics['clip_ratio/region_mean']).toBeLessThan(1)
  })

  test('dppo_kl: the same by the KL of "this token or another"', () => {
    const input = batch(1)
    const formula = ({ logProb, old, ratio, advantage, weight }: Token) => {
      const before = Math.exp(old)
      const now = Math.exp(logProb)
      const divergence = before * (old - logProb) + (1 - before) * Math.log((1 - before) / (1 - now))
      const stopped = divergence > 0.01 && (advantage > 0 ? now > before : now < before)
      return stopped ? 0 : -advantage * ratio * logProb * weight
    }
    const result = lossOf({ preset: 'dppo_kl', loss: { clip_low: 0.01, clip_high: 0.01 } }, input)
    expect(result.loss).toBeCloseTo(meanOf(tokensOf(input), formula), 12)
    expect(result.metrics['clip_ratio/region_mean']).toBeGreaterThan(0)
  })

  test('dro', () => {
    const input = batch(1)
    const formula = ({ logProb, old, advantage, weight }: Token) =>
      weight * (-advantage * logProb + (0.7 / 2) * (logProb - old) ** 2)
    const result = lossOf({ preset: 'dro', loss: { quadratic_coefficient: 0.7 } }, input)
    expect(result.loss).toBeCloseTo(meanOf(tokensOf(input), formula), 12)
  })

  const covarianceOf = (tokens: Token[]) => {
    const advantage = meanOf(tokens, (token) => token.advantage)
    const logProb = meanOf(tokens, (token) => token.logProb)
    return (token: Token) => (token.advantage - advantage) * (token.logProb - logProb)
  }

  test('kl_cov: the tokens of largest covariance are held at their old log-prob', () => {
    const input = batch(1)
    const tokens = tokensOf(input)
    const covariance = covarianceOf(tokens)
    const held = new Set([...tokens].sort((left, right) => covariance(right) - covariance(left)).slice(0, 4))
    const formula = (token: Token) =>
      token.weight *
      (-token.advantage * token.ratio + (held.has(token) ? 0.6 * Math.abs(token.logProb - token.old) : 0))
    const result = lossOf({ preset: 'kl_cov', loss: { covariance: { share: 0.4, kl_coefficient: 0.6 } } }, input)
    expect(result.loss).toBeCloseTo(meanOf(tokens, formula), 12)
    expect(result.metrics['covariance/selected_mean']).toBe(0.4)
  })

  test('clip_cov: candidates are between the bounds and not clipped; the given order says which go', () => {
    const input = batch(0.2)
    const tokens = tokensOf(input)
    const covariance = covarianceOf(tokens)
    const candidates = tokens.filter(
      (token) =>
        covariance(token) > 0.02 &&
        covariance(token) < 0.8 &&
        !(token.advantage > 0 ? token.ratio > 1.2 : token.ratio < 0.8)
    )
    expect(candidates.length).toBeGreaterThan(2)
    const options = { preset: 'clip_cov', loss: { covariance: { share: 0.2, low: 0.02, high: 0.8 } } }
    const order = Int32Array.from(candidates.keys()).reverse()
    const gone = new Set(candidates.slice(-2))
    const formula = (token: Token) => (gone.has(token) ? 0 : clipped(token) * token.weight)
    const result = lossOf(options, { ...input, candidateOrder: order })
    expect(result.loss).toBeCloseTo(meanOf(tokens, formula), 12)
    expect(result.metrics['covariance/selected_mean']).toBe(0.2)

    const drawn = lossOf(options, input)
    expect(drawn.metrics['covariance/selected_mean']).toBe(0.2)
    expect(lossOf(options, input)).toEqual(drawn)
    const wrong = (candidateOrder: Int32Array) => () => lossOf(options, { ...input, candidateOrder })
    expect(wrong(order.slice(1))).toThrow(/candidateOrder: expected a permutation of the \d+ candidates/)
    expect(wrong(order.fill(0))).toThrow(/candidateOrder.*0 at index 1/)
  })

  test('cispo: two conventions of the bound', () => {
    const input = { ...batch(1), importanceWeights: undefined }
    const tokens = tokensOf(input)
    const below = (limit: number) =>
      meanOf(tokens, ({ ratio, advantage, logProb }) => -Math.min(ratio, limit) * advantage * logProb)
    expect(lossOf({ preset: 'cispo', loss: { clip_high: 0.1 } }, input).loss).toBeCloseTo(below(1.1), 12)
    expect(lossOf({ preset: 'cispo_absolute', loss: { ratio_cap: 1.1 } }, input).loss).toBeCloseTo(below(1.1), 12)
    expect(lossOf('cispo', input).metrics['clip_ratio/bound_mean']).toBeGreaterThan(0)
  })

  test('a rejected token does not count, in no divisor', () => {
    const input = { ...batch(1), importanceWeights: undefined }
    const kept = tokensOf(input).filter(({ ratio }) => ratio >= 0.7 && ratio <= 1.4)
    expect(kept.length).toBeLessThan(10)
    const result = lossOf(
      { preset: 'dapo', loss: { clip_high: 0.2, keep_ratio_low: 0.7, keep_ratio_high: 1.4 } },
      input
    )
    expect(result.loss).toBeCloseTo(meanOf(kept, clipped), 12)
    expect(result.metrics.tokens).toBe(kept.length)
  })

  test('the off-policy mask reads NaN as unknown and defaults to the old log-probs', () => {
    const input = { ...batch(0.2), oldLogProbs: batch(0.2).logProbs.map((value) => value + 0.05) }
    const options = (threshold: number) => ({ preset: 'dapo', loss: { off_policy_threshold: threshold } })
    const off = lossOf(options(0.04), input).logProbGradients
    expect(off[4]).toBe(0)
    expect(off[0]).not.toBe(0)
    expect(lossOf(options(0.06), input).logProbGradients[4]).not.toBe(0)
    const rolloutLogProbs = new Float64Array(13).fill(NaN)
    expect(lossOf(options(0.04), { ...input, rolloutLogProbs }).logProbGradients[4]).not.toBe(0)
  })

  test('on-policy, every kind has the gradient of plain policy gradient', () => {
    const input = { ...batch(0.2), importanceWeights: undefined }
    input.oldLogProbs = input.logProbs
    const plain = lossOf('gpg', input).logProbGradients
    for (const preset of ['dapo', 'cispo', 'cispo_absolute', 'sapo', 'vespo', 'dppo', 'dppo_kl', 'dro', 'kl_cov']) {
      const { logProbGradients } = lossOf({ preset, aggregation: 'token_mean' }, input)
      close(logProbGradients, plain)
    }
  })

  test('no counted token: 0, never NaN', () => {
    const empty = { ...batch(1), mask: new Uint8Array(13), advantages: new Float64Array(5) }
    for (const preset of [
      'cispo',
      'sapo',
      'luspo',
      'vespo',
      'gmpo',
      'verl_gmpo',
      'dppo',
      'dro',
      'clip_cov',
      'kl_cov'
    ]) {
      const result = lossOf({ preset, entropy: { top_quantile: 0.5, coefficient: 0.1 } }, empty)
      expect(Object.is(Math.abs(result.loss), 0), preset).toBe(true)
      expect(Array.from(result.logProbGradients).every((value) => value === 0)).toBe(true)
      for (const value of Object.values(result.metrics)) expect(Number.isFinite(value)).toBe(true)
    }
  })

  test('an impossible token made likely: no NaN where its advantage is 0', () => {
    const input = { ...batch(0.2), oldLogProbs: new Float64Array(13).fill(-1000), advantages: new Float64Array(5) }
    for (const preset of ['dapo', 'gspo', 'cispo', 'sapo', 'vespo', 'gmpo', 'dppo', 'kl_cov', 'clip_cov']) {
      const result = lossOf(preset, input)
      expect(Number.isFinite(result.loss), preset).toBe(true)
      expect(Array.from(result.logProbGradients).every((value) => Number.isFinite(value))).toBe(true)
    }
  })

  test('Float32Array agrees with Float64Array on the same numbers', () => {
    const names = [
      'logProbs',
      'oldLogProbs',
      'referenceLogProbs',
      'entropies',
      'importanceWeights',
      'advantages'
    ] as const
    const single = batch(1)
    const double = batch(1)
    for (const name of names) single[name] = Float32Array.from(single[name]!)
    for (const name of names) double[name] = Float64Array.from(single[name]!)
    for (const preset of ['cispo', 'sapo', 'vespo', 'gmpo', 'dppo', 'dppo_kl', 'dro', 'kl_cov']) {
      const left = lossOf(preset, single)
      const right = lossOf(preset, double)
      // f32 arithmetic: 1e-5 (1 + |value|) of the f64 formulas on the same numbers.
      expect(Math.abs(left.loss - right.loss), preset).toBeLessThan(1e-5 * (1 + Math.abs(right.loss)))
      left.logProbGradients.forEach((value, token) => {
        const expected = right.logProbGradients[token]!
        expect(Math.abs(value - expected), `${preset} ${token}`).toBeLessThan(1e-5 * (1 + Math.abs(expected)))
      })
    }
  })

  test('combinations without meaning are refused', () => {
    expect(() => resolveAlgorithm({ preset: 'dppo', ratio: 'sequence' })).toThrow(/loss.kind/)
    expect(() => resolveAlgorithm({ preset: 'gmpo', loss: { clip_low: null } })).toThrow(/clip_low/)
    expect(() => resolveAlgorithm({ loss: { keep_ratio_low: 2, keep_ratio_high: 1 } })).toThrow(/keep_ratio_low/)
    expect(() => resolveAlgorithm({ preset: 'clip_cov', loss: { covariance: { low: 6 } } })).toThrow(/covariance.low/)
    expect(() => resolveAlgorithm({ preset: 'sapo', loss: { temperature_positive: 0 } })).toThrow(
      /temperature_positive/
    )
    expect(() => lossOf({ entropy: { top_quantile: 0.5 } }, { ...batch(1), entropies: undefined })).toThrow(/entropies/)
  })
})
