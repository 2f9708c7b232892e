/** Off-policy corrections prepared, as promises, into the caller's memory, over shared memory, on a device. */
import { describe, expect, it } from 'vitest'
import {
  gammaWeights,
  importanceWeights,
  mismatchMetrics,
  rejectionMask,
  resolveOffPolicy,
  type GammaInput,
  type RolloutInput
} from '../../src/rl/index.js'
import { refusal } from './batch.js'

type FloatType = typeof Float64Array
const types: [string, FloatType][] = [
  ['Float32Array', Float32Array as unknown as FloatType],
  ['Float64Array', Float64Array]
]
const sequence = resolveOffPolicy('trl_sequence_mask')
const rejection = resolveOffPolicy({
  preset: 'verl_decoupled_k3_rs',
  rejection: [
    { statistic: 'k3', level: 'token', high: 0.02 },
    { statistic: 'k1', level: 'sequence_mean', high: 0.01, onlyNegative: true }
  ]
})

/** Rows of uneven length; log-probs that differ by up to 0.4; what does not count is NaN. */
function rollout(Type: FloatType): Required<RolloutInput> {
  const cuSeqlens = Int32Array.of(0, 5, 5, 24, 25, 61)
  const mask = Uint8Array.from({ length: 61 }, (_, token) => (token % 7 === 3 ? 0 : 1))
  const hidden = (value: (token: number) => number) =>
    Type.from({ length: 61 }, (_, token) => (mask[token] === 1 ? value(token) : NaN))
  return {
    logProbs: hidden((token) => -1 - Math.abs(Math.sin(token))),
    rolloutLogProbs: hidden((token) => -1 - Math.abs(Math.sin(token)) + 0.4 * Math.cos(3 * token)),
    advantages: Type.of(1, -1, -0.5, 0, 2),
    mask,
    cuSeqlens
  }
}

const inSharedMemory = <Values extends Float64Array | Float32Array>(values: Values): Values => {
  const Type = values.constructor as { new (buffer: SharedArrayBuffer): Values; BYTES_PER_ELEMENT: number }
  const copy = new Type(new SharedArrayBuffer(values.byteLength))
  copy.set(values)
  return copy
}

describe.each(types)('off-policy corrections of a %s', (_, Type) => {
  const input = rollout(Type)
  const gamma: GammaInput = {
    logProbs: input.logProbs,
    oldLogProbs: input.rolloutLogProbs,
    advantages: input.advantages,
    mask: input.mask,
    cuSeqlens: input.cuSeqlens
  }

  it('are the same prepared and as a promise', async () => {
    const weights = importanceWeights(sequence, input)
    expect(weights.weights.some((weight) => weight !== 0 && weight !== 1)).toBe(true)
    expect(importanceWeights.prepare('trl_sequence_mask')(input)).toEqual(weights)
    expect(await importanceWeights.async(sequence, input)).toEqual(weights)
    const kept = rejectionMask(rejection, input)
    expect(new Set(kept.mask)).toEqual(new Set([0, 1]))
    expect(rejectionMask.prepare(rejection)(input)).toEqual(kept)
    expect(await rejectionMask.async(rejection, input)).toEqual(kept)
    const metrics = mismatchMetrics(input)
    expect(metrics.kl).not.toBe(0)
    expect(mismatchMetrics.prepare()(input)).toEqual(metrics)
    expect(await mismatchMetrics.async(input)).toEqual(metrics)
    const constants = gammaWeights({}, gamma)
    expect(gammaWeights.prepare({})(gamma)).toEqual(constants)
    expect(await gammaWeights.async({}, gamma)).toEqual(constants)
  })

  it('go into shared memory of the caller', () => {
    const shared = { ...input, logProbs: inSharedMemory(input.logProbs), rolloutLogProbs: input.rolloutLogProbs }
    const out = { weights: inSharedMemory(new Type(61).fill(-7)), sequenceWeights: new Type(5).fill(-7) }
    const result = importanceWeights(sequence, { ...shared, out })
    expect(result.weights).toBe(out.weights)
    expect(result.sequenceWeights).toBe(out.sequenceWeights)
    expect([...out.weights]).toEqual([...importanceWeights(sequence, input).weights])
    const places = { mask: new Uint8Array(new SharedArrayBuffer(61)).fill(9), keep: new Uint8Array(5).fill(9) }
    const rejected = rejectionMask(rejection, { ...shared, out: places })
    expect(rejected.mask).toBe(places.mask)
    expect([...places.mask]).toEqual([...rejectionMask(rejection, input).mask])
    expect([...places.keep]).toEqual([...rejectionMask(rejection, input).keep])
    const weights = new Type(5).fill(-7)
    expect(gammaWeights({}, { ...gamma, out: { weights } })).toBe(weights)
    expect([...weights]).toEqual([...gammaWeights({}, gamma)])
  })

  it('are refused memory that they would read and write', () => {
    expect(refusal(() => importanceWeights(sequence, { ...input, out: { weights: input.logProbs } })).code).toBe(
      'BUFFER_OVERLAP'
    )
    expect(refusal(() => rejectionMask(rejection, { ...input, out: { mask: input.mask } })).code).toBe('BUFFER_OVERLAP')
    expect(refusal(() => importanceWeights(sequence, { ...input, out: { weights: new Type(60) } })).message).toContain(
      'weights'
    )
  })

  it('find what is not finite, and name it', () => {
    const spoilt = (name: 'logProbs' | 'rolloutLogProbs', value: number) => {
      const values = input[name].slice()
      values[40] = value
      return { ...input, [name]: values }
    }
    expect(() => importanceWeights(sequence, spoilt('logProbs', NaN))).toThrow(/logProbs\[40\] is NaN/)
    expect(() => rejectionMask(rejection, spoilt('rolloutLogProbs', NaN))).toThrow(
      /rolloutLogProbs\[40\] is NaN.*"missing" to ratio_one/
    )
    expect(() => mismatchMetrics(spoilt('rolloutLogProbs', -Infinity))).toThrow(/rolloutLogProbs\[40\] is -Infinity/)
    expect(importanceWeights(sequence, spoilt('rolloutLogProbs', NaN)).weights[40]).not.toBeNaN()
    const far = spoilt('rolloutLogProbs', -2000)
    expect(() => importanceWeights(resolveOffPolicy({ importance: { level: 'token' } }), far)).toThrow(
      /weight of token 40 is Infinity: set "importance.high"/
    )
  })
})

it('a device is one of three words, and CUDA takes no Float64Array', () => {
  const device = 'gpu' as 'cuda'
  for (const call of [
    () => importanceWeights.prepare('trl_sequence_mask', { device }),
    () => rejectionMask.prepare(rejection, { device }),
    () => mismatchMetrics.prepare({ device }),
    () => gammaWeights.prepare({}, { device })
  ]) {
    expect(refusal(call)).toMatchObject({ code: 'ARGUMENT_INVALID', message: expect.stringMatching(/^device: /) })
  }
  expect(refusal(() => mismatchMetrics(rollout(Float64Array), { device: 'cuda' })).code).toBe('DEVICE_UNSUPPORTED')
})
