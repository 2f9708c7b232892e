import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { isAdjudgeError } from '../../src/errors.js'
import {
  preferenceLoss,
  preferencePresetNames,
  resolvePreference,
  type Preference,
  type PreferenceBatch,
  type PreferenceOptions
} from '../../src/rl/index.js'
import { stream } from './stream.js'

interface Batch {
  lengths: number[]
  log_probs: number[][]
  reference_log_probs: number[][]
  desirable: number[]
  mismatched_log_probs: number[]
  mismatched_reference_log_probs: number[]
  scores: number[]
  margins: number[]
}

interface Case {
  trainer: 'dpo' | 'kto' | 'cpo' | 'orpo' | 'reward'
  batch: string
  dtype: 'float64' | 'float32'
  parameters: Record<string, unknown>
  loss: number
  gradients: number[] | number[][]
  metrics: Record<string, number>
}

/** What TRL's trainers computed: scripts/golden/trl_preferences.py. */
const golden = JSON.parse(readFileSync(new URL('expected/trl-preferences.json', import.meta.url), 'utf8')) as {
  prompt_tokens: number
  batches: Record<string, Batch>
  cases: Case[]
}

const chosen = Int32Array.of(0, 1, 2, 3)
const rejected = Int32Array.of(4, 5, 6, 7)

/** TRL's parameters as our record. */
function recordOf({ trainer, parameters: p }: Case): PreferenceOptions {
  switch (trainer) {
    case 'dpo': {
      const perToken = p.loss_type === 'ipo' || p.loss_type === 'sigmoid_norm'
      return {
        kind: p.loss_type === 'sigmoid_norm' ? 'sigmoid' : p.loss_type,
        length_normalization: perToken ? 'score' : 'none',
        beta: p.beta,
        label_smoothing: p.label_smoothing,
        divergence: p.f_divergence_type,
        divergence_alpha: p.f_alpha_divergence_coef
      }
    }
    case 'kto':
      return {
        preset: 'kto',
        beta: p.beta,
        desirable_weight: p.desirable_weight,
        undesirable_weight: p.undesirable_weight
      }
    case 'cpo': {
      const simpo = p.loss_type === 'simpo'
      return {
        preset: 'cpo',
        kind: simpo ? 'sigmoid' : p.loss_type,
        length_normalization: simpo || p.loss_type === 'ipo' ? 'log_prob' : 'none',
        beta: p.beta,
        label_smoothing: p.label_smoothing,
        nll_coefficient: p.cpo_alpha,
        target_margin: simpo ? p.simpo_gamma : 0,
        divergence: p.alpha === 0 ? 'reverse_kl' : 'alpha_divergence',
        divergence_alpha: 1 - (p.alpha as number)
      }
    }
    case 'orpo':
      return { preset: 'orpo', beta: p.beta }
    case 'reward':
      return { preset: 'bradley_terry', center_coefficient: p.center }
  }
}

const flat = (rows: number[][]) => Float64Array.from(rows.flat())

/** Prompts are tokens too, masked out; but TRL's ORPO counts them in its token loss. */
function batchOf({ trainer, batch: name, parameters }: Case): PreferenceBatch {
  const batch = golden.batches[name]!
  if (trainer === 'reward') {
    const margins = parameters.margin ? { margins: Float64Array.from(batch.margins) } : {}
    return { scores: Float64Array.from(batch.scores), chosen, rejected, ...margins }
  }
  const cuSeqlens = Int32Array.from([0, ...batch.log_probs.map(({ length }) => length)])
  for (let row = 1; row < cuSeqlens.length; row++) cuSeqlens[row]! += cuSeqlens[row - 1]!
  const prompt = golden.prompt_tokens - 1
  const mask = Uint8Array.from(batch.log_probs.flatMap((row) => row.map((_, token) => (token < prompt ? 0 : 1))))
  const shared = {
    logProbs: flat(batch.log_probs),
    referenceLogProbs: flat(batch.reference_log_probs),
    cuSeqlens,
    mask,
    ...(trainer === 'orpo' ? { nllMask: mask.map(() => 1) } : {})
  }
  if (trainer !== 'kto') return { ...shared, chosen, rejected }
  const mismatched = [batch.mismatched_log_probs, batch.mismatched_reference_log_probs]
  if (parameters.swap) mismatched.reverse()
  return {
    ...shared,
    desirable: Uint8Array.from((parameters.desirable as number[] | undefined) ?? batch.desirable),
    ...(parameters.loss_type === 'kto'
      ? {
          mismatchedLogProbs: Float64Array.from(mismatched[0]!),
          mismatchedReferenceLogProbs: Float64Array.from(mismatched[1]!)
        }
      : { klBaseline: 0 })
  }
}

const error = (actual: number, expected: number) => Math.abs(actual - expected) / (1 + Math.abs(expected))

describe('preferenceLoss gives what TRL’s trainers give', () => {
  test.each(golden.cases.map((one, index) => [`${index} ${one.trainer} ${JSON.stringify(one.parameters)}`, one]))(
    '%s',
    (_, one) => {
      const { loss, gradients, metrics } = preferenceLoss(resolvePreference(recordOf(one)), batchOf(one))
      const limit = one.dtype === 'float64' ? 1e-10 : 1e-5
      expect(error(loss, one.loss)).toBeLessThan(limit)
      const expected = one.gradients.flat()
      expect(gradients).toHaveLength(expected.length)
      expected.forEach((value, token) => expect(error(gradients[token]!, value)).toBeLessThan(limit))
      // TRL adds a token loss of 0 where it has no coefficient.
      const named = Object.keys(one.metrics).filter((name) => name !== 'nll_loss' || one.metrics[name] !== 0)
      expect(Object.keys(metrics).sort()).toEqual(named.sort())
      for (const [name, value] of Object.entries(metrics)) {
        expect(error(value as number, one.metrics[name]!), name).toBeLessThan(1e-6)
      }
    }
  )

  test('the file holds cases of every trainer', () => {
    expect(new Set(golden.cases.map(({ trainer }) => trainer))).toEqual(
      new Set(['dpo', 'kto', 'cpo', 'orpo', 'reward'])
    )
  })
})

const lengths = [3, 2, 5, 1, 4]
const cuSeqlens = Int32Array.of(0, 3, 5, 10, 11, 15)

/** Ragged, with masked tokens, completions in several pairs, margins and weights. */
function mixed(preference: Preference): PreferenceBatch {
  const random = stream(5)
  const draw = (count: number, low: number, high: number) =>
    Float64Array.from({ length: count }, () => low + (high - low) * random())
  const { kind } = preference
  if (kind === 'bradley_terry') {
    return {
      scores: draw(5, -2, 2),
      chosen: Int32Array.of(0, 0, 3),
      rejected: Int32Array.of(1, 4, 2),
      margins: draw(3, 0, 1)
    }
  }
  const shared: PreferenceBatch = {
    logProbs: draw(15, -2, -0.1),
    referenceLogProbs: draw(15, -2, -0.1),
    cuSeqlens,
    mask: Uint8Array.of(1, 1, 0, 1, 1, 0, 1, 1, 1, 1, 1, 1, 0, 1, 1)
  }
  if (kind === 'kto')
    return { ...shared, desirable: Uint8Array.of(1, 0, 0, 1, 1), klBaseline: 0.3, weights: draw(5, 0.5, 2) }
  return {
    ...shared,
    chosen: Int32Array.of(0, 0, 3),
    rejected: Int32Array.of(1, 4, 2),
    ...(kind.startsWith('aot') ? {} : { weights: draw(3, 0.5, 2) }),
    ...(['sigmoid', 'hinge', 'robust', 'exo_pair', 'discopop'].includes(kind) ? { margins: draw(3, 0, 0.5) } : {})
  }
}

/** Largest difference between the gradient and central differences of the loss. */
function gradientError(options: PreferenceOptions): number {
  const preference = resolvePreference(options)
  const batch = mixed(preference)
  const field = preference.kind === 'bradley_terry' ? 'scores' : 'logProbs'
  const { gradients } = preferenceLoss(preference, batch)
  let worst = 0
  for (let at = 0; at < gradients.length; at++) {
    const loss = (shift: number) => {
      const values = batch[field]!.slice()
      values[at]! += shift
      return preferenceLoss(preference, { ...batch, [field]: values }).loss
    }
    worst = Math.max(worst, Math.abs((loss(1e-6) - loss(-1e-6)) / 2e-6 - gradients[at]!))
  }
  return worst
}

describe('preferenceLoss', () => {
  for (const preset of preferencePresetNames) {
    test(`gradient equals central differences: ${preset}`, () => {
      expect(gradientError(preset)).toBeLessThan(1e-8)
      expect(gradientError({ preset, beta: 0.7 })).toBeLessThan(1e-8)
    })
  }

  test('gradient equals central differences: divergences, means per token, token loss, centred scores', () => {
    for (const divergence of ['forward_kl', 'js_divergence', 'alpha_divergence']) {
      for (const length_normalization of ['none', 'log_prob', 'score']) {
        expect(gradientError({ divergence, length_normalization, nll_coefficient: 0.4 })).toBeLessThan(1e-8)
      }
    }
    expect(gradientError({ preset: 'bradley_terry', center_coefficient: 0.2 })).toBeLessThan(1e-8)
    expect(gradientError({ preset: 'dpo', center_coefficient: 0.2, target_margin: 0.3 })).toBeLessThan(1e-8)
  })

  test('at the reference the loss is log 2 and the gradient −β/2 and β/2 for every counted token', () => {
    const logProbs = Float64Array.of(-1, -2, -0.5, -3)
    const result = preferenceLoss(resolvePreference('dpo'), {
      logProbs,
      referenceLogProbs: logProbs,
      cuSeqlens: Int32Array.of(0, 2, 4),
      mask: Uint8Array.of(1, 1, 0, 1),
      chosen: Int32Array.of(0),
      rejected: Int32Array.of(1)
    })
    expect(result.loss).toBeCloseTo(Math.LN2, 15)
    expect(Array.from(result.gradients)).toEqual([-0.05, -0.05, 0, 0.05])
    expect(result.metrics).toEqual({
      'rewards/chosen': 0,
      'rewards/rejected': 0,
      'rewards/accuracies': 0,
      'rewards/margins': 0,
      'logps/chosen': -3,
      'logps/rejected': -3
    })
  })

  test('sums over the tokens give what the tokens give', () => {
    for (const preset of preferencePresetNames) {
      const preference = resolvePreference(preset)
      const batch = mixed(preference)
      if (!batch.logProbs) continue
      const whole = preferenceLoss(preference, { ...batch, mask: undefined })
      const sums = (values: PreferenceBatch['logProbs']) =>
        Float64Array.from(lengths, (_, row) =>
          Array.from(values!.slice(cuSeqlens[row], cuSeqlens[row + 1])).reduce((a, b) => a + b, 0)
        )
      const summed = preferenceLoss(preference, {
        ...batch,
        mask: undefined,
        cuSeqlens: undefined,
        lengths: Int32Array.from(lengths),
        logProbs: sums(batch.logProbs),
        referenceLogProbs: sums(batch.referenceLogProbs)
      })
      expect(summed.loss).toBeCloseTo(whole.loss, 12)
      lengths.forEach((_, row) => expect(summed.gradients[row]).toBeCloseTo(whole.gradients[cuSeqlens[row]!]!, 12))
    }
  })

  test('parts of an optimizer batch add up to the whole', () => {
    for (const preset of preferencePresetNames.filter((name) => !name.startsWith('aot'))) {
      const preference = resolvePreference(preset)
      const batch = mixed(preference)
      const whole = preferenceLoss(preference, batch)
      // The first pair's and the last two pairs' losses; kto: the first three and the last two completions'.
      const parts = [
        [0, 1],
        [1, 3]
      ].map(([from, to]) => {
        if (preference.kind === 'kto') {
          const weights = batch.weights!.map((value, row) => ((from === 0 ? row < 3 : row >= 3) ? value : 0))
          return preferenceLoss(preference, { ...batch, weights, batchSize: 5 })
        }
        const cut = <Values extends { slice(from?: number, to?: number): Values }>(values: Values | undefined) =>
          values?.slice(from, to)
        return preferenceLoss(preference, {
          ...batch,
          chosen: cut(batch.chosen),
          rejected: cut(batch.rejected),
          margins: cut<Float64Array>(batch.margins as Float64Array | undefined),
          weights: cut<Float64Array>(batch.weights as Float64Array | undefined),
          batchSize: 3,
          // Completion 0, chosen twice, has two counted tokens; completion 3 has one.
          batchTokens: 5
        })
      })
      expect(parts[0]!.loss + parts[1]!.loss).toBeCloseTo(whole.loss, 12)
      whole.gradients.forEach((value, at) =>
        expect(parts[0]!.gradients[at]! + parts[1]!.gradients[at]!).toBeCloseTo(value, 12)
      )
    }
  })

  test('far from the reference every loss and gradient stays finite', () => {
    for (const preset of preferencePresetNames.filter((name) => name !== 'bradley_terry')) {
      for (const gap of [-900, 900]) {
        const one = resolvePreference(preset)
        const result = preferenceLoss(one, {
          logProbs: Float64Array.of(-1000 + gap, -1000),
          referenceLogProbs: Float64Array.of(-1000, -1000),
          lengths: Int32Array.of(1, 1),
          ...(one.kind === 'kto'
            ? { desirable: Uint8Array.of(1, 0), klBaseline: 0 }
            : { chosen: Int32Array.of(0), rejected: Int32Array.of(1) })
        })
        expect(Number.isFinite(result.loss), preset).toBe(true)
        expect(Array.from(result.gradients).every(Number.isFinite), preset).toBe(true)
      }
    }
  })

  test('Float32Array agrees with Float64Array on the same numbers', () => {
    for (const preset of preferencePresetNames) {
      const preference = resolvePreference(preset)
      const batch = mixed(preference)
      const rounded = Object.entries(batch).map(([name, values]) => [
        name,
        values instanceof Float64Array ? Float32Array.from(values) : (values as unknown)
      ])
      const single = Object.fromEntries(rounded) as PreferenceBatch
      const double = Object.fromEntries(
        rounded.map(([name, values]) => [name, values instanceof Float32Array ? Float64Array.from(values) : values])
      ) as PreferenceBatch
      const left = preferenceLoss(preference, single)
      const right = preferenceLoss(preference, double)
      expect(left.gradients).toBeInstanceOf(Float32Array)
      // Exponentials good to 1e-11 of their value, and gradients rounded to f32.
      expect(error(left.loss, right.loss)).toBeLessThan(1e-11)
      left.gradients.forEach((value, at) => expect(error(value, right.gradients[at]!)).toBeLessThan(1e-7))
    }
  })

  test('no pairs: 0, and no metrics', () => {
    const none = { chosen: new Int32Array(0), rejected: new Int32Array(0), weights: undefined, margins: undefined }
    for (const preset of ['dpo', 'orpo', 'aot', 'bradley_terry']) {
      const preference = resolvePreference(preset)
      const result = preferenceLoss(preference, { ...mixed(preference), ...none })
      expect(result.loss).toBe(0)
      expect(Array.from(result.gradients).every((value) => value === 0)).toBe(true)
      expect(result.metrics).toEqual({})
    }
  })

  test('wrong input is named', () => {
    const loss = (options: PreferenceOptions, change: Partial<PreferenceBatch>) => () => {
      const preference = resolvePreference(options)
      return preferenceLoss(preference, { ...mixed(preference), ...change })
    }
    expect(loss('dpo', { logProbs: undefined })).toThrow(/logProbs: needed/)
    expect(loss('dpo', { logProbs: new Float64Array(15).fill(NaN, 5, 7) })).toThrow(/logProbs\[6\] is NaN/)
    expect(loss('dpo', { referenceLogProbs: undefined })).toThrow(/referenceLogProbs: dpo has log ratios/)
    expect(loss('dpo', { referenceLogProbs: new Float64Array(3) })).toThrow(/referenceLogProbs: expected 15/)
    expect(loss('dpo', { chosen: Int32Array.of(0, 5, 3) })).toThrow(/chosen\[1\]: expected the index of one of the 5/)
    expect(loss('dpo', { rejected: Int32Array.of(1, 4) })).toThrow(/rejected: expected 3/)
    expect(loss('dpo', { rejected: Int32Array.of(1, 0, 2) })).toThrow(
      /chosen\[1\]: completion 0 is chosen and rejected/
    )
    expect(loss('dpo', { cuSeqlens: Int32Array.of(0, 5, 3, 10, 11, 15) })).toThrow(/cuSeqlens: .*never fall/)
    expect(loss('dpo', { weights: Float64Array.of(1, Infinity, 1) })).toThrow(/weights\[1\] is Infinity/)
    expect(loss('ipo', { margins: new Float64Array(3) })).toThrow(/margins: the kind ipo has no margin/)
    expect(loss('aot', { weights: new Float64Array(3) })).toThrow(/weights: the kind aot/)
    expect(loss('kto', { klBaseline: undefined })).toThrow(/klBaseline: kto needs/)
    expect(loss('kto', { klBaseline: -1 })).toThrow(/klBaseline/)
    expect(loss('kto', { desirable: undefined })).toThrow(/desirable: kto needs/)
    expect(loss('bradley_terry', { scores: undefined })).toThrow(/scores: needed/)
    expect(loss('orpo', { logProbs: new Float64Array(15) })).toThrow(/completion 0 has a probability of 1 or more/)
    const sums = { logProbs: new Float64Array(5), referenceLogProbs: new Float64Array(5), cuSeqlens: undefined }
    expect(loss('ipo', { ...sums, mask: undefined })).toThrow(/lengths: ipo has means per token/)
    expect(loss('dpo', sums)).toThrow(/cuSeqlens: a mask is of tokens/)
  })
})

describe('resolvePreference', () => {
  const refusal = (options: PreferenceOptions) => {
    try {
      resolvePreference(options)
    } catch (cause) {
      if (isAdjudgeError(cause) && cause.code === 'ALGORITHM_INVALID') return cause.message
      throw cause
    }
    return 'accepted'
  }

  test('every preset is complete and valid under its own name; YAML and TypeScript spell alike', () => {
    for (const preset of preferencePresetNames) {
      expect(resolvePreference({ preset })).toEqual(resolvePreference(preset))
      expect(resolvePreference(preset).preset).toBe(preset)
    }
    expect(resolvePreference({ label_smoothing: 0.2 })).toEqual(resolvePreference({ labelSmoothing: 0.2 }))
    expect(resolvePreference(resolvePreference('simpo'))).toEqual(resolvePreference('simpo'))
    expect(resolvePreference()).toEqual(resolvePreference('dpo'))
  })

  test('mistakes are answered with the nearest name, and combinations without meaning with their cure', () => {
    expect(refusal('dop')).toMatch('did you mean "dpo"')
    expect(refusal({ bata: 1 })).toMatch('did you mean "beta"')
    expect(refusal({ kind: 'sigmoyd' })).toMatch('did you mean "sigmoid"')
    expect(refusal({ beta: 0 })).toMatch('"beta" is 0')
    expect(refusal({ preset: 'robust_dpo', label_smoothing: 0.5 })).toMatch('expected below 0.5')
    expect(refusal({ preset: 'exo', label_smoothing: 0 })).toMatch('expected above 0')
    expect(refusal({ preset: 'ipo', label_smoothing: 0.1 })).toMatch('no meaning for the kind ipo')
    expect(refusal({ preset: 'kto', target_margin: 1 })).toMatch('target_margin')
    expect(refusal({ preset: 'nca', divergence: 'forward_kl' })).toMatch('divergence')
    expect(refusal({ preset: 'orpo', reference: true })).toMatch('reference')
    expect(refusal({ preset: 'kto', reference: false })).toMatch('KL baseline')
    expect(refusal({ preset: 'bradley_terry', reference: true })).toMatch('takes scores')
    expect(refusal({ preset: 'kto', nll_coefficient: 1 })).toMatch('nll_coefficient')
    expect(refusal({ preset: 'aot', length_normalization: 'score' })).toMatch('sorts log ratios')
  })
})
