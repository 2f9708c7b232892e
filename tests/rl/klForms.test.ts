/** The KL calls in their forms: prepared, as promises, into given memory, on a device; both element types. */
import { describe, expect, it, vi } from 'vitest'
import {
  klDivergence,
  klReward,
  klRows,
  resolveAlgorithm,
  type FloatArray,
  type KlDivergenceInput,
  type KlRewardInput,
  type KlRowsInput
} from '../../src/rl/index.js'
import { refusal, type FloatType } from './batch.js'
import { stream } from './stream.js'

// This file is about a machine without a GPU.
vi.stubEnv('ADJUDGE_CUDA_LIBRARY', '/nowhere/adjudge_cuda.so')

const width = 37

function makeInputs(Type: FloatType) {
  const random = stream(5)
  const draw = (length: number, from: number, to: number): FloatArray =>
    (Type as typeof Float64Array).from({ length }, () => Math.fround(from + (to - from) * random()))
  const cuSeqlens = Int32Array.of(0, 3, 3, 40, 41, 90)
  const mask = Uint8Array.from({ length: 90 }, (_, token) => (token % 4 === 1 ? 0 : 1))
  const hidden = (values: FloatArray) => values.map((value, token) => (mask[token] === 0 ? NaN : value))
  const logProbs = hidden(draw(90, -3, 0))
  const referenceLogProbs = hidden(draw(90, -3, 0))
  const divergence: KlDivergenceInput = { logProbs, referenceLogProbs, oldLogProbs: hidden(draw(90, -3, 0)), mask }
  const reward: KlRewardInput = {
    rewards: draw(5, -2, 2),
    tokenRewards: hidden(draw(90, -1, 1)),
    logProbs,
    referenceLogProbs,
    mask,
    cuSeqlens
  }
  const rows: KlRowsInput = { logits: draw(6 * width, -5, 5), referenceLogits: draw(6 * width, -5, 5), width }
  return { divergence, reward, rows }
}

const double = makeInputs(Float64Array)
const single = makeInputs(Float32Array)
const options = { kl: { kind: 'k3', gradient: 'unbiased_ratio', coefficient: 0.2 } }
const algorithm = resolveAlgorithm(options)

describe.each([
  ['Float32Array', single],
  ['Float64Array', double]
])('KL of %s', (_, { divergence, reward, rows }) => {
  it('prepared and as a promise is that of the plain call', async () => {
    const expected = [klDivergence(algorithm, divergence), klReward(algorithm, reward), klRows(rows)]
    const prepared = [klDivergence.prepare(options), klReward.prepare(options), klRows.prepare()] as const
    expect([prepared[0](divergence), prepared[1](reward), prepared[2](rows)]).toEqual(expected)
    expect(
      await Promise.all([prepared[0].async(divergence), prepared[1].async(reward), prepared[2].async(rows)])
    ).toEqual(expected)
    expect(
      await Promise.all([
        klDivergence.async(algorithm, divergence),
        klReward.async(algorithm, reward),
        klRows.async(rows, { device: 'cpu' })
      ])
    ).toEqual(expected)
  })

  it('goes into shared memory of the caller, and touches nothing beside it', () => {
    const type = divergence.logProbs.constructor as typeof Float64Array
    const place = (length: number): FloatArray =>
      new type(new SharedArrayBuffer((length + 2) * type.BYTES_PER_ELEMENT) as unknown as ArrayBuffer)
        .fill(-77)
        .subarray(1, length + 1)
    const untouched = ({ buffer, length }: FloatArray): boolean => {
      const all = new type(buffer as ArrayBuffer)
      return all[0] === -77 && all[length + 1] === -77
    }
    const out = { values: place(90), gradients: place(90) }
    const result = klDivergence(algorithm, { ...divergence, out })
    expect(result.values).toBe(out.values)
    expect([...out.values]).toEqual([...klDivergence(algorithm, divergence).values])
    expect([...out.gradients]).toEqual([...klDivergence(algorithm, divergence).gradients])
    const tokenRewards = place(90)
    expect(klReward(algorithm, { ...reward, out: { tokenRewards } }).tokenRewards).toBe(tokenRewards)
    expect([...tokenRewards]).toEqual([...klReward(algorithm, reward).tokenRewards])
    const ofRows = { values: place(6), logitGradients: place(6 * width) }
    klRows({ ...rows, out: ofRows })
    expect([...ofRows.logitGradients]).toEqual([...klRows(rows).logitGradients!])
    expect([out.values, out.gradients, tokenRewards, ofRows.values, ofRows.logitGradients].every(untouched)).toBe(true)
  })

  it('is 0 where the mask is, whatever lies there', () => {
    const { values, gradients } = klDivergence(algorithm, divergence)
    const { tokenRewards } = klReward(algorithm, reward)
    for (const array of [values, gradients, tokenRewards]) {
      expect(array.every((value, token) => (token % 4 === 1 ? value === 0 : Number.isFinite(value)))).toBe(true)
    }
  })
})

it('Float32Array agrees with Float64Array on the same numbers to 1e-5 (1 + |value|)', () => {
  const near = (left: FloatArray, right: FloatArray) =>
    left.forEach((value, index) => {
      const wanted = right[index] as number
      expect(Math.abs(value - wanted)).toBeLessThanOrEqual(1e-5 * (1 + Math.abs(wanted)))
    })
  for (const kind of ['k1', 'k2', 'k3', 'absolute']) {
    const spec = resolveAlgorithm({ kl: { kind, coefficient: 0.2 } })
    near(klDivergence(spec, single.divergence).values, klDivergence(spec, double.divergence).values)
    near(klDivergence(spec, single.divergence).gradients, klDivergence(spec, double.divergence).gradients)
    near(klReward(spec, single.reward).tokenRewards, klReward(spec, double.reward).tokenRewards)
  }
  for (const direction of ['reverse', 'forward'] as const) {
    const [left, right] = [single.rows, double.rows].map((rows) => klRows({ ...rows, direction }))
    near(left!.values, right!.values)
    near(left!.logitGradients!, right!.logitGradients!)
  }
})

describe('KL that cannot be computed', () => {
  const { divergence, reward, rows } = single

  it('is refused with the place', () => {
    const at = (values: FloatArray, index: number, value: number) => values.map((old, i) => (i === index ? value : old))
    const oldLogProbs = at(divergence.oldLogProbs!, 6, Infinity)
    expect(refusal(() => klDivergence(algorithm, { ...divergence, oldLogProbs })).message).toMatch(
      /oldLogProbs\[6\] is Infinity/
    )
    const tokenRewards = at(reward.tokenRewards!, 88, NaN)
    expect(refusal(() => klReward(algorithm, { ...reward, tokenRewards })).message).toMatch(/tokenRewards\[88\] is NaN/)
    const never = rows.logits.map((value, index) => (index < 2 * width && index >= width ? -Infinity : value))
    expect(refusal(() => klRows({ ...rows, logits: never })).message).toMatch(/logits: row 1 has minus infinity/)
    expect(refusal(() => klRows({ ...rows, logits: at(rows.logits, 40, NaN) })).message).toMatch(/logits\[40\] is NaN/)
    const impossible = at(rows.logits, 80, -Infinity)
    expect(refusal(() => klRows({ ...rows, logits: impossible, direction: 'forward' })).message).toMatch(
      /logits: row 2/
    )
    expect(klRows({ ...rows, logits: impossible }).values[2]).toBeGreaterThan(0)
  })

  it('is refused where memory is used twice, or no GPU is', () => {
    const shared = { values: divergence.logProbs }
    expect(refusal(() => klDivergence(algorithm, { ...divergence, out: shared })).code).toBe('BUFFER_OVERLAP')
    const out = { tokenRewards: reward.tokenRewards! }
    expect(refusal(() => klReward(algorithm, { ...reward, out })).code).toBe('BUFFER_OVERLAP')
    for (const call of [
      () => klDivergence(algorithm, divergence, { device: 'cuda' }),
      () => klReward(algorithm, reward, { device: 'cuda' }),
      () => klRows(rows, { device: 'cuda' })
    ]) {
      expect(refusal(call).code).toBe('DEVICE_UNAVAILABLE')
    }
    expect(refusal(() => klRows(double.rows, { device: 'cuda' })).code).toBe('DEVICE_UNSUPPORTED')
  })
})
