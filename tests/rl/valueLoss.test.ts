import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { resolveValue, valueLoss, type ValueLossInput, type ValueOptions } from '../../src/rl/index.js'

interface Expected {
  mask: number[]
  value: {
    values: number[]
    old_values: number[]
    returns: number[]
    clip: number
    loss: number
    gradients: number[]
  }
}

const expected = JSON.parse(
  readFileSync(new URL('./expected/off-policy.json', import.meta.url), 'utf8')
) as unknown as Expected

const input: ValueLossInput = {
  values: Float64Array.from(expected.value.values),
  oldValues: Float64Array.from(expected.value.old_values),
  returns: Float64Array.from(expected.value.returns),
  mask: Uint8Array.from(expected.mask),
  cuSeqlens: Int32Array.of(0, 4, 8, 12, 16, 20),
  maxTokens: 6
}

function gradientError(options: ValueOptions): number {
  const spec = resolveValue(options)
  const { valueGradients } = valueLoss(spec, input)
  let worst = 0
  for (let token = 0; token < input.values.length; token++) {
    const at = (shift: number) => {
      const values = input.values.slice()
      values[token] = (values[token] as number) + shift
      return valueLoss(spec, { ...input, values }).loss
    }
    const slope = (at(1e-6) - at(-1e-6)) / 2e-6
    worst = Math.max(worst, Math.abs(slope - (valueGradients[token] as number)))
  }
  return worst
}

describe('valueLoss', () => {
  test('equals the clipped loss of torch and its gradient', () => {
    const result = valueLoss(resolveValue({ clip: expected.value.clip }), input)
    expect(result.loss).toBeCloseTo(expected.value.loss, 13)
    result.valueGradients.forEach((value, token) =>
      expect(value).toBeCloseTo(expected.value.gradients[token] as number, 13)
    )
    expect(result.metrics.vf_clipfrac).toBeGreaterThan(0)
    expect(result.metrics).toMatchObject({ tokens: 11, sequences: 4 })
  })

  test('gradient equals central differences for every aggregation, with and without a clip', () => {
    for (const aggregation of [
      'token_mean',
      'token_sum',
      'sequence_mean_token_mean',
      'sequence_mean_token_sum',
      'constant'
    ]) {
      for (const clip of [0.1, 0.5, null]) expect(gradientError({ aggregation, clip })).toBeLessThan(1e-8)
    }
  })

  test('parts of an optimizer batch add up to the whole', () => {
    for (const preset of ['ppo', 'verl', 'openrlhf', 'trl']) {
      for (const aggregation of ['token_mean', 'sequence_mean_token_mean', 'constant']) {
        const spec = resolveValue({ preset, aggregation })
        const whole = valueLoss(spec, input)
        const parts = [
          [0, 2],
          [2, 5]
        ].map(([first, last]) => {
          const [begin, end] = [(first as number) * 4, (last as number) * 4]
          return valueLoss(spec, {
            ...input,
            values: input.values.slice(begin, end),
            oldValues: input.oldValues?.slice(begin, end),
            returns: input.returns.slice(begin, end),
            mask: input.mask?.slice(begin, end),
            cuSeqlens: input.cuSeqlens.slice(first, (last as number) + 1).map((offset) => offset - begin),
            batchTokens: whole.metrics.tokens,
            batchSequences: whole.metrics.sequences
          })
        })
        expect(parts.reduce((sum, part) => sum + part.loss, 0)).toBeCloseTo(whole.loss, 13)
        const gradients = parts.flatMap((part) => Array.from(part.valueGradients))
        gradients.forEach((value, token) => expect(value).toBeCloseTo(whole.valueGradients[token] as number, 13))
      }
    }
  })

  test('explained variance: 1 for a perfect critic, 0 for one that says the mean, NaN where nothing varies', () => {
    const spec = resolveValue({ clip: null })
    const returns = Float64Array.of(1, 2, 3, 6)
    const of = (values: number[], targets = returns) =>
      valueLoss(spec, { values: Float64Array.from(values), returns: targets, cuSeqlens: Int32Array.of(0, 4) }).metrics
    expect(of([1, 2, 3, 6]).explained_variance).toBe(1)
    expect(of([3, 3, 3, 3]).explained_variance).toBeCloseTo(0, 14)
    expect(of([3, 3, 3, 3], new Float64Array(4)).explained_variance).toBeNaN()
    expect(of([3, 3, 3, 3]).value_error).toBeCloseTo(3.5, 14)
  })

  test('Float32Array agrees with Float64Array on the same numbers; nothing counted gives 0', () => {
    const single = {
      ...input,
      values: Float32Array.from(input.values),
      oldValues: Float32Array.from(input.oldValues ?? []),
      returns: Float32Array.from(input.returns)
    }
    const double = {
      ...input,
      values: Float64Array.from(single.values),
      oldValues: Float64Array.from(single.oldValues),
      returns: Float64Array.from(single.returns)
    }
    const left = valueLoss(resolveValue('verl'), single)
    const right = valueLoss(resolveValue('verl'), double)
    expect(left.valueGradients).toBeInstanceOf(Float32Array)
    expect(left.loss).toBe(right.loss)
    left.valueGradients.forEach((value, token) =>
      expect(value).toBe(Math.fround(right.valueGradients[token] as number))
    )
    const empty = valueLoss(resolveValue('ppo'), { ...input, mask: new Uint8Array(20) })
    expect(empty.loss).toBe(0)
    expect(empty.valueGradients.every((value) => value === 0)).toBe(true)
  })

  test('wrong records and input are named', () => {
    expect(() => resolveValue('pp')).toThrow(/did you mean "ppo"/)
    expect(() => resolveValue({ clp: 1 })).toThrow(/did you mean "clip"/)
    expect(() => resolveValue({ aggregation: 'token_men' })).toThrow(/value: "aggregation".*"token_mean"/)
    expect(() => resolveValue({ clip: -1 })).toThrow(/"clip" is -1/)
    const loss = (options: ValueOptions, change: Partial<ValueLossInput>) => () =>
      valueLoss(resolveValue(options), { ...input, ...change })
    expect(loss('ppo', { oldValues: undefined })).toThrow(/oldValues: needed/)
    expect(loss('ppo', { returns: input.returns.with(4, Infinity) })).toThrow(/returns\[4\] is Infinity/)
    expect(loss('ppo', { values: new Float64Array(3) })).toThrow(/values: expected 20/)
    expect(loss({ aggregation: 'constant' }, { maxTokens: undefined })).toThrow(/maxTokens/)
  })
})
