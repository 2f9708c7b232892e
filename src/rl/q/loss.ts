/** Losses of Q-learning, with the gradients that a network's backward pass takes. */
import { AdjudgeError } from '../../errors.js'
import { sameType } from '../kernels.js'
import type { FloatArray } from '../types.js'
import { callQKernel, type QLossArrays } from './native.js'
import type { QAlgorithm } from './types.js'

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
}

/**
 * Loss of a batch of steps, the sum of the record's terms, each a mean over counted steps:
 * TD (squared, Huber, quantile Huber) of Q(a) to `targets`; conservative, temperature · log Σ exp(Q / temperature) − Q(a);
 * value, |expectile − 1[u < 0]| · u² with u = target Q − V; policy, −log-prob · exp(beta · u), its weight a constant.
 * Targets, target Q and the weights get no gradient. Sums in f64, element type of Q.
 * Sources: Mnih et al. 2015; Dabney et al. 2018; Kumar et al. 2020 (CQL); Kostrikov et al. 2021 (IQL); Snell et al. 2022
 * (ILQL), Schaul et al. 2016 (weights).
 * @throws AdjudgeError `ARGUMENT_INVALID` for a missing input, lengths that disagree, a counted number that is not finite
 *   or an action out of range (with its index), an extraction weight that overflows.
 */
export function qLoss(algorithm: QAlgorithm, input: QLossInput): QLoss {
  checkNeeds(algorithm, input)
  const rule = algorithm.loss
  const like = (input.q ?? input.actionQ) as FloatArray
  const quantiles = input.quantiles ?? 1
  const steps = input.actionQ ? like.length : (input.actions as Int32Array).length
  const actionCount = input.actionQ ? 0 : steps > 0 ? like.length / (steps * quantiles) : 1
  if (!input.actionQ && (!Number.isInteger(actionCount) || actionCount === 0)) {
    throw refuse(`q: expected ${steps} (the length of actions) × actions × ${quantiles} values and got ${like.length}`)
  }
  const typed = (values: FloatArray | undefined) => values && sameType(values, like)
  const result = callQKernel((kernels) =>
    kernels.rlQLoss(
      {
        td: rule.td,
        tdCoefficient: rule.tdCoefficient,
        huberThreshold: rule.huberThreshold,
        conservativeCoefficient: rule.conservative.coefficient,
        conservativeTemperature: rule.conservative.temperature,
        valueCoefficient: rule.value.coefficient,
        expectile: rule.value.expectile,
        policyCoefficient: rule.policy.coefficient,
        beta: rule.policy.beta,
        weightLimit: rule.policy.weightLimit
      },
      {
        like,
        steps,
        actionCount,
        quantiles,
        twin: (input.twinQ ?? input.twinActionQ) !== undefined,
        q: input.q,
        twinQ: typed(input.twinQ),
        actionQ: input.actionQ,
        twinActionQ: typed(input.twinActionQ),
        logSumExpQ: typed(input.logSumExpQ),
        twinLogSumExpQ: typed(input.twinLogSumExpQ),
        actions: input.actions,
        targets: typed(input.targets),
        weights: typed(input.weights),
        mask: input.mask,
        actionMask: input.actionMask,
        values: typed(input.values),
        targetQ: typed(input.targetQ),
        twinTargetQ: typed(input.twinTargetQ),
        policyWeights: rule.policy.coefficient > 0,
        logProbs: typed(input.logProbs),
        batchSteps: input.batchSteps
      }
    )
  )
  const { metrics } = result
  return {
    ...result,
    metrics: {
      td: metrics.td,
      conservative: metrics.conservative,
      value: metrics.value,
      policy: metrics.policy,
      steps: metrics.steps,
      q: metrics.actionQ,
      target: metrics.target,
      priority: metrics.priority,
      state_value: metrics.stateValue,
      policy_weight: metrics.policyWeight
    }
  }
}
