import { deserialize, serialize } from 'node:v8'
import { describe, expect, test } from 'vitest'
import { AdjudgeError, ReplayBuffer, type ReplayPriorities, type ReplayState } from '../../src/index.js'

const fields = { state: { type: 'float32', width: 2 }, action: { type: 'int32' } } as const

function filled(capacity: number, count: number, priorities?: ReplayPriorities, seed = 1) {
  const buffer = new ReplayBuffer({ capacity, fields, seed, priorities })
  for (let first = 0; first < count; first += 3) {
    const rows = Math.min(3, count - first)
    const numbers = Array.from({ length: rows }, (_, row) => first + row)
    buffer.add({ state: numbers.flatMap((value) => [value, -value]), action: Int32Array.from(numbers) })
  }
  return buffer
}

function codeOf(call: () => unknown): string {
  try {
    call()
  } catch (error) {
    if (error instanceof AdjudgeError) return `${error.code} ${error.message}`
    throw error
  }
  return 'no error'
}

/** Pearson's statistic over its mean and deviation: about standard normal for many degrees of freedom. */
function chiSquaredScore(counts: number[], probabilities: number[]): number {
  const draws = counts.reduce((sum, count) => sum + count, 0)
  let statistic = 0
  let cells = 0
  counts.forEach((count, cell) => {
    const expected = draws * probabilities[cell]
    if (expected === 0) return expect(count).toBe(0)
    statistic += (count - expected) ** 2 / expected
    cells++
  })
  const freedom = cells - 1
  // Wilson and Hilferty's cube root is close to normal from a few degrees of freedom on.
  const spread = 2 / (9 * freedom)
  return (Math.cbrt(statistic / freedom) - (1 - spread)) / Math.sqrt(spread)
}

function countDraws(buffer: ReplayBuffer<typeof fields>, batches: number, batch: number): number[] {
  const counts = new Array<number>(buffer.size).fill(0)
  for (let draw = 0; draw < batches; draw++) {
    for (const index of buffer.sample(batch).indices) counts[index]++
  }
  return counts
}

describe('ReplayBuffer', () => {
  test('a ring: the oldest rows go, a row keeps its fields together', () => {
    const buffer = filled(7, 17)
    expect(buffer.size).toBe(7)
    const { rows, weights, indices, beta } = buffer.sample(500)
    expect(beta).toBe(0)
    expect(new Set(weights)).toEqual(new Set([1]))
    expect(new Set(rows.action)).toEqual(new Set([10, 11, 12, 13, 14, 15, 16]))
    rows.action.forEach((action, row) => {
      expect([rows.state[2 * row], rows.state[2 * row + 1]]).toEqual([action, -action])
      expect(action % 7).toBe(indices[row])
    })
    expect(Array.from(buffer.rows(Int32Array.of(3, 2)).action)).toEqual([10, 16])
  })

  test('adding more than fits before the end goes round, in one call, from arrays and typed arrays', () => {
    for (const convert of [(values: number[]) => values, (values: number[]) => Float64Array.from(values)]) {
      const buffer = new ReplayBuffer({ capacity: 5, fields, seed: 0 })
      buffer.add({ state: convert([0, 0, 1, 1, 2, 2]), action: [0, 1, 2] })
      expect(Array.from(buffer.add({ state: convert([3, 3, 4, 4, 5, 5, 6, 6]), action: [3, 4, 5, 6] }))).toEqual([
        3, 4, 0, 1
      ])
      expect(Array.from(buffer.rows(Int32Array.of(0, 1, 2, 3, 4)).state)).toEqual([5, 5, 6, 6, 2, 2, 3, 3, 4, 4])
    }
  })

  test('uniform draws are uniform (chi-squared)', () => {
    for (const seed of [1, 2, 3]) {
      const buffer = filled(101, 101, undefined, seed)
      const score = chiSquaredScore(countDraws(buffer, 1000, 100), new Array<number>(101).fill(1 / 101))
      expect(Math.abs(score)).toBeLessThan(4)
    }
  })

  test('independent draws have the frequencies of the priorities (chi-squared), stratified ones are no further off', () => {
    for (const alpha of [0, 0.6, 1, 2]) {
      for (const seed of [1, 2]) {
        const errors = Float64Array.from({ length: 300 }, (_, index) => (index % 7 === 0 ? 0 : -0.2 - (index % 13)))
        const leaves = Array.from(errors, (error) => Math.pow(Math.abs(error), alpha))
        const total = leaves.reduce((sum, leaf) => sum + leaf, 0)
        const probabilities = leaves.map((leaf) => leaf / total)
        const scores = (['independent', 'stratified'] as const).map((sampling) => {
          const buffer = filled(300, 300, { alpha, epsilon: 0, sampling }, seed)
          buffer.updatePriorities(
            Int32Array.from(errors, (_, index) => index),
            errors
          )
          expect(buffer.probability(5)).toBeCloseTo(probabilities[5], 14)
          return chiSquaredScore(countDraws(buffer, 1000, 100), probabilities)
        })
        expect(Math.abs(scores[0])).toBeLessThan(4)
        expect(scores[1]).toBeLessThan(4)
      }
    }
  })

  test('a wrong priority is noticed by the test of frequencies', () => {
    const buffer = filled(300, 300, { alpha: 1, epsilon: 0, sampling: 'independent' })
    buffer.updatePriorities(Int32Array.of(17), Float64Array.of(2))
    const counts = countDraws(buffer, 1000, 100)
    expect(chiSquaredScore(counts, new Array<number>(300).fill(1 / 300))).toBeGreaterThan(6)
  })

  test('importance weights: (size · P)^-beta, over the largest of the batch, of the buffer, or as they are', () => {
    const errors = Float64Array.of(0.5, 1, 2, 4)
    const leaves = Array.from(errors, (error) => Math.pow(error + 0.1, 0.7))
    const total = leaves.reduce((sum, leaf) => sum + leaf, 0)
    for (const normalization of ['batch', 'buffer', 'none'] as const) {
      const buffer = filled(6, 4, { alpha: 0.7, beta: 0.8, epsilon: 0.1, normalization })
      buffer.updatePriorities(Int32Array.of(0, 1, 2, 3), errors)
      for (let round = 0; round < 5; round++) {
        const { indices, weights } = buffer.sample(2)
        const raw = (index: number) => Math.pow((4 * leaves[index]) / total, -0.8)
        const all = normalization === 'buffer' ? [0, 1, 2, 3] : Array.from(indices)
        const largest = normalization === 'none' ? 1 : Math.max(...all.map(raw))
        weights.forEach((weight, k) => expect(weight).toBeCloseTo(raw(indices[k]) / largest, 13))
      }
    }
  })

  test('weights undo the priorities: the weighted mean of a batch estimates the plain mean', () => {
    const buffer = filled(50, 50, { alpha: 1, beta: 1, epsilon: 0.2, normalization: 'none' })
    const errors = Float64Array.from({ length: 50 }, (_, index) => index / 5)
    buffer.updatePriorities(
      Int32Array.from(errors, (_, index) => index),
      errors
    )
    const { weights, rows } = buffer.sample(200_000)
    const mean = rows.action.reduce((sum, action, k) => sum + action * weights[k], 0) / 200_000
    expect(Math.abs(mean - 24.5)).toBeLessThan(0.05)
  })

  test('beta is annealed over the calls of sample', () => {
    const buffer = filled(5, 5, { beta: { start: 0.4, end: 1, samples: 4 } })
    const betas = Array.from({ length: 6 }, () => buffer.sample(2).beta)
    betas.forEach((beta, call) => expect(beta).toBeCloseTo(Math.min(1, 0.4 + 0.15 * call), 14))
  })

  test('new entries get the largest priority so far, or that of the error given', () => {
    const buffer = filled(10, 3, { alpha: 1, epsilon: 0 })
    buffer.updatePriorities(Int32Array.of(0), Float32Array.of(5))
    buffer.updatePriorities(Int32Array.of(0), Float32Array.of(2))
    buffer.add({ state: [0, 0], action: [0] })
    buffer.add({ state: [0, 0], action: [0] }, Float64Array.of(-3))
    const total = 2 + 1 + 1 + 5 + 3
    const shares = [2, 1, 1, 5, 3].map((priority) => priority / total)
    shares.forEach((share, index) => expect(buffer.probability(index)).toBeCloseTo(share, 14))
  })

  test('the same seed gives the same draws; a restored buffer goes on as the old one', () => {
    for (const priorities of [undefined, { alpha: 0.6, normalization: 'buffer' } as const]) {
      const run = () => {
        const buffer = filled(40, 55, priorities, 77)
        for (let step = 0; step < 10; step++) {
          const { indices, rows } = buffer.sample(8)
          if (priorities)
            buffer.updatePriorities(
              indices,
              Float32Array.from(rows.action, (action) => action / 7)
            )
        }
        return buffer
      }
      const first = run()
      const restored = ReplayBuffer.restore<typeof fields>(deserialize(serialize(run().state())) as ReplayState)
      const other = filled(40, 55, priorities, 78)
      for (const step of [1, 2, 3]) {
        const expected = first.sample(9)
        expect(restored.sample(9)).toEqual(expected)
        expect(other.sample(9).indices).not.toEqual(expected.indices)
        for (const buffer of [first, restored]) {
          buffer.add({ state: [step, step], action: [step] })
          if (priorities) buffer.updatePriorities(expected.indices, Float64Array.from(expected.indices))
        }
      }
      expect(restored.state()).toEqual(first.state())
    }
  })

  test('a state that contradicts itself is refused', () => {
    const state = filled(10, 4, {}).state()
    const refused = (change: Partial<ReplayState>) => codeOf(() => ReplayBuffer.restore({ ...state, ...change }))
    expect(refused({})).toBe('no error')
    expect(refused({ size: 11 })).toMatch(/^CHECKPOINT_INVALID .*size 11/)
    expect(refused({ next: 3 })).toMatch(/^CHECKPOINT_INVALID .*next 3/)
    expect(refused({ leaves: Float64Array.of(1, 1, NaN, 1) })).toMatch(/^CHECKPOINT_INVALID .*leaves\[2\] is NaN/)
    expect(refused({ leaves: undefined })).toMatch(/^CHECKPOINT_INVALID .*leaves/)
    expect(refused({ rows: { ...state.rows, action: new Int32Array(3) } })).toMatch(/^CHECKPOINT_INVALID .*rows.action/)
  })

  test('bad input is named, and changes nothing', () => {
    const buffer = filled(10, 4, {})
    const before = buffer.state()
    expect(codeOf(() => new ReplayBuffer({ capacity: 0, fields, seed: 1 }))).toMatch(/^ARGUMENT_INVALID capacity/)
    expect(codeOf(() => new ReplayBuffer({ capacity: 1, fields, seed: -1 }))).toMatch(/^ARGUMENT_INVALID seed/)
    expect(codeOf(() => new ReplayBuffer({ capacity: 1, fields: {}, seed: 1 }))).toMatch(/^ARGUMENT_INVALID fields/)
    expect(codeOf(() => filled(5, 1, { alpha: -1 }))).toMatch(/^ARGUMENT_INVALID priorities.alpha/)
    expect(codeOf(() => filled(5, 1, { beta: 2 }))).toMatch(/^ARGUMENT_INVALID priorities.beta/)
    expect(codeOf(() => buffer.add({ state: [1, 2] } as never))).toMatch(/^ARGUMENT_INVALID action: missing/)
    expect(codeOf(() => buffer.add({ state: [1, 2, 3], action: [1] }))).toMatch(/^ARGUMENT_INVALID state/)
    expect(codeOf(() => buffer.add({ state: [1, 2], action: [1], other: [] } as never))).toMatch(/no such field/)
    expect(codeOf(() => buffer.add({ state: [1, 2], action: [1] }, Float64Array.of(NaN)))).toMatch(/errors\[0\]/)
    expect(codeOf(() => buffer.add({ state: new Array(22).fill(0), action: new Array(11).fill(0) }))).toMatch(
      /capacity/
    )
    expect(codeOf(() => buffer.updatePriorities(Int32Array.of(0, 1), Float64Array.of(9, NaN)))).toMatch(/errors\[1\]/)
    expect(codeOf(() => buffer.updatePriorities(Int32Array.of(0, 4), Float64Array.of(9, 9)))).toMatch(
      /indices\[1\] is 4/
    )
    expect(codeOf(() => buffer.sample(0))).toMatch(/^ARGUMENT_INVALID count/)
    expect(codeOf(() => new ReplayBuffer({ capacity: 3, fields, seed: 1 }).sample(1))).toMatch(/empty/)
    expect(codeOf(() => filled(5, 2).updatePriorities(Int32Array.of(0), Float64Array.of(1)))).toMatch(/uniform/)
    expect(buffer.state()).toEqual(before)
    const zero = filled(3, 3, { epsilon: 0 })
    zero.updatePriorities(Int32Array.of(0, 1, 2), new Float64Array(3))
    expect(codeOf(() => zero.sample(1))).toMatch(/^ARGUMENT_INVALID priorities/)
  })

  test('ten million entries: draws land where the mass is', () => {
    const capacity = 10_000_000
    const buffer = new ReplayBuffer({
      capacity,
      fields: { id: { type: 'int32' } },
      seed: 4,
      priorities: { alpha: 1, epsilon: 0 }
    })
    const id = new Int32Array(capacity)
    for (let entry = 0; entry < capacity; entry++) id[entry] = entry
    buffer.add({ id }, new Float32Array(capacity).fill(1e-3))
    const heavy = Int32Array.of(3, 5_000_001, capacity - 1)
    buffer.updatePriorities(heavy, Float32Array.of(10_000, 20_000, 10_000))
    const { rows } = buffer.sample(5000)
    const share = (id: number) => rows.id.reduce((sum, drawn) => sum + (drawn === id ? 1 : 0), 0) / 5000
    expect(share(3)).toBeCloseTo(0.2, 2)
    expect(share(5_000_001)).toBeCloseTo(0.4, 2)
    expect(share(capacity - 1)).toBeCloseTo(0.2, 2)
  })
})
