import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import {
  AdjudgeError,
  qLoss,
  qTargets,
  resolveQAlgorithm,
  type QAlgorithmOptions,
  type QLossInput
} from '../../src/index.js'
import { stream } from './stream.js'

interface Expected {
  steps: number
  vocabulary: number
  ilql: {
    name: string
    parameters: Record<'tau' | 'gamma' | 'cql_scale' | 'awac_scale' | 'beta', number>
    actions: number[]
    goes_on: number[]
    rewards: number[]
    qs: number[][]
    target_qs: number[][]
    values: number[]
    log_probs: number[]
    losses: Record<'loss' | 'loss_q' | 'loss_v' | 'loss_cql' | 'loss_awac', number>
    grad_qs: number[][]
    grad_values: number[]
    grad_log_probs: number[]
  }[]
  quantile: { quantiles: number; current: number[]; target: number[]; loss: number; grad: number[] }[]
  regression: { kind: string; threshold: number; current: number[]; target: number[]; loss: number; grad: number[] }[]
}

/** Values of trlx, SB3 and torch, made by scripts/golden/q_learning.py. */
const expected = JSON.parse(readFileSync(new URL('./expected/q-learning.json', import.meta.url), 'utf8')) as Expected

function expectClose(actual: ArrayLike<number> | undefined, values: number[]): void {
  expect(actual?.length).toBe(values.length)
  values.forEach((value, index) => {
    expect(Math.abs((actual as ArrayLike<number>)[index] - value) / (1 + Math.abs(value))).toBeLessThan(1e-12)
  })
}

const steps = 6
const actionCount = 4

function batch(quantiles = 1): QLossInput {
  const random = stream(11)
  const draw = (length: number) => Float64Array.from({ length }, () => 4 * (random() - 0.5))
  return {
    q: draw(steps * actionCount * quantiles),
    twinQ: draw(steps * actionCount * quantiles),
    actions: Int32Array.of(0, 3, 1, 1, 2, 0),
    targets: draw(steps * quantiles),
    weights: Float64Array.of(1, 0.5, 0.2, 1, 0.7, 0.9),
    mask: Uint8Array.of(1, 1, 0, 1, 1, 1),
    actionMask: Uint8Array.from({ length: steps * actionCount }, (_, index) => (index % 4 === 3 && index > 7 ? 0 : 1)),
    values: draw(steps),
    targetQ: draw(steps),
    twinTargetQ: draw(steps),
    logProbs: draw(steps),
    quantiles
  }
}

const everyTerm = {
  conservative: { coefficient: 0.4, temperature: 0.6 },
  value: { coefficient: 0.8, expectile: 0.8 },
  policy: { coefficient: 0.5, beta: 1.5, weightLimit: 3 }
}

const records: Record<string, { options: QAlgorithmOptions; quantiles?: number }> = {
  squared: { options: 'dqn' },
  huber: { options: { loss: { td: 'huber', huber_threshold: 0.4 } } },
  quantile: { options: { loss: { td: 'quantile', huber_threshold: 0.5 } }, quantiles: 5 },
  'quantile without smoothing': { options: { loss: { td: 'quantile', huber_threshold: 0 } }, quantiles: 5 },
  'conservative quantiles': { options: { loss: { ...everyTerm, td: 'quantile', td_coefficient: 0.3 } }, quantiles: 3 },
  cql: { options: { preset: 'cql', loss: { conservative: { temperature: 2 } } } },
  ilql: { options: { preset: 'ilql', loss: { policy: { beta: 2 } } } },
  'every term': { options: { loss: { ...everyTerm, td: 'huber', td_coefficient: 2 } } }
}

const gradientNames = {
  q: 'qGradients',
  twinQ: 'twinQGradients',
  actionQ: 'actionQGradients',
  twinActionQ: 'twinActionQGradients',
  logSumExpQ: 'logSumExpQGradients',
  twinLogSumExpQ: 'twinLogSumExpQGradients',
  values: 'valueGradients',
  logProbs: 'logProbGradients'
} as const

/** Largest difference between the gradients and central differences; targets and weights are constants. */
function gradientError(options: QAlgorithmOptions, input: QLossInput): number {
  const algorithm = resolveQAlgorithm(options)
  const result = qLoss(algorithm, input)
  // The extraction weight is no function of V for the gradient: V moves without the policy's term.
  const withoutPolicy = resolveQAlgorithm(options)
  withoutPolicy.loss.policy.coefficient = 0
  const step = 1e-6
  let worst = 0
  for (const [name, gradientName] of Object.entries(gradientNames)) {
    const values = input[name as keyof typeof gradientNames]
    const gradients = result[gradientName]
    if (!values || !gradients) continue
    const measured = name === 'values' ? withoutPolicy : algorithm
    for (let index = 0; index < values.length; index++) {
      const at = (shift: number) => {
        const changed = values.slice()
        changed[index] += shift
        return qLoss(measured, { ...input, [name]: changed }).loss
      }
      worst = Math.max(worst, Math.abs((at(step) - at(-step)) / (2 * step) - gradients[index]))
    }
  }
  return worst
}

/** The same batch in the gathered form. */
function gathered(input: QLossInput, temperature: number): QLossInput {
  const { q, twinQ, actions, actionMask, ...rest } = input
  const gather = (values: QLossInput['q'], of: (row: number[], step: number) => number) =>
    values &&
    Float64Array.from({ length: steps }, (_, step) =>
      of(Array.from(values.slice(step * actionCount, (step + 1) * actionCount)), step)
    )
  const own = (row: number[], step: number) => row[(actions as Int32Array)[step]]
  const logSumExp = (row: number[], step: number) =>
    temperature *
    Math.log(
      row.reduce(
        (sum, value, action) => sum + (actionMask?.[step * actionCount + action] ?? 1) * Math.exp(value / temperature),
        0
      )
    )
  return {
    ...rest,
    actionQ: gather(q, own),
    twinActionQ: gather(twinQ, own),
    logSumExpQ: gather(q, logSumExp),
    twinLogSumExpQ: gather(twinQ, logSumExp)
  }
}

describe('qLoss', () => {
  for (const [name, { options, quantiles }] of Object.entries(records)) {
    test(`gradients equal central differences: ${name}`, () => {
      const input = batch(quantiles)
      expect(gradientError(options, input)).toBeLessThan(1e-8)
      expect(gradientError(options, { ...input, twinQ: undefined, weights: undefined, mask: undefined })).toBeLessThan(
        1e-8
      )
      if (quantiles) return
      const { temperature } = resolveQAlgorithm(options).loss.conservative
      expect(gradientError(options, gathered(input, temperature))).toBeLessThan(1e-8)
    })
  }

  for (const golden of expected.ilql) {
    test(`equals trlx’s ILQL, loss by loss and gradient by gradient: ${golden.name}`, () => {
      const { tau, gamma, cql_scale, awac_scale, beta } = golden.parameters
      const algorithm = resolveQAlgorithm({
        preset: 'ilql',
        targets: { gamma },
        loss: {
          value: { expectile: tau },
          conservative: { coefficient: cql_scale },
          policy: { coefficient: awac_scale, beta }
        }
      })
      // trlx has rows of steps + 1 states; ours are the steps.
      const rows = golden.goes_on.length / (expected.steps + 1)
      const states = (values: number[], from: number) =>
        Array.from({ length: rows }, (_, row) =>
          values.slice(row * (expected.steps + 1) + from).slice(0, expected.steps)
        ).flat()
      const vocabulary = expected.vocabulary
      const taken = (values: number[] | undefined) =>
        values && Float64Array.from(golden.actions, (action, step) => values[step * vocabulary + action])
      const targets = qTargets(algorithm, {
        rewards: Float64Array.from(golden.rewards),
        terminated: Uint8Array.from(states(golden.goes_on, 1), (on) => 1 - on),
        nextValues: Float64Array.from(states(golden.values, 1))
      })
      const whole = golden.qs.map((q) => Float64Array.from(q))
      const rest = {
        targets,
        mask: Uint8Array.from(states(golden.goes_on, 0)),
        values: Float64Array.from(states(golden.values, 0)),
        targetQ: taken(golden.target_qs[0]),
        twinTargetQ: taken(golden.target_qs[1]),
        logProbs: Float64Array.from(golden.log_probs)
      }
      const result = qLoss(algorithm, {
        q: whole[0],
        twinQ: whole[1],
        actions: Int32Array.from(golden.actions),
        ...rest
      })
      const { losses } = golden
      expectClose([result.loss, result.metrics.td], [losses.loss, losses.loss_q])
      expectClose([result.metrics.conservative, result.metrics.value], [losses.loss_cql, losses.loss_v])
      expectClose(result.qGradients, golden.grad_qs[0])
      if (golden.grad_qs[1]) expectClose(result.twinQGradients, golden.grad_qs[1])
      expectClose(result.valueGradients, golden.grad_values)
      if (awac_scale > 0) {
        expectClose([result.metrics.policy], [losses.loss_awac])
        expectClose(result.logProbGradients, golden.grad_log_probs)
      }
    })
  }

  test('equals SB3’s quantile Huber loss, and torch’s squared and Huber losses', () => {
    for (const golden of expected.quantile) {
      const result = qLoss(resolveQAlgorithm('qr_dqn'), {
        q: Float64Array.from(golden.current),
        actions: new Int32Array(golden.current.length / golden.quantiles),
        targets: Float64Array.from(golden.target),
        quantiles: golden.quantiles
      })
      expectClose([result.loss], [golden.loss])
      expectClose(result.qGradients, golden.grad)
    }
    for (const golden of expected.regression) {
      const loss = { td: golden.kind, huber_threshold: golden.threshold }
      const result = qLoss(resolveQAlgorithm({ loss }), {
        actionQ: Float64Array.from(golden.current),
        targets: Float64Array.from(golden.target)
      })
      expectClose([result.loss], [golden.loss])
      expectClose(result.actionQGradients, golden.grad)
      expectClose(
        result.priorities,
        golden.current.map((value, step) => Math.abs(value - golden.target[step]))
      )
    }
  })

  test('the gathered form gives the loss, and by the chain rule the gradients, of the whole one', () => {
    const algorithm = resolveQAlgorithm(records['every term'].options)
    const input = batch()
    const whole = qLoss(algorithm, input)
    const parts = qLoss(algorithm, gathered(input, 0.6))
    expectClose([parts.loss], [whole.loss])
    expectClose(parts.priorities, Array.from(whole.priorities as Float64Array))
    expectClose(parts.valueGradients, Array.from(whole.valueGradients as Float64Array))
    // Rows of the whole gradient add up to both coefficients, as softmax and one-hot do to 1.
    for (let step = 0; step < steps; step++) {
      const row = whole.twinQGradients?.slice(step * actionCount, (step + 1) * actionCount) as Float64Array
      const sum = row.reduce((total, value) => total + value, 0)
      expect((parts.twinActionQGradients?.[step] ?? 0) + (parts.twinLogSumExpQGradients?.[step] ?? 0)).toBeCloseTo(
        sum,
        12
      )
    }
  })

  test('a step that does not count is not read and has no gradient; parts of a batch add up', () => {
    for (const { options, quantiles = 1 } of Object.values(records)) {
      const algorithm = resolveQAlgorithm(options)
      const input = batch(quantiles)
      const width = actionCount * quantiles
      input.q?.fill(NaN, 2 * width, 3 * width)
      input.targets?.fill(NaN, 2 * quantiles, 3 * quantiles)
      for (const name of ['values', 'targetQ', 'logProbs', 'weights'] as const) input[name]?.fill(NaN, 2, 3)
      if (input.actions) input.actions[2] = -7
      const whole = qLoss(algorithm, input)
      expect(Array.from(whole.qGradients?.slice(2 * width, 3 * width) ?? [])).toEqual(new Array<number>(width).fill(0))
      expect(whole.priorities?.[2]).toBe(0)
      expect(whole.metrics.steps).toBe(5)
      const halves = [
        [0, 4],
        [4, 6]
      ].map(([first, end]) => {
        const cut: Record<string, unknown> = { quantiles, batchSteps: 5 }
        for (const [name, values] of Object.entries(input)) {
          if (!ArrayBuffer.isView(values)) continue
          const array = values as Float64Array
          cut[name] = array.slice((first * array.length) / steps, (end * array.length) / steps)
        }
        return qLoss(algorithm, cut as QLossInput)
      })
      expectClose([halves[0].loss + halves[1].loss], [whole.loss])
      const gradients = halves.flatMap((half) => Array.from(half.qGradients ?? []))
      expectClose(whole.qGradients, gradients)
    }
  })

  test('Float32Array: its arithmetic is f32 too, 1e-5 (1 + |value|) of the f64 formulas on the same numbers', () => {
    const algorithm = resolveQAlgorithm(records['every term'].options)
    const single = Object.fromEntries(
      Object.entries(batch()).map(([name, values]) => [
        name,
        values instanceof Float64Array ? Float32Array.from(values) : values
      ])
    ) as QLossInput
    const double = Object.fromEntries(
      Object.entries(single).map(([name, values]) => [
        name,
        values instanceof Float32Array ? Float64Array.from(values) : values
      ])
    ) as QLossInput
    const [low, high] = [qLoss(algorithm, single), qLoss(algorithm, double)]
    expect(Math.abs(low.loss - high.loss)).toBeLessThan(1e-6 * (1 + Math.abs(high.loss)))
    for (const name of Object.values(gradientNames)) {
      high[name]?.forEach((expected, index) => {
        const value = low[name]?.[index] ?? NaN
        expect(Math.abs(value - expected), `${name}[${index}]`).toBeLessThan(1e-5 * (1 + Math.abs(expected)))
      })
    }
  })

  test('a vocabulary of 49,152: the row’s softmax minus one-hot, and the same bits in one piece or many', () => {
    const vocabulary = 49_152
    const random = stream(3)
    const q = Float32Array.from({ length: 3 * vocabulary }, () => random() * 8)
    const actions = Int32Array.from({ length: 3 }, () => Math.floor(random() * vocabulary))
    const algorithm = resolveQAlgorithm({ preset: 'cql', loss: { td_coefficient: 0 } })
    const whole = qLoss(algorithm, { q, actions })
    let loss = 0
    for (let step = 0; step < 3; step++) {
      const row = q.slice(step * vocabulary, (step + 1) * vocabulary)
      const total = row.reduce((sum, value) => sum + Math.exp(value), 0)
      loss += Math.log(total) - row[actions[step]]
      const gradient = whole.qGradients?.[step * vocabulary + actions[step]] ?? 0
      expect(gradient).toBeCloseTo((Math.exp(row[actions[step]]) / total - 1) / 3, 6)
      const alone = qLoss(algorithm, { q: row, actions: actions.slice(step, step + 1), batchSteps: 3 })
      expect(alone.qGradients).toEqual(whole.qGradients?.slice(step * vocabulary, (step + 1) * vocabulary))
    }
    expect(Math.abs(whole.loss - loss / 3)).toBeLessThan(1e-6 * (1 + loss / 3))
  })

  test('bad input is named', () => {
    const refused = (change: object, options: QAlgorithmOptions = 'dqn') => {
      try {
        qLoss(resolveQAlgorithm(options), { ...batch(), ...change })
      } catch (error) {
        return error instanceof AdjudgeError ? `${error.code} ${error.message}` : String(error)
      }
      return 'no error'
    }
    const withNaN = (length: number, index: number) => new Float64Array(length).fill(NaN, index, index + 1)
    expect(refused({})).toBe('no error')
    expect(refused({ q: undefined })).toMatch(/^ARGUMENT_INVALID q: expected either/)
    expect(refused({ actions: undefined })).toMatch(/^ARGUMENT_INVALID actions: needed/)
    expect(refused({ actions: Int32Array.of(0, 4, 0, 0, 0, 0) })).toMatch(/^ARGUMENT_INVALID actions\[1\] is 4/)
    expect(refused({ actions: Int32Array.of(0, 0, 0, 3, 0, 0) })).toMatch(/^ARGUMENT_INVALID actions\[3\].*actionMask/)
    expect(refused({ targets: withNaN(6, 4) })).toMatch(/^ARGUMENT_INVALID targets\[4\] is nan/i)
    expect(refused({ twinQ: withNaN(24, 7) })).toMatch(/^ARGUMENT_INVALID twinQ\[7\]/)
    expect(refused({ targets: new Float64Array(5) })).toMatch(/^ARGUMENT_INVALID targets: expected 6/)
    expect(refused({ q: new Float64Array(23) })).toMatch(/^ARGUMENT_INVALID q: expected 6/)
    expect(refused({ q: withNaN(24, 2) }, 'cql')).toMatch(/^ARGUMENT_INVALID q\[2\]/)
    expect(refused({ values: undefined }, 'ilql')).toMatch(/^ARGUMENT_INVALID values/)
    expect(refused({ logProbs: undefined }, 'ilql')).toMatch(/^ARGUMENT_INVALID logProbs/)
    expect(refused({ targetQ: undefined }, 'ilql')).toMatch(/^ARGUMENT_INVALID targetQ/)
    const steep = { preset: 'ilql', loss: { policy: { beta: 1000 } } }
    expect(refused({ targetQ: new Float64Array(6).fill(9), twinTargetQ: undefined }, steep)).toMatch(/weight_limit/)
    const apart = { q: undefined, twinQ: undefined, actionMask: undefined, actionQ: new Float64Array(6) }
    expect(refused(apart, 'cql')).toMatch(/^ARGUMENT_INVALID logSumExpQ/)
    expect(refused(apart, 'qr_dqn')).toMatch(/^ARGUMENT_INVALID q: the quantile/)
  })
})
