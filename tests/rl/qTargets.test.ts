import { describe, expect, test } from 'vitest'
import {
  AdjudgeError,
  duelingGradients,
  duelingQ,
  polyakAverage,
  qPresetNames,
  qTargets,
  resolveQAlgorithm,
  type QAlgorithmOptions,
  type QTargetInput
} from '../../src/index.js'
import { stream } from './stream.js'

const actionCount = 3
const cuSeqlens = Int32Array.of(0, 6, 6, 7, 16)
const steps = 16

function batch(seed: number) {
  const random = stream(seed)
  const draw = (length: number) => Float64Array.from({ length }, () => 4 * (random() - 0.5))
  const flags = (share: number) => Uint8Array.from({ length: steps }, () => (random() < share ? 1 : 0))
  return {
    cuSeqlens,
    rewards: draw(steps),
    terminated: flags(0.15),
    truncated: flags(0.15),
    discounts: Float64Array.from({ length: steps }, () => 0.5 + random() / 2),
    nextQ: draw(steps * actionCount),
    twinNextQ: draw(steps * actionCount),
    nextOnlineQ: draw(steps * actionCount),
    // The first action is always allowed.
    nextActionMask: Uint8Array.from({ length: steps * actionCount }, (_, index) =>
      index % 3 === 0 || random() < 0.7 ? 1 : 0
    ),
    nextValues: draw(steps),
    actions: Int32Array.from({ length: steps }, () => Math.floor(random() * actionCount))
  }
}
type Batch = ReturnType<typeof batch>

/** Value of the next state and the greedy action there, written out. */
function nextState(input: Partial<Batch> & { nextQ: Float64Array }, step: number, kind: string) {
  const allowed = [0, 1, 2].filter((action) => input.nextActionMask?.[step * actionCount + action] !== 0)
  const q = (values: Float64Array, action: number) => values[step * actionCount + action]
  const target = (action: number) =>
    input.twinNextQ ? Math.min(q(input.nextQ, action), q(input.twinNextQ, action)) : q(input.nextQ, action)
  const chooser = (action: number) =>
    kind === 'double' && input.nextOnlineQ ? q(input.nextOnlineQ, action) : target(action)
  const greedy = allowed.reduce((best, action) => (chooser(action) > chooser(best) ? action : best))
  if (kind === 'value' && input.nextValues) return { value: input.nextValues[step], greedy }
  if (kind === 'soft') {
    const sum = allowed.reduce((total, action) => total + Math.exp(target(action) / 0.7), 0)
    return { value: 0.7 * Math.log(sum), greedy }
  }
  return { value: target(greedy), greedy }
}

const endOf = (step: number) => cuSeqlens.find((end) => end > step) as number

/** The return of `count` steps from `step` on, by its recursive definition. */
function nStepReturn(input: Batch, values: number[], step: number, count: number): number {
  const discount = input.discounts[step]
  if (input.terminated[step]) return input.rewards[step]
  if (count === 1 || input.truncated[step] || step + 1 === endOf(step)) {
    return input.rewards[step] + discount * values[step]
  }
  return input.rewards[step] + discount * nStepReturn(input, values, step + 1, count - 1)
}

/** How many steps a return from here can have. */
function horizon(input: Batch, step: number, goesOn: (step: number) => boolean): number {
  let count = 1
  let at = step
  while (!input.terminated[at] && !input.truncated[at] && at + 1 < endOf(at) && goesOn(at)) {
    at++
    count++
  }
  return count
}

/** The λ-return by its forward view: (1 − λ) Σ λ^(n−1) G⁽ⁿ⁾, what is left of the weight on the longest. */
function forwardView(input: Batch, values: number[], step: number, lambda: number, goesOn: (step: number) => boolean) {
  const longest = horizon(input, step, goesOn)
  let sum = Math.pow(lambda, longest - 1) * nStepReturn(input, values, step, longest)
  for (let n = 1; n < longest; n++) {
    sum += (1 - lambda) * Math.pow(lambda, n - 1) * nStepReturn(input, values, step, n)
  }
  return sum
}

function expectClose(actual: ArrayLike<number>, expected: number[]): void {
  expect(actual.length).toBe(expected.length)
  expected.forEach((value, index) => expect(actual[index]).toBeCloseTo(value, 11))
}

const bootstraps = ['max', 'double', 'soft', 'value'] as const
const targetsOf = (targets: object, input: object) =>
  qTargets(resolveQAlgorithm({ targets } as QAlgorithmOptions), input as QTargetInput)

describe('qTargets', () => {
  for (const bootstrap of bootstraps) {
    test(`n-step returns equal their definition: ${bootstrap}`, () => {
      for (let seed = 1; seed <= 20; seed++) {
        const input = batch(seed)
        const values = Array.from({ length: steps }, (_, step) => nextState(input, step, bootstrap).value)
        for (const n of [1, 2, 3, 5, 100]) {
          const expected = Array.from({ length: steps }, (_, step) => nStepReturn(input, values, step, n))
          expectClose(targetsOf({ bootstrap, steps: n, temperature: 0.7 }, input), expected)
        }
      }
    })

    test(`λ-returns equal the forward view: ${bootstrap}`, () => {
      for (let seed = 1; seed <= 20; seed++) {
        const input = batch(seed)
        const states = Array.from({ length: steps }, (_, step) => nextState(input, step, bootstrap))
        const values = states.map(({ value }) => value)
        for (const lambda of [0, 0.3, 0.9, 1]) {
          const expected = values.map((_, step) => forwardView(input, values, step, lambda, () => true))
          expectClose(targetsOf({ bootstrap, lambda, temperature: 0.7 }, input), expected)
          if (bootstrap === 'soft' || bootstrap === 'value') continue
          const greedy = (step: number) => input.actions[step + 1] === states[step].greedy
          const cut = values.map((_, step) => forwardView(input, values, step, lambda, greedy))
          expectClose(targetsOf({ bootstrap, lambda, trace: 'watkins' }, input), cut)
        }
      }
    })
  }

  test('a terminated step has nothing after it; a truncated one, and the last, bootstraps', () => {
    const input = {
      cuSeqlens: Int32Array.of(0, 4),
      rewards: Float64Array.of(1, 2, 4, 8),
      nextQ: Float64Array.of(10, 20, 30, 40)
    }
    const rule = { gamma: 0.5, steps: 3 }
    expectClose(targetsOf(rule, input), [1 + 1 + 1 + 30 / 8, 2 + 2 + 2 + 40 / 8, 4 + 4 + 10, 8 + 20])
    expectClose(targetsOf(rule, { ...input, terminated: Uint8Array.of(0, 1, 0, 0) }), [2, 2, 18, 28])
    expectClose(targetsOf(rule, { ...input, truncated: Uint8Array.of(0, 1, 0, 0) }), [1 + 1 + 20 / 4, 12, 18, 28])
    const both = { terminated: Uint8Array.of(0, 1, 0, 0), truncated: Uint8Array.of(0, 1, 0, 0) }
    expectClose(targetsOf(rule, { ...input, ...both }), [2, 2, 18, 28])
  })

  test('transitions from replay stand by themselves; double takes the other network’s choice', () => {
    const input = { rewards: Float32Array.of(1, 2), nextQ: Float32Array.of(1, 5, 3, 7, 4, 4) }
    const result = targetsOf({ gamma: 0.5 }, input)
    expect(result).toBeInstanceOf(Float32Array)
    expectClose(result, [3.5, 5.5])
    const nextOnlineQ = Float64Array.of(0, -1, -2, 0, 0, 1)
    expectClose(targetsOf({ bootstrap: 'double', gamma: 0.5 }, { ...input, nextOnlineQ }), [1.5, 4])
    // A value that is never used may be anything.
    const open = { ...input, nextQ: Float32Array.of(1, NaN, 3, NaN, NaN, NaN), terminated: Uint8Array.of(0, 1) }
    expectClose(targetsOf({ gamma: 0.5 }, { ...open, nextActionMask: Uint8Array.of(1, 0, 1, 0, 0, 0) }), [2.5, 2])
  })

  test('quantiles: those of the action with the largest mean, shifted and shrunk', () => {
    const input = {
      rewards: Float64Array.of(1, 1),
      cuSeqlens: Int32Array.of(0, 2),
      quantiles: 2,
      nextQ: Float64Array.of(0, 9, 4, 6, 3, 3, 1, 2)
    }
    const rule = { preset: 'qr_dqn', targets: { gamma: 0.5 } }
    expectClose(qTargets(resolveQAlgorithm(rule), input), [3, 4, 2.5, 2.5])
    const far = { preset: 'qr_dqn', targets: { gamma: 0.5, steps: 2 } }
    expectClose(qTargets(resolveQAlgorithm(far), input), [2.25, 2.25, 2.5, 2.5])
    const nextOnlineQ = Float64Array.of(9, 9, 0, 0, 0, 0, 1, 1)
    const double = { preset: 'qr_dqn', targets: { gamma: 0.5, bootstrap: 'double' } }
    expectClose(qTargets(resolveQAlgorithm(double), { ...input, nextOnlineQ }), [1, 5.5, 1.5, 2])
  })

  test('bad input is named', () => {
    const good = { rewards: Float64Array.of(1, 2), nextQ: Float64Array.of(1, 2, 3, 4) }
    const refused = (change: object, targets: object = {}) => {
      try {
        targetsOf(targets, { ...good, ...change })
      } catch (error) {
        return error instanceof AdjudgeError ? `${error.code} ${error.message}` : String(error)
      }
      return 'no error'
    }
    expect(refused({})).toBe('no error')
    expect(refused({ rewards: Float64Array.of(1, NaN) })).toMatch(/^ARGUMENT_INVALID rewards\[1\]/)
    expect(refused({ nextQ: Float64Array.of(1, 2, 3, Infinity) })).toMatch(/^ARGUMENT_INVALID nextQ\[3\]/)
    expect(refused({ nextQ: Float64Array.of(1, 2, 3) })).toMatch(/^ARGUMENT_INVALID nextQ: expected 2 × actions/)
    expect(refused({ nextQ: undefined })).toMatch(/^ARGUMENT_INVALID nextQ/)
    expect(refused({ nextActionMask: Uint8Array.of(1, 1, 0, 0) })).toMatch(/^ARGUMENT_INVALID nextActionMask: step 1/)
    expect(refused({ terminated: new Uint8Array(3) })).toMatch(/^ARGUMENT_INVALID terminated/)
    expect(refused({ cuSeqlens: Int32Array.of(0, 3) })).toMatch(/^ARGUMENT_INVALID cuSeqlens/)
    expect(refused({}, { steps: 2 })).toMatch(/^ARGUMENT_INVALID cuSeqlens/)
    expect(refused({}, { bootstrap: 'double' })).toMatch(/^ARGUMENT_INVALID nextOnlineQ/)
    expect(refused({}, { bootstrap: 'value' })).toMatch(/^ARGUMENT_INVALID nextValues/)
    const watkins = { lambda: 0.5, trace: 'watkins' }
    const whole = { cuSeqlens: Int32Array.of(0, 2) }
    expect(refused(whole, watkins)).toMatch(/^ARGUMENT_INVALID actions/)
    expect(refused({ ...whole, actions: Int32Array.of(0, 2) }, watkins)).toMatch(/^ARGUMENT_INVALID actions\[1\]/)
  })
})

describe('resolveQAlgorithm', () => {
  test('every preset is whole; keys of YAML; nearest names', () => {
    for (const preset of qPresetNames) expect(resolveQAlgorithm(preset).preset).toBe(preset)
    const changed = resolveQAlgorithm({ preset: 'iql', loss: { policy: { weight_limit: 5 } } })
    expect(changed.loss.policy).toEqual({ coefficient: 1, beta: 3, weightLimit: 5 })
    expect(() => resolveQAlgorithm('dqm')).toThrow(/did you mean "dqn"/)
    expect(() => resolveQAlgorithm({ targets: { lamda: 1 } })).toThrow(/did you mean "targets.lambda"/)
    expect(() => resolveQAlgorithm({ targets: { bootstrap: 'maximum' } })).toThrow(/did you mean "max"/)
    expect(() => resolveQAlgorithm({ targets: { lambda: 0.5, steps: 3 } })).toThrow(/leave steps at 1/)
    expect(() => resolveQAlgorithm({ preset: 'soft_q', loss: { td: 'quantile' } })).toThrow(/quantile/)
  })
})

describe('dueling heads and target networks', () => {
  for (const centre of ['mean', 'max'] as const) {
    test(`duelingQ and its gradient: ${centre}`, () => {
      const random = stream(9)
      const draw = (length: number) => Float64Array.from({ length }, () => random() - 0.5)
      const input = { values: draw(4), advantages: draw(12), quantiles: 2, centre }
      const q = duelingQ(input)
      for (let step = 0; step < 2; step++) {
        for (let k = 0; k < 2; k++) {
          const row = [0, 1, 2].map((action) => input.advantages[(step * 3 + action) * 2 + k])
          const offset = centre === 'mean' ? (row[0] + row[1] + row[2]) / 3 : Math.max(...row)
          row.forEach((advantage, action) =>
            expect(q[(step * 3 + action) * 2 + k]).toBeCloseTo(input.values[step * 2 + k] + advantage - offset, 14)
          )
        }
      }
      // A linear function of Q, whose gradient by Q is `slope`.
      const slope = draw(12)
      const at = (changed: object) =>
        Array.from(duelingQ({ ...input, ...changed })).reduce((sum, value, index) => sum + value * slope[index], 0)
      const { valueGradients, advantageGradients } = duelingGradients(input, slope)
      for (const [name, gradients] of [
        ['values', valueGradients],
        ['advantages', advantageGradients]
      ] as const) {
        gradients.forEach((gradient, index) => {
          const shifted = (by: number) => {
            const numbers = input[name].slice()
            numbers[index] += by
            return at({ [name]: numbers })
          }
          expect(gradient).toBeCloseTo((shifted(1e-6) - shifted(-1e-6)) / 2e-6, 8)
        })
      }
    })
  }

  test('Polyak averaging moves the target in place', () => {
    for (const Type of [Float32Array, Float64Array]) {
      const target = Type.of(1, -2, 8)
      polyakAverage(target, Type.of(3, 2, 8), 0.25)
      expect(Array.from(target)).toEqual([1.5, -1, 8])
      polyakAverage(target, Type.of(0.1, 0.2, 0.3), 1)
      expect(target).toEqual(Type.of(0.1, 0.2, 0.3))
    }
    expect(() => polyakAverage(new Float32Array(2), new Float32Array(3), 0.5)).toThrow(/online: expected 2/)
    expect(() => polyakAverage(new Float32Array(2), new Float64Array(2), 0.5)).toThrow(/Float32Array/)
    expect(() => polyakAverage(new Float32Array(2), new Float32Array(2), 1.5)).toThrow(/rate/)
  })
})
