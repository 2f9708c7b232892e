/** Losses of Q-learning, with the gradients that a network's backward pass takes. */
import { AdjudgeError } from '../../errors.js'
import { checkAttached, sameType, zeros } from '../kernels.js'
import { preparedCall, rlCall, type Bound, type Device, type Prepared, type RlCall } from '../prepared.js'
import type { FloatArray } from '../types.js'
import { callQKernel } from './native.js'
import { resolveQAlgorithm } from './resolve.js'
import type { QAlgorithm, QAlgorithmOptions } from './types.js'

/** Gradients of the loss, of the shapes of what they belong to; 0 where the mask is 0. */
export interface QLossArrays {
  qGradients?: FloatArray
  twinQGradients?: FloatArray
  actionQGradients?: FloatArray
  twinActionQGradients?: FloatArray
  logSumExpQGradients?: FloatArray
  twinLogSumExpQGradients?: FloatArray
  valueGradients?: FloatArray
  logProbGradients?: FloatArray
  /** [steps], with targets: |TD error|, of twins the larger; the step's loss with quantiles. For `updatePriorities`. */
  priorities?: FloatArray
  /** [steps], for a policy term: min(exp(beta · (target Q − V)), weight limit). */
  policyWeights?: FloatArray
}

/**
 * Q comes whole (`q`: a vector of actions, or a vocabulary), or gathered (`actionQ`, and for a conservative term
 * `logSumExpQ`): what a fused head gives without holding tokens × vocabulary. A twin is a second Q function.
 */
export interface QLossInput {
  /** [steps, actions, quantiles]: online Q of the state. */
  q?: FloatArray
  twinQ?: FloatArray
  /** [steps]: online Q of the action taken, instead of `q`. */
  actionQ?: FloatArray
  twinActionQ?: FloatArray
  /** [steps]: temperature · log Σ exp(Q / temperature) over the allowed actions, with `actionQ`. */
  logSumExpQ?: FloatArray
  twinLogSumExpQ?: FloatArray
  /** [steps]: actions taken; needed with `q`. */
  actions?: Int32Array
  /** [steps], or [steps, quantiles]: from `qTargets`. Without them there is no TD term. */
  targets?: FloatArray
  /** [steps]: multiply every term of a step, such as the importance weights of a replay buffer. Default: 1. */
  weights?: FloatArray
  /** [steps]: 1 = counts. Default: all. What does not count is not read. */
  mask?: Uint8Array
  /** [steps, actions]: 1 = allowed; the conservative term leaves the others out. Default: all. */
  actionMask?: Uint8Array
  /** [steps]: V of the state; needed for a value or policy term. */
  values?: FloatArray
  /** [steps]: the target network's Q of the action taken; of twins the smaller counts. Needed with `values`. */
  targetQ?: FloatArray
  twinTargetQ?: FloatArray
  /** [steps]: the policy's log-prob of the action taken; needed for a policy term. */
  logProbs?: FloatArray
  /** Default 1. */
  quantiles?: number
  /** Counted steps of the whole optimizer batch, where this call sees a part of it. Default: of this call. */
  batchSteps?: number
  /** Where results go, of the element type of Q; those that this loss does not have are left alone. Default: new arrays. */
  out?: QLossArrays
}

export interface QLossMetrics {
  /** Terms before their coefficients: sums of counted steps over their number, twins added up. */
  td: number
  conservative: number
  value: number
  policy: number
  /** Counted steps. */
  steps: number
  /** Means over counted steps, weights left out: Q of the action taken (of the first), target, `priorities`, V, `policyWeights`. */
  q: number
  target: number
  priority: number
  state_value: number
  policy_weight: number
}

export interface QLoss extends QLossArrays {
  loss: number
  metrics: QLossMetrics
}

const refuse = (message: string) => new AdjudgeError('ARGUMENT_INVALID', message)

/** What the record's terms need, by name. */
function checkNeeds(algorithm: QAlgorithm, input: QLossInput): void {
  const { value, policy, conservative, td } = algorithm.loss
  const whole = input.q !== undefined
  if (whole === (input.actionQ !== undefined)) throw refuse('q: expected either q or actionQ')
  if (whole && !input.actions) throw refuse('actions: needed with q')
  const odd = whole ? (['twinActionQ', 'logSumExpQ', 'twinLogSumExpQ'] as const) : (['twinQ', 'actionMask'] as const)
  for (const name of odd) if (input[name]) throw refuse(`${name}: has no meaning with ${whole ? 'q' : 'actionQ'}`)
  if (!whole && conservative.coefficient > 0 && !input.logSumExpQ) {
    throw refuse('logSumExpQ: needed for the conservative term with actionQ')
  }
  if (!whole && conservative.coefficient > 0 && input.twinActionQ && !input.twinLogSumExpQ) {
    throw refuse('twinLogSumExpQ: needed for the conservative term with twinActionQ')
  }
  if (!whole && td === 'quantile') throw refuse('q: the quantile loss needs q, not actionQ')
  if (value.coefficient > 0 || policy.coefficient > 0) {
    if (!input.values) throw refuse('values: needed for the value or policy term of this algorithm')
    if (policy.coefficient > 0 && !input.logProbs)
      throw refuse('logProbs: needed for the policy term of this algorithm')
  }
  if (input.values && !input.targetQ) throw refuse('targetQ: needed with values')
  checkShape(input)
}

function checkShape({ q, actions, quantiles = 1 }: QLossInput): void {
  if (!q || !actions) return
  const rows = actions.length * quantiles
  if (rows === 0 || (q.length >= rows && q.length % rows === 0)) return
  checkAttached('q', q)
  throw refuse(
    `q: expected ${actions.length} (the length of actions) × actions × ${quantiles} values and got ${q.length}`
  )
}

/** The arrays that this loss has: given ones, else new. */
function outputsOf(algorithm: QAlgorithm, input: QLossInput, like: FloatArray): QLossArrays {
  const { q, twinQ, actionQ, twinActionQ, values, targets, out = {} } = input
  const steps = actionQ ? actionQ.length : (input.actions as Int32Array).length
  const arrays: QLossArrays = {}
  const add = (name: keyof QLossArrays, length: number) => {
    arrays[name] = out[name] ?? zeros(length, like)
  }
  if (q) add('qGradients', q.length)
  if (twinQ) add('twinQGradients', q ? q.length : 0)
  const conservative = algorithm.loss.conservative.coefficient > 0
  if (actionQ) {
    add('actionQGradients', steps)
    if (conservative) add('logSumExpQGradients', steps)
  }
  if (twinActionQ) {
    add('twinActionQGradients', steps)
    if (conservative) add('twinLogSumExpQGradients', steps)
  }
  if (targets) add('priorities', steps)
  if (!values) return arrays
  add('valueGradients', steps)
  if (algorithm.loss.policy.coefficient === 0) return arrays
  add('policyWeights', steps)
  add('logProbGradients', steps)
  return arrays
}

function bindLoss(algorithm: QAlgorithm, input: QLossInput): Bound<QLossArrays> {
  checkNeeds(algorithm, input)
  const like = (input.q ?? input.actionQ) as FloatArray
  const typed = (values: FloatArray | undefined) => values && sameType(values, like)
  const output = outputsOf(algorithm, input, like)
  return {
    values: [
      like,
      input.q,
      typed(input.twinQ),
      input.actionQ,
      typed(input.twinActionQ),
      typed(input.logSumExpQ),
      typed(input.twinLogSumExpQ),
      input.actions,
      typed(input.targets),
      typed(input.weights),
      input.mask,
      input.actionMask,
      typed(input.values),
      typed(input.targetQ),
      typed(input.twinTargetQ),
      typed(input.logProbs),
      input.quantiles,
      input.batchSteps,
      output.qGradients,
      output.twinQGradients,
      output.actionQGradients,
      output.twinActionQGradients,
      output.logSumExpQGradients,
      output.twinLogSumExpQGradients,
      output.valueGradients,
      output.logProbGradients,
      output.priorities,
      output.policyWeights
    ],
    output
  }
}

/** What the kernel writes, in its order. */
type QLossNumbers = readonly [
  loss: number,
  td: number,
  conservative: number,
  value: number,
  policy: number,
  steps: number,
  q: number,
  target: number,
  priority: number,
  stateValue: number,
  policyWeight: number
]

function reportLoss(arrays: QLossArrays, values: Float64Array): QLoss {
  const numbers = values as unknown as QLossNumbers
  return {
    loss: numbers[0],
    ...arrays,
    metrics: {
      td: numbers[1],
      conservative: numbers[2],
      value: numbers[3],
      policy: numbers[4],
      steps: numbers[5],
      q: numbers[6],
      target: numbers[7],
      priority: numbers[8],
      state_value: numbers[9],
      policy_weight: numbers[10]
    }
  }
}

function prepareLoss(algorithm: QAlgorithm, device: Device | undefined): Prepared<QLossInput, QLoss> {
  const { td, tdCoefficient, huberThreshold, conservative, value, policy } = algorithm.loss
  const rule = {
    td,
    tdCoefficient,
    huberThreshold,
    conservativeCoefficient: conservative.coefficient,
    conservativeTemperature: conservative.temperature,
    valueCoefficient: value.coefficient,
    expectile: value.expectile,
    policyCoefficient: policy.coefficient,
    beta: policy.beta,
    weightLimit: policy.weightLimit
  }
  return preparedCall(
    callQKernel((kernels) => kernels.rlQLoss({ ...rule, device })),
    11,
    (input: QLossInput) => bindLoss(algorithm, input),
    reportLoss
  )
}

/**
 * Loss of a batch of steps, the sum of the record's terms, each a mean over counted steps:
 * TD (squared, Huber, quantile Huber) of Q(a) to `targets`; conservative, temperature · log Σ exp(Q / temperature) − Q(a);
 * value, |expectile − 1[u < 0]| · u² with u = target Q − V; policy, −log-prob · exp(beta · u), its weight a constant.
 * Targets, target Q and the weights get no gradient. Sums in f64; arithmetic and results in the element type of Q.
 * Sources: Mnih et al. 2015; Dabney et al. 2018; Kumar et al. 2020 (CQL); Kostrikov et al. 2021 (IQL); Snell et al. 2022
 * (ILQL), Schaul et al. 2016 (weights).
 * `qLoss.prepare(options)` reads the rule once, `qLoss.async(algorithm, input)` works on the engine's threads.
 * @throws AdjudgeError `ARGUMENT_INVALID` for a missing input, lengths that disagree, a counted number that is not finite
 *   or an action out of range (with its index), an extraction weight that overflows; `BUFFER_OVERLAP`, `BUFFER_DETACHED`, `BUFFER_BUSY` for
 *   memory that cannot be used.
 */
export const qLoss: RlCall<QAlgorithm, QAlgorithmOptions, QLossInput, QLoss> = rlCall(prepareLoss, resolveQAlgorithm)
