/** KL divergence between whole distributions: where the log-probs of the entire vocabulary are at hand. */
import { AdjudgeError } from '../errors.js'
import { callKernel, checkLength, sameType, zeros } from './kernels.js'
import { plainCall, preparedCall, type Bound, type PlainCall } from './prepared.js'
import type { FloatArray } from './types.js'

export interface KlRowsInput {
  /** [rows × width], row by row: the policy's logits (log-probs are logits too). Minus infinity = probability 0. */
  logits: FloatArray
  /** [rows × width]: the reference's. */
  referenceLogits: FloatArray
  /** Size of a row: of the vocabulary, or of a set of answers. */
  width: number
  /** [rows]: 1 = counts. Default: all. */
  mask?: Uint8Array
  /** `reverse`: KL(policy ‖ reference), what k1, k2 and k3 estimate (default); `forward`: KL(reference ‖ policy). */
  direction?: 'reverse' | 'forward'
  /** Whether to compute the gradients. Default: true. */
  gradients?: boolean
  /** values [rows] and logitGradients [rows × width], element type of `logits`: where the results go. Default: new arrays. */
  out?: { values?: FloatArray; logitGradients?: FloatArray }
}

export interface KlRows {
  /** [rows]: in nats. */
  values: FloatArray
  /** [rows × width] */
  logitGradients?: FloatArray
}

function bind(input: KlRowsInput): Bound<KlRows> {
  const { logits, referenceLogits, width, mask, direction = 'reverse', gradients = true, out } = input
  if (!Number.isInteger(width) || width < 1 || logits.length % width !== 0) {
    throw new AdjudgeError('ARGUMENT_INVALID', `width is ${width}, expected a divisor of ${logits.length} logits`)
  }
  if (direction !== 'reverse' && direction !== 'forward') {
    throw new AdjudgeError('ARGUMENT_INVALID', `direction is ${String(direction)}, expected reverse or forward`)
  }
  checkLength('referenceLogits', referenceLogits, logits.length, 'as many as logits')
  checkLength('mask', mask, logits.length / width, 'one per row')
  const output: KlRows = { values: out?.values ?? zeros(logits.length / width, logits) }
  if (gradients) output.logitGradients = out?.logitGradients ?? zeros(logits.length, logits)
  return {
    values: [
      logits,
      sameType(referenceLogits, logits),
      width,
      mask,
      direction === 'forward' ? 1 : 0,
      output.values,
      output.logitGradients
    ],
    output
  }
}

/**
 * Exact KL divergence of each row, in nats, and its derivative with respect to the policy's logits. Rows are
 * normalised here. The sampled estimators (`klDivergence`) have these values as their expectation. In Float32Array a
 * probability below 2^-126 of the row's largest counts as 0.
 * @returns values [rows]; logitGradients [rows × width] unless `gradients` is false; 0 where the mask is 0.
 * @throws AdjudgeError `ARGUMENT_INVALID` for lengths that disagree and, naming the place, for NaN or infinity, a row
 *   that is minus infinity everywhere, or an infinite divergence (arrays of `out` are then written);
 *   `BUFFER_OVERLAP`, `BUFFER_DETACHED`, `BUFFER_BUSY` for memory that cannot be used.
 */
export const klRows: PlainCall<KlRowsInput, KlRows> = plainCall((device) =>
  preparedCall(
    callKernel((kernels) => kernels.rlKlRows({ device })),
    0,
    bind,
    (output) => output
  )
)
