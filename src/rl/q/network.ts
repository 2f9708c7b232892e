/** Parts of a Q network: dueling heads, and a target network that follows. */
import { AdjudgeError } from '../../errors.js'
import { checkAttached, checkLength, sameType, zeros } from '../kernels.js'
import {
  plainCall,
  preparedCall,
  type AsyncOptions,
  type Bound,
  type DeviceOptions,
  type PlainCall
} from '../prepared.js'
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
  /** Where results go, of the element type of the advantages. Default: new arrays. */
  out?: { q?: FloatArray; valueGradients?: FloatArray; advantageGradients?: FloatArray }
}

export interface DuelingGradients {
  /** [steps, quantiles]. */
  valueGradients: FloatArray
  /** [steps, actions, quantiles]. */
  advantageGradients: FloatArray
}

function checkShape({ values, advantages, quantiles = 1 }: DuelingInput): void {
  if (!Number.isInteger(values.length / quantiles)) {
    throw new AdjudgeError('ARGUMENT_INVALID', `values: expected steps × ${quantiles} values and got ${values.length}`)
  }
  if (values.length === 0 && advantages.length === 0) return
  if (advantages.length < values.length || advantages.length % values.length !== 0) {
    checkAttached('values', values)
    checkAttached('advantages', advantages)
    throw new AdjudgeError(
      'ARGUMENT_INVALID',
      `advantages: expected ${values.length / quantiles} × actions × ${quantiles} values and got ${advantages.length}`
    )
  }
}

function argumentsOf(input: DuelingInput): unknown[] {
  checkShape(input)
  const { values, advantages, quantiles, centre = 'mean' } = input
  if (centre !== 'mean' && centre !== 'max') {
    throw new AdjudgeError('ARGUMENT_INVALID', `centre: expected mean or max and got ${JSON.stringify(centre)}`)
  }
  return [sameType(values, advantages), advantages, quantiles, centre === 'max' ? 1 : 0]
}

function bindQ(input: DuelingInput): Bound<FloatArray> {
  const q = input.out?.q ?? zeros(input.advantages.length, input.advantages)
  return { values: [...argumentsOf(input), q], output: q }
}

/**
 * Q(s, a) = V(s) + A(s, a) − mean (or max) of A over the actions (Wang et al. 2016).
 * `duelingQ.async(input)` works on the engine's threads.
 * @returns [steps, actions, quantiles], element type of the advantages.
 * @throws AdjudgeError `ARGUMENT_INVALID` for lengths that disagree or a number that is not finite; `BUFFER_OVERLAP`,
 *   `BUFFER_DETACHED`, `BUFFER_BUSY` for memory that cannot be used.
 */
export const duelingQ: PlainCall<DuelingInput, FloatArray> = plainCall((device) =>
  preparedCall(
    callQKernel((kernels) => kernels.rlDuelingQ({ device })),
    0,
    bindQ,
    (q) => q
  )
)

type DuelingSlopes = DuelingInput & { qGradients: FloatArray }

function bindGradients(input: DuelingSlopes): Bound<DuelingGradients> {
  const { values, advantages, qGradients, out } = input
  const given = argumentsOf(input)
  checkLength('qGradients', qGradients, advantages.length, 'as many as advantages')
  const output = {
    valueGradients: out?.valueGradients ?? zeros(values.length, advantages),
    advantageGradients: out?.advantageGradients ?? zeros(advantages.length, advantages)
  }
  return {
    values: [...given, sameType(qGradients, advantages), output.valueGradients, output.advantageGradients],
    output
  }
}

const slopes: PlainCall<DuelingSlopes, DuelingGradients> = plainCall((device) =>
  preparedCall(
    callQKernel((kernels) => kernels.rlDuelingGradients({ device })),
    0,
    bindGradients,
    (gradients) => gradients
  )
)

/** {@link duelingGradients} at once, or on the engine's threads. */
export interface DuelingGradientsCall {
  (input: DuelingInput, qGradients: FloatArray, options?: DeviceOptions): DuelingGradients
  async(input: DuelingInput, qGradients: FloatArray, options?: AsyncOptions & DeviceOptions): Promise<DuelingGradients>
}

/**
 * From dL/dQ (`qLoss`'s `qGradients`) to the gradients of V and A in {@link duelingQ}. Where the centre is `max`, the
 * first largest advantage takes its gradient.
 * @throws AdjudgeError as {@link duelingQ}.
 */
export const duelingGradients: DuelingGradientsCall = Object.assign(
  (input: DuelingInput, qGradients: FloatArray, options?: DeviceOptions) => slopes({ ...input, qGradients }, options),
  {
    async: (input: DuelingInput, qGradients: FloatArray, options?: AsyncOptions & DeviceOptions) =>
      slopes.async({ ...input, qGradients }, options)
  }
)

interface PolyakInput {
  target: FloatArray
  online: FloatArray
  rate: number
}

function bindAverage({ target, online, rate }: PolyakInput): Bound<void> {
  checkLength('online', online, target.length, 'as many as target')
  if (online.constructor !== target.constructor) {
    throw new AdjudgeError('ARGUMENT_INVALID', `online: expected a ${target.constructor.name} as target is`)
  }
  if (!(rate >= 0 && rate <= 1)) {
    throw new AdjudgeError('ARGUMENT_INVALID', `rate: expected a number from 0 to 1 and got ${rate}`)
  }
  return { values: [online, rate, target], output: undefined }
}

const average: PlainCall<PolyakInput, void> = plainCall((device) =>
  preparedCall(
    callQKernel((kernels) => kernels.rlPolyakAverage({ device })),
    0,
    bindAverage,
    () => undefined
  )
)

/** {@link polyakAverage} at once, or on the engine's threads. */
export interface PolyakCall {
  (target: FloatArray, online: FloatArray, rate: number, options?: DeviceOptions): void
  async(target: FloatArray, online: FloatArray, rate: number, options?: AsyncOptions & DeviceOptions): Promise<void>
}

/**
 * Polyak averaging, in place: target += rate · (online − target), in f64. A rate of 1 copies.
 * - target: parameters of the target network, written.
 * - online: as many, of the same type.
 * - rate: 0 to 1 (`target.rate` of the algorithm).
 * @throws AdjudgeError `ARGUMENT_INVALID` for lengths or types that disagree, or a rate out of range; `BUFFER_OVERLAP`,
 *   `BUFFER_DETACHED`, `BUFFER_BUSY` for memory that cannot be used.
 */
export const polyakAverage: PolyakCall = Object.assign(
  (target: FloatArray, online: FloatArray, rate: number, options?: DeviceOptions) =>
    average({ target, online, rate }, options),
  {
    async: (target: FloatArray, online: FloatArray, rate: number, options?: AsyncOptions & DeviceOptions) =>
      average.async({ target, online, rate }, options)
  }
)
