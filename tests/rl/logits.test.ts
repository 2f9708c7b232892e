import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { logitsGradient, logitsStatistics, type LogitsStatisticsInput } from '../../src/rl/index.js'
import { stream } from './stream.js'

interface Expected {
  top_k: number
  logits: (number | null)[]
  tokens: number[]
  log_prob_gradients: number[]
  entropy_gradients: number[]
  cases: {
    temperature: number
    log_probs: number[]
    entropies: number[]
    log_sum_exp: number[]
    sum_pi_squared: number[]
    top_tokens: number[]
    top_log_probs: number[]
    logit_gradients: number[]
  }[]
}

const expected = JSON.parse(readFileSync(new URL('./expected/logits.json', import.meta.url), 'utf8')) as Expected
const input = {
  logits: Float64Array.from(expected.logits, (logit) => logit ?? -Infinity),
  tokens: Int32Array.from(expected.tokens)
}
// Rounded to f32, logits around −700 keep too few digits for 1e-5: that row is moved, and its log-sum-exp with it.
const moved = input.logits.map((logit, index) => logit + (Math.floor(index / 23) === 4 ? 700 : 0))
const logProbGradients = Float64Array.from(expected.log_prob_gradients)
const entropyGradients = Float64Array.from(expected.entropy_gradients)

function expectNear(actual: ArrayLike<number>, wanted: ArrayLike<number>, tolerance: number): void {
  expect(actual.length).toBe(wanted.length)
  const worst = Array.from(actual, (value, index) => {
    const other = wanted[index] as number
    return value === other ? 0 : Math.abs(value - other) / (1 + Math.abs(other))
  }).reduce((most, error) => (error <= most ? most : error), 0)
  expect(worst).toBeLessThan(tolerance)
}

describe('logitsStatistics', () => {
  test('equals torch in f64, and in f32 to 1e-5, at every temperature', () => {
    for (const type of [Float64Array, Float32Array]) {
      const tolerance = type === Float64Array ? 1e-13 : 1e-5
      for (const wanted of expected.cases) {
        const { temperature } = wanted
        const logits = type.from(moved)
        const result = logitsStatistics({ logits, tokens: input.tokens, temperature, topK: expected.top_k })
        expect(result.logProbs).toBeInstanceOf(type)
        expectNear(result.logProbs, wanted.log_probs, tolerance)
        expectNear(result.entropies, wanted.entropies, tolerance)
        expectNear(
          result.logSumExp,
          wanted.log_sum_exp.map((value, row) => value + (row === 4 ? 700 / temperature : 0)),
          tolerance
        )
        expectNear(result.sumPiSquared, wanted.sum_pi_squared, tolerance)
        expect(Array.from(result.topTokens ?? [])).toEqual(wanted.top_tokens)
        expectNear(result.topLogProbs ?? [], wanted.top_log_probs, tolerance)
      }
    }
  })

  test('rows of a real vocabulary in f32 equal the formulas', () => {
    const [rows, vocabulary, temperature] = [3, 49_155, 0.8]
    const next = stream(3)
    const logits = Float32Array.from({ length: rows * vocabulary }, () => 12 * next())
    const tokens = Int32Array.of(7, 30_000, vocabulary - 1)
    const result = logitsStatistics({ logits, tokens, temperature, topK: 5 })
    for (let row = 0; row < rows; row++) {
      const scaled = Array.from(logits.subarray(row * vocabulary, (row + 1) * vocabulary), (z) => z / temperature)
      const top = scaled.reduce((most, z) => Math.max(most, z), -Infinity)
      const logSumExp = top + Math.log(scaled.reduce((sum, z) => sum + Math.exp(z - top), 0))
      const logProbs = scaled.map((z) => z - logSumExp)
      const order = logProbs.map((_, token) => token).sort((a, b) => (logProbs[b] ?? 0) - (logProbs[a] ?? 0) || a - b)
      expectNear(
        [result.logProbs, result.entropies, result.logSumExp, result.sumPiSquared].map((values) => values[row] ?? NaN),
        [
          logProbs[tokens[row] as number] as number,
          -logProbs.reduce((sum, l) => sum + Math.exp(l) * l, 0),
          logSumExp,
          logProbs.reduce((sum, l) => sum + Math.exp(2 * l), 0)
        ],
        1e-5
      )
      expect(Array.from(result.topTokens?.subarray(row * 5, row * 5 + 5) ?? [])).toEqual(order.slice(0, 5))
    }
  })

  test('ties go to the lower token; a masked vocabulary leaves the rest; all of it can be asked for', () => {
    const result = logitsStatistics({
      logits: Float32Array.of(-Infinity, 1, 3, 3, 1),
      tokens: Int32Array.of(0),
      topK: 5
    })
    expect(Array.from(result.topTokens ?? [])).toEqual([2, 3, 1, 4, 0])
    expect(result.topLogProbs?.[4]).toBe(-Infinity)
    expect(result.logProbs[0]).toBe(-Infinity)
  })

  test('writes into the arrays of `out`, also as a promise, and without topK names no tokens', async () => {
    const plain = logitsStatistics(input)
    expect(plain).not.toHaveProperty('topTokens')
    const out = { logProbs: new Float64Array(6), topTokens: new Int32Array(12), topLogProbs: new Float64Array(12) }
    const result = await logitsStatistics.async({ ...input, topK: 2, out })
    expect(result.logProbs).toBe(out.logProbs)
    expect(result.topTokens).toBe(out.topTokens)
    expect(result.logProbs).toEqual(plain.logProbs)
    expect(result.entropies).toEqual(plain.entropies)
    expect(Array.from(out.topTokens.subarray(0, 2))).toEqual(expected.cases[0]?.top_tokens.slice(0, 2))
    const none = logitsStatistics({ logits: new Float32Array(0), tokens: new Int32Array(0), topK: 3 })
    expect(none.logProbs.length + (none.topTokens?.length ?? 0)).toBe(0)
  })

  test("is prepared for a loop on a device of one's choice", async () => {
    const logits = Float32Array.from(moved)
    for (const device of ['auto', 'cpu'] as const) {
      const prepared = logitsStatistics.prepare({ device })
      expect(prepared({ ...input, logits, topK: 2 })).toEqual(logitsStatistics({ ...input, logits, topK: 2 }))
      expect(await prepared.async(input)).toEqual(logitsStatistics(input, { device }))
      const back = logitsGradient.prepare({ device })
      expect(back({ ...input, logProbGradients })).toEqual(logitsGradient({ ...input, logProbGradients }))
    }
    for (const call of [logitsStatistics, logitsGradient]) {
      expect(() => call.prepare({ device: 'gpu' as 'cuda' })).toThrow(/device: expected auto, cpu or cuda and got gpu/)
    }
    expect(() => logitsStatistics(input, { device: 'cuda' })).toThrow(/take Float32Array and not Float64Array/)
    await expect(logitsGradient.async({ ...input, logProbGradients }, { device: 'cuda' })).rejects.toMatchObject({
      code: 'DEVICE_UNSUPPORTED'
    })
  })

  test('wrong input is named', async () => {
    const call = (change: Partial<LogitsStatisticsInput>) => () => logitsStatistics({ ...input, ...change })
    expect(call({ topK: 0 })).toThrow(/topK is 0, expected a whole number from 1 to the vocabulary's 23/)
    expect(call({ topK: 24 })).toThrow(/topK is 24/)
    expect(call({ topK: 1.5 })).toThrow(/topK is 1.5/)
    for (const temperature of [0, -1, NaN, Infinity]) {
      expect(call({ temperature })).toThrow(/temperature: expected a number above 0/)
    }
    expect(call({ logits: new Float64Array(7) })).toThrow(/multiple of 6 elements, and got 7/)
    expect(call({ logits: new Float64Array(0) })).toThrow(/multiple of 6 elements, and got 0/)
    expect(call({ tokens: input.tokens.with(3, 23) })).toThrow(/row 3 has a token outside of 0 to 22/)
    expect(call({ tokens: input.tokens.with(2, -1) })).toThrow(/row 2 has a token outside/)
    expect(call({ logits: input.logits.with(5 * 23 + 1, NaN) })).toThrow(/row 5 has a logit that is NaN/)
    expect(call({ logits: input.logits.with(23, Infinity) })).toThrow(/row 1 has a logit that is NaN or plus infinity/)
    expect(call({ logits: input.logits.slice().fill(-Infinity, 0, 23) })).toThrow(/row 0 has minus infinity everywhere/)
    expect(call({ out: { logProbs: new Float64Array(5) } })).toThrow(/logProbs: expected 6 elements and not 5/)
    expect(call({ out: { entropies: new Float32Array(6) } })).toThrow(/entropies: expected a Float64Array/)
    expect(call({ out: { logProbs: input.logits.subarray(0, 6) } })).toThrow(/logProbs and logits share memory/)
    await expect(logitsStatistics.async({ ...input, temperature: 0 })).rejects.toMatchObject({
      code: 'ARGUMENT_INVALID'
    })
  })
})

describe('logitsGradient', () => {
  test('equals autograd of torch in f64, and in f32 to 1e-5', async () => {
    for (const { temperature, logit_gradients } of expected.cases) {
      const double = logitsGradient({ ...input, temperature, logProbGradients, entropyGradients })
      expectNear(double.logitGradients, logit_gradients, 1e-13)
      const logits = Float32Array.from(moved)
      const out = { logitGradients: new Float32Array(logits.length) }
      const single = await logitsGradient.async({
        ...input,
        logits,
        temperature,
        logProbGradients,
        entropyGradients,
        out
      })
      expect(single.logitGradients).toBe(out.logitGradients)
      expectNear(single.logitGradients, logit_gradients, 1e-5)
    }
  })

  test('equals central differences of the statistics', () => {
    const logits = Float64Array.of(0.3, -1.2, 2, 0.1, 0.7, 0.6)
    const tokens = Int32Array.of(2, 0)
    const of = (at: Float64Array) => {
      const { logProbs, entropies } = logitsStatistics({ logits: at, tokens, temperature: 0.6 })
      return 1.3 * (logProbs[0] ?? NaN) - 0.4 * (logProbs[1] ?? NaN) + 0.9 * (entropies[1] ?? NaN)
    }
    const { logitGradients } = logitsGradient({
      logits,
      tokens,
      temperature: 0.6,
      logProbGradients: Float64Array.of(1.3, -0.4),
      entropyGradients: Float64Array.of(0, 0.9)
    })
    logits.forEach((logit, k) => {
      const slope = (of(logits.with(k, logit + 1e-5)) - of(logits.with(k, logit - 1e-5))) / 2e-5
      expect(logitGradients[k]).toBeCloseTo(slope, 8)
    })
  })

  test('a row with coefficients of 0 becomes 0 and is not read', () => {
    const logits = input.logits.slice().fill(NaN, 23, 46)
    const tokens = input.tokens.with(1, -1)
    const { logitGradients } = logitsGradient({ logits, tokens, logProbGradients: logProbGradients.with(1, 0) })
    expect(logitGradients.subarray(23, 46).every((value) => value === 0)).toBe(true)
    const all = logitsGradient({ ...input, logProbGradients }).logitGradients
    expect(logitGradients.subarray(0, 23)).toEqual(all.subarray(0, 23))
    expect(logitGradients.subarray(46)).toEqual(all.subarray(46))
  })

  test('wrong input is named', () => {
    const call = (change: object) => () => logitsGradient({ ...input, logProbGradients, ...change })
    expect(call({ logProbGradients: new Float64Array(5) })).toThrow(/logProbGradients: expected 6 values/)
    expect(call({ entropyGradients: new Float64Array(23) })).toThrow(/entropyGradients: expected 6 values/)
    expect(call({ logProbGradients: logProbGradients.with(3, NaN) })).toThrow(/logProbGradients\[3\] is NaN/)
    expect(call({ logits: input.logits.with(24, NaN) })).toThrow(/row 1 has a logit that is NaN/)
    expect(call({ temperature: 0 })).toThrow(/temperature/)
    expect(call({ out: { logitGradients: input.logits } })).toThrow(/logitGradients and logits share memory/)
  })
})
