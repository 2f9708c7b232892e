/** The constants of the vespo loss, for training loops that weigh their own loss. */
import { AdjudgeError } from '../errors.js'
import { callKernel, checkLength, covered, sameType, zeros } from './kernels.js'
import { checkOptions } from './nearest.js'
import { preparedCall, rlCall, type Bound, type Device, type Prepared, type RlCall } from './prepared.js'
import type { FloatArray } from './types.js'

export interface GammaSpec {
  /** Shape k and rate λ for advantages of at least 0, and below 0. Defaults: TRL's 2, 3, 3, 2. */
  shapePositive?: number
  ratePositive?: number
  shapeNegative?: number
  rateNegative?: number
}

export interface GammaInput {
  /** [tokens]: under the policy being trained, and before the update. */
  logProbs: FloatArray
  oldLogProbs: FloatArray
  /** [tokens]: of `importanceWeights`, per token; they multiply the completion's product. */
  importanceWeights?: FloatArray
  /** [completions] */
  advantages: FloatArray
  mask?: Uint8Array
  cuSeqlens: Int32Array
  /** [completions], element type of `logProbs`: where the weights go. Default: a new array. */
  out?: { weights?: FloatArray }
}

const options = ['shapePositive', 'ratePositive', 'shapeNegative', 'rateNegative'] as const

function checkedSpec(spec: GammaSpec): GammaSpec {
  checkOptions(spec, options)
  for (const [name, value] of Object.entries(spec)) {
    if (value === undefined || (Number.isFinite(value) && value > 0)) continue
    throw new AdjudgeError('ARGUMENT_INVALID', `${name} is ${value}, expected a number above 0`)
  }
  return spec
}

function bindGamma(input: GammaInput): Bound<FloatArray> {
  const { logProbs, oldLogProbs, importanceWeights, advantages, mask, cuSeqlens } = input
  const tokens = covered('cuSeqlens', cuSeqlens)
  const rows = cuSeqlens.length - 1
  checkLength('logProbs', logProbs, tokens, 'one per token')
  checkLength('oldLogProbs', oldLogProbs, tokens, 'one per token')
  checkLength('importanceWeights', importanceWeights, tokens, 'one per token')
  checkLength('mask', mask, tokens, 'one per token')
  checkLength('advantages', advantages, rows, 'one per completion')
  const weights = input.out?.weights ?? zeros(rows, logProbs)
  return {
    values: [
      logProbs,
      sameType(oldLogProbs, logProbs),
      importanceWeights && sameType(importanceWeights, logProbs),
      sameType(advantages, logProbs),
      mask,
      cuSeqlens,
      weights
    ],
    output: weights
  }
}

const prepareGamma = (spec: GammaSpec, device: Device | undefined): Prepared<GammaInput, FloatArray> =>
  preparedCall(
    callKernel((kernels) => kernels.rlGammaWeights({ ...checkedSpec(spec), device })),
    0,
    bindGamma,
    (weights) => weights
  )

/**
 * The constants of the vespo loss for a completion (TRL 1.16, `get_gamma_weights`): e^λ w^k e^(−λw), which is 1 at
 * w = 1, with w the product of the completion's ratios (and importance weights) within [1e−8, e^20].
 * @returns [completions], in the element type of `logProbs`.
 * @throws AdjudgeError `ARGUMENT_INVALID` for lengths that disagree or numbers that are not finite; `BUFFER_OVERLAP`,
 *   `BUFFER_DETACHED`, `BUFFER_BUSY` for memory that cannot be used.
 */
export const gammaWeights: RlCall<GammaSpec, GammaSpec, GammaInput, FloatArray> = rlCall(prepareGamma, checkedSpec)
