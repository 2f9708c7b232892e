/** KL divergence between whole distributions: where the log-probs of the entire vocabulary are at hand. */
import { AdjudgeError } from '../errors.js'
import { callKernel, checkLength, sameType } from './kernels.js'
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
}

function checkRows(name: string, values: FloatArray, width: number, mask: Uint8Array | undefined): void {
  for (let index = 0; index < values.length; index++) {
    const value = values[index] as number
    if (value < Infinity || (mask && mask[Math.floor(index / width)] === 0)) continue
    throw new AdjudgeError('ARGUMENT_INVALID', `${name}[${index}] is ${value}, expected a number below infinity`)
  }
}

function checkSupport(values: FloatArray, name: string, width: number): void {
  const row = values.findIndex((value) => !Number.isFinite(value))
  if (row < 0) return
  throw new AdjudgeError(
    'ARGUMENT_INVALID',
    `${name}: row ${row} of ${width} has a divergence that is not finite: a probability of 0 where the other is above 0`
  )
}

/**
 * Exact KL divergence of each row, in nats, and its derivative with respect to the policy's logits. Rows are
 * normalised here. The sampled estimators (`klDivergence`) have these values as their expectation.
 * @returns values [rows]; logitGradients [rows × width] unless `gradients` is false; 0 where the mask is 0.
 * @throws AdjudgeError `ARGUMENT_INVALID` for lengths that disagree, NaN or infinity, or an infinite divergence.
 */
export function klRows(input: KlRowsInput): { values: FloatArray; logitGradients?: FloatArray } {
  const { logits, width, mask, direction = 'reverse' } = input
  if (!Number.isInteger(width) || width < 1 || logits.length % width !== 0) {
    throw new AdjudgeError('ARGUMENT_INVALID', `width is ${width}, expected a divisor of ${logits.length} logits`)
  }
  checkLength('referenceLogits', input.referenceLogits, logits.length, 'as many as logits')
  checkLength('mask', mask, logits.length / width, 'one per row')
  checkRows('logits', logits, width, mask)
  checkRows('referenceLogits', input.referenceLogits, width, mask)
  const result = callKernel((kernels) =>
    kernels.rlKlRows(
      { direction },
      {
        logits,
        referenceLogits: sameType(input.referenceLogits, logits),
        width,
        mask,
        gradients: input.gradients ?? true
      }
    )
  )
  checkSupport(result.values, direction === 'reverse' ? 'referenceLogits' : 'logits', width)
  return result
}
