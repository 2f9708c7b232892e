import { describe, expect, test } from 'vitest'
import { gae, retrace, upgo, vtrace } from '../../src/rl/index.js'

/** Random ragged sequences with masked tokens and bootstrap values; and the same, one sequence of steps at a time. */
function sequences(seed: number) {
  let state = seed
  const random = () => {
    state = (state * 1103515245 + 12345) % 2147483648
    return state / 2147483648
  }
  const lengths = [5, 0, 1, 9, 3, 12]
  const cuSeqlens = Int32Array.from([0, ...lengths.map((_, i) => lengths.slice(0, i + 1).reduce((a, b) => a + b))])
  const tokens = cuSeqlens[lengths.length]
  const array = (scale: number) => Float64Array.from({ length: tokens }, () => (random() * 2 - 1) * scale)
  const input = {
    rewards: array(1),
    values: array(1),
    actionValues: array(1),
    logRatios: array(1.5),
    cuSeqlens,
    mask: Uint8Array.from({ length: tokens }, () => (random() < 0.7 ? 1 : 0)),
    bootstrapValues: Float64Array.from(lengths, () => random())
  }
  const rows = lengths.map((length, row) => {
    const all = Array.from({ length }, (_, t) => cuSeqlens[row] + t).filter((t) => input.mask[t] === 1)
    return {
      tokens: all,
      rewards: all.map((t) => input.rewards[t]),
      values: [...all.map((t) => input.values[t]), input.bootstrapValues[row]],
      actionValues: all.map((t) => input.actionValues[t]),
      ratios: all.map((t) => Math.exp(input.logRatios[t]))
    }
  })
  return { input, rows, tokens }
}

type Row = ReturnType<typeof sequences>['rows'][number]

/** What a definition says of each token, 0 where there is no step. */
function expected(rows: Row[], tokens: number, value: (row: Row, step: number) => number): number[] {
  const all = new Array<number>(tokens).fill(0)
  for (const row of rows) row.tokens.forEach((token, step) => (all[token] = value(row, step)))
  return all
}

function expectClose(actual: ArrayLike<number>, wanted: number[]): void {
  expect(actual).toHaveLength(wanted.length)
  wanted.forEach((value, index) => expect(actual[index], `token ${index}`).toBeCloseTo(value, 11))
}

const product = (values: number[]) => values.reduce((a, b) => a * b, 1)
const range = (from: number, to: number) => Array.from({ length: Math.max(0, to - from) }, (_, i) => from + i)
const gamma = 0.9
const lambda = 0.8

describe('returns of packed sequences against their definitions', () => {
  const { input, rows, tokens } = sequences(7)

  test('GAE is the λ-weighted mean of all n-step advantages', () => {
    const nStep = ({ rewards, values }: Row, t: number, n: number) =>
      range(0, n).reduce((sum, k) => sum + gamma ** k * rewards[t + k], 0) + gamma ** n * values[t + n] - values[t]
    const wanted = expected(rows, tokens, (row, t) => {
      const steps = row.rewards.length - t
      const inner = range(1, steps).reduce((sum, n) => sum + (1 - lambda) * lambda ** (n - 1) * nStep(row, t, n), 0)
      return inner + lambda ** (steps - 1) * nStep(row, t, steps)
    })
    const result = gae(input, { gamma, lambda })
    expectClose(result.advantages, wanted)
    expectClose(
      result.returns,
      wanted.map((value, t) => (input.mask[t] ? value + input.values[t] : 0))
    )
  })

  test('GAE through masked tokens: steps whose reward and value are 0', () => {
    const through = gae(input, { gamma, lambda, maskedReturn: 'through' })
    const zeroed = (values: Float64Array) => values.map((value, t) => (input.mask[t] ? value : 0))
    const whole = gae(
      { ...input, rewards: zeroed(input.rewards), values: zeroed(input.values), mask: undefined },
      { gamma, lambda }
    )
    expectClose(through.advantages, Array.from(zeroed(whole.advantages as Float64Array)))
  })

  test('V-trace', () => {
    const rhoClip = 1.2
    const cClip = 0.9
    const policyGradientRhoClip = 1.1
    const target = (row: Row, t: number): number => {
      const { rewards, values, ratios } = row
      if (t === rewards.length) return values[t]
      return range(t, rewards.length).reduce((sum, s) => {
        const traces = product(range(t, s).map((i) => lambda * Math.min(cClip, ratios[i])))
        const difference = rewards[s] + gamma * values[s + 1] - values[s]
        return sum + gamma ** (s - t) * traces * Math.min(rhoClip, ratios[s]) * difference
      }, values[t])
    }
    const result = vtrace(input, { gamma, lambda, rhoClip, cClip, policyGradientRhoClip })
    expectClose(result.targets, expected(rows, tokens, target))
    expectClose(
      result.advantages,
      expected(rows, tokens, (row, t) => {
        const beyond = lambda * target(row, t + 1) + (1 - lambda) * row.values[t + 1]
        return Math.min(policyGradientRhoClip, row.ratios[t]) * (row.rewards[t] + gamma * beyond - row.values[t])
      })
    )
  })

  test('V-trace of the policy’s own samples with λ = 1 is the discounted return', () => {
    const { targets } = vtrace({ ...input, logRatios: undefined }, { gamma })
    const wanted = expected(rows, tokens, ({ rewards, values }, t) => {
      const steps = rewards.length - t
      const discounted = range(0, steps).reduce((sum, k) => sum + gamma ** k * rewards[t + k], 0)
      return discounted + gamma ** steps * values[rewards.length]
    })
    expectClose(targets, wanted)
  })

  test('Retrace, and its relatives without a bound and without ratios', () => {
    const targetsBy =
      (trace: (ratio: number) => number) =>
      ({ rewards, values, actionValues, ratios }: Row, t: number): number =>
        range(t, rewards.length).reduce((sum, s) => {
          const traces = product(range(t + 1, s + 1).map((i) => trace(ratios[i])))
          const difference = rewards[s] + gamma * values[s + 1] - actionValues[s]
          return sum + gamma ** (s - t) * traces * difference
        }, actionValues[t])
    const bounded = targetsBy((ratio) => lambda * Math.min(1, ratio))
    expectClose(retrace(input, { gamma, lambda }).targets, expected(rows, tokens, bounded))
    const unbounded = targetsBy((ratio) => lambda * ratio)
    expectClose(retrace(input, { gamma, lambda, cClip: null }).targets, expected(rows, tokens, unbounded))
    const own = targetsBy(() => lambda)
    const { targets } = retrace({ ...input, logRatios: undefined }, { gamma, lambda })
    expectClose(targets, expected(rows, tokens, own))
  })

  test('UPGO follows the sampled steps while they do as well as their value', () => {
    const returnOf = ({ rewards, values }: Row, t: number): number => {
      let sum = rewards[t]
      let step = t + 1
      while (step < rewards.length && rewards[step] + gamma * values[step + 1] >= values[step]) {
        sum += gamma ** (step - t) * rewards[step]
        step++
      }
      return sum + gamma ** (step - t) * values[step]
    }
    const result = upgo(input, { gamma, rhoClip: 1 })
    expectClose(result.returns, expected(rows, tokens, returnOf))
    expectClose(
      result.advantages,
      expected(rows, tokens, (row, t) => Math.min(1, row.ratios[t]) * (returnOf(row, t) - row.values[t]))
    )
  })

  test('numbers worked out by hand', () => {
    const short = {
      rewards: Float64Array.of(0, 0, 1),
      values: Float64Array.of(0.5, 0.4, 0.3),
      cuSeqlens: Int32Array.of(0, 3)
    }
    expectClose(gae(short, { lambda: 0.95 }).advantages, [0.43675, 0.565, 0.7])
    const traced = vtrace({ ...short, logRatios: Float64Array.from([2, 0.5, 1], Math.log) }, { gamma: 0.9 })
    expectClose(traced.targets, [0.585, 0.65, 1])
    expectClose(traced.advantages, [0.085, 0.25, 0.7])
    expectClose(upgo(short).returns, [0.4, 1, 1])
  })

  test('Float32Array in, Float32Array out; no sequences, no results', () => {
    const single = gae({ ...input, rewards: Float32Array.from(input.rewards) }, { gamma, lambda })
    expect(single.returns).toBeInstanceOf(Float32Array)
    const empty = { rewards: new Float64Array(0), values: new Float64Array(0), cuSeqlens: Int32Array.of(0) }
    expect(vtrace(empty).targets).toHaveLength(0)
  })

  test('wrong input is named', () => {
    expect(() => gae({ ...input, values: new Float64Array(3) })).toThrow(/values: expected 30/)
    expect(() => gae(input, { gamma: 1.5 })).toThrow(/gamma is 1.5, expected a number from 0 to 1/)
    expect(() => vtrace(input, { rhoClip: -1 })).toThrow(/rhoClip is -1/)
    expect(() => vtrace({ ...input, logRatios: input.logRatios.map(() => Infinity) })).toThrow(/logRatios\[\d+\]/)
    expect(() => upgo({ ...input, bootstrapValues: Float64Array.of(1) })).toThrow(/bootstrapValues: expected 6/)
    expect(() => retrace({ ...input, cuSeqlens: Int32Array.of(0, 9, 4, 30) })).toThrow(/bootstrapValues|cuSeqlens/)
    expect(() => gae({ ...input, bootstrapValues: undefined, cuSeqlens: Int32Array.of(0, 9, 4, 30) })).toThrow(
      /cuSeqlens/
    )
  })
})
