/** Parts of a Q network: dueling heads, and a target network that follows. */
import { AdjudgeError } from '../../errors.js'
import { checkFinite, checkLength, sameType } from '../kernels.js'
import type { FloatArray } from '../types.js'
import { callQKernel } from './native.js'

/** What is taken off the advantages, so that V and A are determined: their mean (the paper's choice), or the largest. */
export type DuelingCentre = 'mean' | 'max'

export interface DuelingInput {
  /** [steps, quantiles]: V of the state. */
  values: FloatArray
  /** [steps, actions, quantiles]. */
  advantages: FloatArray
  /** Default 1. */
  quantiles?: number
  /** Default `mean`. */
  centre?: DuelingCentre
}

function shapeOf(values: FloatArray, advantages: FloatArray, quantiles: number) {
  const steps = values.length / quantiles
  const actionCount = values.length > 0 ? advantages.length / values.length : 1
  if (!Number.isInteger(steps)) {
    throw new AdjudgeError('ARGUMENT_INVALID', `values: expected steps × ${quantiles} values and got ${values.length}`)
  }
  if (!Number.isInteger(actionCount) || actionCount === 0) {
    throw new AdjudgeError(
      'ARGUMENT_INVALID',
      `advantages: expected ${steps} × actions × ${quantiles} values and got ${advantages.length}`
    )
  }
  return { steps, actionCount, quantiles }
}

/**
 * Q(s, a) = V(s) + A(s, a) − mean (or max) of A over the actions (Wang et al. 2016).
 * @returns [steps, actions, quantiles], element type of the advantages.
 * @throws AdjudgeError `ARGUMENT_INVALID` for lengths that disagree or a number that is not finite.
 */
export function duelingQ(input: DuelingInput): FloatArray {
  const { values, advantages, quantiles = 1, centre = 'mean' } = input
  const shape = shapeOf(values, advantages, quantiles)
  checkFinite('values', values)
  checkFinite('advantages', advantages)
  return callQKernel((kernels) =>
    kernels.rlDuelingQ({ centre }, { ...shape, values: sameType(values, advantages), advantages })
  )
}

/**
 * From dL/dQ (`qLoss`'s `qGradients`) to the gradients of V and A in {@link duelingQ}.
 * @throws AdjudgeError `ARGUMENT_INVALID` for lengths that disagree.
 */
export function duelingGradients(
  input: DuelingInput,
  qGradients: FloatArray
): { valueGradients: FloatArray; advantageGradients: FloatArray } {
  const { values, advantages, quantiles = 1, centre = 'mean' } = input
  const shape = shapeOf(values, advantages, quantiles)
  checkLength('qGradients', qGradients, advantages.length, 'as many as advantages')
  return callQKernel((kernels) =>
    kernels.rlDuelingGradients({ centre }, { ...shape, advantages, qGradients: sameType(qGradients, advantages) })
  )
}

/**
 * Polyak averaging, in place: target += rate · (online − target). A rate of 1 copies.
 * @param target parameters of the target network, written.
 * @param online as many, of the same type.
 * @param rate 0 to 1 (`target.rate` of the algorithm).
 * @throws AdjudgeError `ARGUMENT_INVALID` for lengths or types that disagree, or a rate out of range.
 */
export function polyakAverage(target: FloatArray, online: FloatArray, rate: number): void {
  checkLength('online', online, target.length, 'as many as target')
  if (online.constructor !== target.constructor) {
    throw new AdjudgeError('ARGUMENT_INVALID', `online: expected a ${target.constructor.name} as target is`)
  }
  if (!(rate >= 0 && rate <= 1)) {
    throw new AdjudgeError('ARGUMENT_INVALID', `rate: expected a number from 0 to 1 and got ${rate}`)
  }
  callQKernel((kernels) => kernels.rlPolyakAverage({ rate }, { target, online }))
}
