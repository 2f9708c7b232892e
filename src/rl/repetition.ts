/** A penalty for completions that repeat themselves. */
import { AdjudgeError } from '../errors.js'
import { callKernel, checkLength, covered } from './kernels.js'
import { checkOptions } from './nearest.js'
import { preparedCall, type AsyncOptions, type Bound, type Prepared } from './prepared.js'
import { recent } from './recent.js'
import type { FloatArray } from './types.js'

export interface RepetitionOptions {
  /** Tokens of an n-gram. Default 3. */
  size?: number
  /** What a completion of nothing but repetition approaches. Default 1. */
  factor?: number
}

export interface RepetitionInput {
  /** [tokens]: packed token ids. */
  tokens: Int32Array
  /** [completions + 1]: boundaries of the completions' tokens. */
  cuSeqlens: Int32Array
  /** [completions], either element type: where the penalties go. Default: a new Float64Array. */
  out?: { penalties?: FloatArray }
}

/** The penalty in its three forms: at once, as a promise, and prepared for a loop. */
export interface RepetitionCall {
  (tokens: Int32Array, cuSeqlens: Int32Array, options?: RepetitionOptions): Float64Array
  /** The same on the engine's threads, see {@link Prepared.async}. */
  async(tokens: Int32Array, cuSeqlens: Int32Array, options?: RepetitionOptions & AsyncOptions): Promise<Float64Array>
  /** Validates and reads the options once. */
  prepare(options?: RepetitionOptions): Prepared<RepetitionInput, FloatArray>
}

function check(known: boolean, name: string, value: number, expected: string): void {
  if (!known) throw new AdjudgeError('ARGUMENT_INVALID', `${name} is ${String(value)}, expected ${expected}`)
}

function bind({ tokens, cuSeqlens, out }: RepetitionInput): Bound<FloatArray> {
  checkLength('tokens', tokens, covered('cuSeqlens', cuSeqlens), 'the last of cuSeqlens')
  const penalties = out?.penalties ?? new Float64Array(cuSeqlens.length - 1)
  return { values: [tokens, cuSeqlens, penalties], output: penalties }
}

function prepare(options: RepetitionOptions = {}): Prepared<RepetitionInput, FloatArray> {
  checkOptions(options, ['size', 'factor'])
  const { size = 3, factor = 1 } = options
  check(Number.isSafeInteger(size) && size >= 1, 'size', size, 'a whole number of at least 1')
  check(Number.isFinite(factor) && factor >= 0, 'factor', factor, 'a number of at least 0')
  const kernel = callKernel((kernels) => kernels.rlRepetitionPenalty({ size, factor }))
  return preparedCall(kernel, 0, bind, (penalties) => penalties)
}

const plain = recent(prepare)

/**
 * −factor · (1 − different n-grams / all n-grams) of each completion's token ids (Yeo et al. 2025, arXiv 2502.03373,
 * appendix C.2); 0 for a completion shorter than an n-gram. There is no CUDA kernel.
 * @param tokens packed token ids; cuSeqlens: [completions + 1], their boundaries.
 * @returns [completions], 0 or less: to be added to the rewards.
 * @throws AdjudgeError `ARGUMENT_INVALID` for numbers out of range and lengths that disagree; `BUFFER_OVERLAP`,
 *   `BUFFER_DETACHED`, `BUFFER_BUSY` for memory that cannot be used.
 */
export const repetitionPenalty: RepetitionCall = Object.assign(
  (tokens: Int32Array, cuSeqlens: Int32Array, options: RepetitionOptions = {}) =>
    plain(options)({ tokens, cuSeqlens }) as Float64Array,
  {
    async: async (tokens: Int32Array, cuSeqlens: Int32Array, options: RepetitionOptions & AsyncOptions = {}) => {
      const { signal, ...rule } = options
      return (await plain(rule).async({ tokens, cuSeqlens }, { signal })) as Float64Array
    },
    prepare
  }
)
