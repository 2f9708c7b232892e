/** Replay of past transitions: a ring of typed arrays, drawn from uniformly or by priority. */
import { AdjudgeError } from '../../errors.js'
import type { FloatArray } from '../types.js'
import { callQKernel, type NativeTree, type RowArray } from './native.js'

const arrayTypes = { float32: Float32Array, float64: Float64Array, int32: Int32Array, uint8: Uint8Array } as const

export type ReplayType = keyof typeof arrayTypes

/** What one entry holds under a name: `width` numbers (default 1) of a type. */
export interface ReplayField<Type extends ReplayType = ReplayType> {
  type: Type
  width?: number
}

export type ReplayFields = Record<string, ReplayField>

/** One typed array per field, [rows × width]. */
export type ReplayRows<Fields extends ReplayFields> = {
  [Name in keyof Fields]: InstanceType<(typeof arrayTypes)[Fields[Name]['type']]>
}

/** Prioritised replay after Schaul et al. 2016, "Prioritized Experience Replay". */
export interface ReplayPriorities {
  /** P(i) ∝ (|error| + epsilon)^alpha, from 0 (uniform) on. Default 0.6. */
  alpha?: number
  /** Exponent of the importance weights, 0 to 1; or how it is annealed: linearly over the first `samples` calls of `sample`. Default 0.4 to 1 over 100,000. */
  beta?: number | { start: number; end: number; samples: number }
  /** Added to |error|, so that nothing falls to 0 for ever. Default 1e-6. */
  epsilon?: number
  /** Draw k of n from the whole mass, or from the k-th of n equal parts of it (less variance). Default `stratified`. */
  sampling?: 'independent' | 'stratified'
  /** Weights are divided by the largest of the batch, by the largest that any entry would have, or not. Default `batch`. */
  normalization?: 'batch' | 'buffer' | 'none'
}

export interface ReplayOptions<Fields extends ReplayFields> {
  /** Most entries, 1 to 2^31 - 1; the oldest is overwritten by the next. The memory is taken at once. */
  capacity: number
  fields: Fields
  /** Whole number from 0: the same seed and the same calls give the same draws, on every machine. */
  seed: number
  /** Absent: uniform. */
  priorities?: ReplayPriorities
}

export interface ReplaySample<Fields extends ReplayFields> {
  /** [count]: slots of the buffer, for `updatePriorities`; valid until the slot is overwritten. */
  indices: Int32Array
  /** [count]: importance weights (size · P)^-beta, normalised; all 1 where the buffer is uniform. */
  weights: Float64Array
  /** The beta of these weights; 0 where the buffer is uniform. */
  beta: number
  rows: ReplayRows<Fields>
}

/** All of a buffer: plain data that structuredClone and v8.serialize take. */
export interface ReplayState {
  format: 1
  options: ReplayOptions<ReplayFields>
  size: number
  next: number
  draws: number
  samples: number
  largestPriority: number
  /** [size × width] of each field. */
  rows: Record<string, RowArray>
  /** [size]: (|error| + epsilon)^alpha, where the buffer has priorities. */
  leaves?: Float64Array
}

const invalid = (message: string) => new AdjudgeError('ARGUMENT_INVALID', message)

function checkNumber(name: string, value: number, least: number, most: number, whole = false): number {
  if (typeof value === 'number' && value >= least && value <= most && (!whole || Number.isInteger(value))) return value
  const range = most === Number.MAX_VALUE ? `from ${least} on` : `from ${least} to ${most}`
  throw invalid(`${name}: expected a ${whole ? 'whole ' : ''}number ${range} and got ${String(value)}`)
}

function checkWord<Word extends string>(name: string, value: Word, words: readonly Word[]): Word {
  if (words.includes(value)) return value
  throw invalid(`${name}: expected one of ${words.join(', ')} and got ${JSON.stringify(value)}`)
}

function checkedPriorities(given: ReplayPriorities): Required<ReplayPriorities> {
  const beta = given.beta ?? { start: 0.4, end: 1, samples: 100_000 }
  if (typeof beta === 'number') checkNumber('priorities.beta', beta, 0, 1)
  else {
    checkNumber('priorities.beta.start', beta.start, 0, 1)
    checkNumber('priorities.beta.end', beta.end, 0, 1)
    checkNumber('priorities.beta.samples', beta.samples, 1, Number.MAX_SAFE_INTEGER, true)
  }
  return {
    alpha: checkNumber('priorities.alpha', given.alpha ?? 0.6, 0, Number.MAX_VALUE),
    beta,
    epsilon: checkNumber('priorities.epsilon', given.epsilon ?? 1e-6, 0, Number.MAX_VALUE),
    sampling: checkWord('priorities.sampling', given.sampling ?? 'stratified', ['independent', 'stratified']),
    normalization: checkWord('priorities.normalization', given.normalization ?? 'batch', ['batch', 'buffer', 'none'])
  }
}

function fieldWidth(name: string, field: ReplayField): number {
  checkWord(`fields.${name}.type`, field.type, Object.keys(arrayTypes) as ReplayType[])
  return checkNumber(`fields.${name}.width`, field.width ?? 1, 1, 2 ** 31 - 1, true)
}

/**
 * Transitions kept for replay. With `priorities` a sum tree (native, over typed arrays, 10^7 entries and more) draws in
 * proportion to them in O(log capacity); without, every entry is as likely. Draws are with replacement.
 *
 * @example
 * const replay = new ReplayBuffer({
 *   capacity: 100_000, seed: 1, priorities: { alpha: 0.6 },
 *   fields: { state: { type: 'float32', width: 4 }, action: { type: 'int32' }, reward: { type: 'float32' } }
 * })
 * replay.add({ state, action, reward })
 * const { indices, weights, rows } = replay.sample(32)
 * replay.updatePriorities(indices, errors)
 */
export class ReplayBuffer<Fields extends ReplayFields> {
  readonly capacity: number
  readonly #options: ReplayOptions<Fields>
  readonly #priorities: Required<ReplayPriorities> | undefined
  readonly #rows: Map<string, { width: number; values: RowArray }> = new Map()
  readonly #tree: NativeTree | undefined
  #size = 0
  #next = 0
  #draws = 0
  #samples = 0
  #largestPriority = 1

  /** @throws AdjudgeError `ARGUMENT_INVALID`, naming the option; `MEMORY_EXCEEDED` where the memory cannot be had. */
  constructor(options: ReplayOptions<Fields>) {
    this.capacity = checkNumber('capacity', options.capacity, 1, 2 ** 31 - 1, true)
    checkNumber('seed', options.seed, 0, Number.MAX_SAFE_INTEGER, true)
    const names = Object.keys(options.fields)
    if (names.length === 0) throw invalid('fields: expected at least one')
    this.#priorities = options.priorities && checkedPriorities(options.priorities)
    this.#options = structuredClone(options)
    const { capacity } = this
    try {
      for (const name of names) {
        const field = options.fields[name] as ReplayField
        const width = fieldWidth(name, field)
        this.#rows.set(name, { width, values: new arrayTypes[field.type](capacity * width) })
      }
      if (this.#priorities) {
        const lengths = callQKernel((kernels) => kernels.rlTreeLengths({}, { capacity }))
        this.#tree = { capacity, sums: new Float64Array(lengths.sums), minima: new Float64Array(lengths.minima) }
      }
    } catch (error) {
      if (!(error instanceof RangeError)) throw error
      throw new AdjudgeError('MEMORY_EXCEEDED', `capacity: no memory for ${capacity} entries of these fields`, {
        cause: error
      })
    }
  }

  /** Entries held now. */
  get size(): number {
    return this.#size
  }

  /**
   * Adds rows, oldest first out. New entries get the largest priority so far (1 at first), or that of their `errors`.
   * @param rows one array per field, [rows × width]; numbers are converted to the field's type.
   * @param errors [rows]: known errors (temporal differences), where the buffer has priorities.
   * @returns [rows]: the slots that they took.
   * @throws AdjudgeError `ARGUMENT_INVALID` for a missing or unknown field, lengths that disagree, or more rows than fit.
   */
  add(rows: { [Name in keyof Fields]: ArrayLike<number> }, errors?: FloatArray): Int32Array {
    const count = this.#countRows(rows)
    if (errors && !this.#tree) throw invalid('errors: this buffer is uniform; create it with `priorities`')
    if (errors && errors.length !== count) {
      throw invalid(`errors: expected ${count} values (one per row) and got ${errors.length}`)
    }
    const indices = new Int32Array(count)
    for (let row = 0; row < count; row++) indices[row] = (this.#next + row) % this.capacity
    const size = Math.min(this.capacity, this.#size + count)
    // Priorities first: an error that is not finite is refused there, and the buffer stays as it was.
    if (this.#priorities && count > 0) {
      if (errors) this.#setPriorities(indices, errors, size)
      else {
        const { epsilon } = this.#priorities
        const error = Math.max(this.#largestPriority - epsilon, 0)
        this.#setPriorities(indices, new Float64Array(count).fill(error), size)
      }
    }
    const before = Math.min(count, this.capacity - this.#next)
    for (const [name, { width, values }] of this.#rows) {
      const given = rows[name] as ArrayLike<number>
      const split = before * width
      if (ArrayBuffer.isView(given)) {
        const view = given as RowArray
        values.set(view.subarray(0, split), this.#next * width)
        values.set(view.subarray(split), 0)
      } else {
        const list = Array.from(given)
        values.set(list.slice(0, split), this.#next * width)
        values.set(list.slice(split), 0)
      }
    }
    this.#size = size
    this.#next = (this.#next + count) % this.capacity
    return indices
  }

  #countRows(rows: { [Name in keyof Fields]: ArrayLike<number> }): number {
    for (const name of Object.keys(rows)) {
      if (!this.#rows.has(name))
        throw invalid(`${name}: the buffer has no such field (${[...this.#rows.keys()].join(', ')})`)
    }
    let count: number | undefined
    for (const [name, { width }] of this.#rows) {
      const values = rows[name] as ArrayLike<number> | undefined
      if (values === undefined) throw invalid(`${name}: missing, expected an array [rows × ${width}]`)
      const expected = (count ?? Math.floor(values.length / width)) * width
      if (values.length !== expected) {
        throw invalid(`${name}: expected ${expected} values (rows × ${width}) and got ${values.length}`)
      }
      count ??= values.length / width
    }
    if ((count ?? 0) > this.capacity) {
      throw invalid(
        `${String([...this.#rows.keys()][0])}: ${count} rows at once, more than the capacity of ${this.capacity}`
      )
    }
    return count ?? 0
  }

  #setPriorities(indices: Int32Array, errors: FloatArray, size: number): void {
    const { alpha, epsilon } = this.#priorities as Required<ReplayPriorities>
    const input = { ...(this.#tree as NativeTree), size, indices, errors }
    const largest = callQKernel((kernels) => kernels.rlSetPriorities({ alpha, epsilon }, input))
    this.#largestPriority = Math.max(this.#largestPriority, largest)
  }

  /** The beta of the next `sample`; 0 where the buffer is uniform. */
  get beta(): number {
    if (!this.#priorities) return 0
    const { beta } = this.#priorities
    if (typeof beta === 'number') return beta
    return beta.start + (beta.end - beta.start) * Math.min(1, this.#samples / beta.samples)
  }

  /**
   * Draws entries with replacement.
   * @param count how many, at least 1.
   * @throws AdjudgeError `ARGUMENT_INVALID` where the buffer is empty, or every priority is 0.
   */
  sample(count: number): ReplaySample<Fields> {
    checkNumber('count', count, 1, 2 ** 31 - 1, true)
    if (this.#size === 0) throw invalid('sample: the buffer is empty; add rows first')
    const beta = this.beta
    const draws = { count, size: this.#size, seed: this.#options.seed, firstDraw: this.#draws }
    const { indices, weights } = callQKernel((kernels) => {
      if (this.#tree && this.#priorities) {
        const { sampling, normalization } = this.#priorities
        return kernels.rlSamplePrioritized({ sampling, normalization, beta }, { ...this.#tree, ...draws })
      }
      return { indices: kernels.rlSampleUniform({}, draws), weights: new Float64Array(count).fill(1) }
    })
    this.#draws += count
    this.#samples++
    return { indices, weights, beta, rows: this.rows(indices) }
  }

  /** Entries by slot, copied. @throws AdjudgeError `ARGUMENT_INVALID` for a slot without an entry. */
  rows(indices: Int32Array): ReplayRows<Fields> {
    const outside = indices.findIndex((index) => index < 0 || index >= this.#size)
    if (outside >= 0)
      throw invalid(`indices[${outside}] is ${indices[outside]}, expected a slot from 0 to ${this.#size - 1}`)
    const result: Record<string, RowArray> = {}
    for (const [name, { width, values }] of this.#rows) {
      const Type = values.constructor as new (length: number) => RowArray
      const target = new Type(indices.length * width)
      callQKernel((kernels) => kernels.rlGatherRows({}, { source: values, target, indices, width }))
      result[name] = target
    }
    return result as ReplayRows<Fields>
  }

  /**
   * New priorities after learning: (|error| + epsilon)^alpha. Of equal indices the last counts.
   * @param indices [count]: as `sample` gave them.
   * @param errors [count]: temporal differences, or a loss per entry; their magnitude counts.
   * @throws AdjudgeError `ARGUMENT_INVALID` for an error that is not finite or an index outside the buffer (nothing is
   *   changed then), or where the buffer is uniform.
   */
  updatePriorities(indices: Int32Array, errors: FloatArray): void {
    if (!this.#tree) throw invalid('updatePriorities: this buffer is uniform; create it with `priorities`')
    if (errors.length !== indices.length) {
      throw invalid(`errors: expected ${indices.length} values (one per index) and got ${errors.length}`)
    }
    if (indices.length > 0) this.#setPriorities(indices, errors, this.#size)
  }

  /** The probability that one draw (of `independent` sampling) is this slot. */
  probability(index: number): number {
    checkNumber('index', index, 0, this.#size - 1, true)
    const tree = this.#tree
    if (!tree) return 1 / this.#size
    return (tree.sums[index] as number) / callQKernel((kernels) => kernels.rlTreeTotal({}, tree))
  }

  /** A copy of everything: a buffer restored from it gives the same draws and weights as this one will. */
  state(): ReplayState {
    return {
      format: 1,
      options: structuredClone(this.#options),
      size: this.#size,
      next: this.#next,
      draws: this.#draws,
      samples: this.#samples,
      largestPriority: this.#largestPriority,
      rows: Object.fromEntries(
        [...this.#rows].map(([name, { width, values }]) => [name, values.slice(0, this.#size * width)])
      ),
      ...(this.#tree && { leaves: this.#tree.sums.slice(0, this.#size) })
    }
  }

  /** A buffer from `state()`. @throws AdjudgeError `CHECKPOINT_INVALID` where the state contradicts itself. */
  static restore<Fields extends ReplayFields>(state: ReplayState): ReplayBuffer<Fields> {
    const broken = (what: string) => new AdjudgeError('CHECKPOINT_INVALID', `replay buffer: ${what}`)
    if (state.format !== 1) throw broken(`format ${String(state.format)}, expected 1`)
    const buffer = new ReplayBuffer(state.options as ReplayOptions<Fields>)
    const { capacity } = buffer
    const whole = (value: number, most: number) => Number.isInteger(value) && value >= 0 && value <= most
    if (!whole(state.size, capacity)) throw broken(`size ${state.size}, expected at most the capacity of ${capacity}`)
    if (!whole(state.next, capacity - 1)) throw broken(`next ${state.next}, expected a slot of ${capacity}`)
    if (state.size < capacity && state.next !== state.size) throw broken(`next ${state.next}, expected ${state.size}`)
    if (!whole(state.draws, Number.MAX_SAFE_INTEGER)) throw broken(`draws ${state.draws}`)
    if (!whole(state.samples, Number.MAX_SAFE_INTEGER)) throw broken(`samples ${state.samples}`)
    if (!(state.largestPriority >= 1 && state.largestPriority < Infinity)) {
      throw broken(`largestPriority ${state.largestPriority}`)
    }
    for (const [name, { width, values }] of buffer.#rows) {
      const given = state.rows[name]
      if (given?.constructor !== values.constructor || given.length !== state.size * width) {
        throw broken(`rows.${name}: expected a ${values.constructor.name} of ${state.size * width} values`)
      }
      values.set(given)
    }
    if (buffer.#tree) {
      const { leaves } = state
      if (!(leaves instanceof Float64Array) || leaves.length !== state.size) {
        throw broken(`leaves: expected a Float64Array of ${state.size} values`)
      }
      const wrong = leaves.findIndex((leaf) => !(leaf >= 0 && leaf < Infinity))
      if (wrong >= 0) throw broken(`leaves[${wrong}] is ${leaves[wrong]}`)
      buffer.#tree.sums.set(leaves)
      callQKernel((kernels) => kernels.rlTreeRebuild({}, buffer.#tree as NativeTree))
    }
    buffer.#size = state.size
    buffer.#next = state.next
    buffer.#draws = state.draws
    buffer.#samples = state.samples
    buffer.#largestPriority = state.largestPriority
    return buffer
  }
}
