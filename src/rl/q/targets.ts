/** What Q is drawn towards. */
import { AdjudgeError } from '../../errors.js'
import { sameType } from '../kernels.js'
import type { FloatArray } from '../types.js'
import { callQKernel } from './native.js'
import type { QAlgorithm } from './types.js'

/**
 * Steps of an agent, or tokens of a completion: step t goes from its state by `actions[t]` to a next state.
 * With `quantiles` above 1 every Q has that many numbers, action by action.
 */
export interface QTargetInput {
  /** [steps]. */
  rewards: FloatArray
  /** [trajectories + 1]: boundaries of steps that follow each other. Default: every step by itself, as from replay. */
  cuSeqlens?: Int32Array
  /** [steps]: 1 = the next state ends the episode and is worth 0; its Q is not read. Default: none. */
  terminated?: Uint8Array
  /** [steps]: 1 = cut off here (a time limit): the next state keeps its value, no return runs on past it. Default: none. */
  truncated?: Uint8Array
  /** [steps]: instead of gamma, such as gamma^n where rewards of n steps are summed already. */
  discounts?: FloatArray
  /** [steps, actions, quantiles]: the target network's Q of the next state; for all bootstraps but `value`. */
  nextQ?: FloatArray
  /** The same of a second target network: the smaller of both counts, action by action. */
  twinNextQ?: FloatArray
  /** The same of the online network, which chooses the action of the bootstrap `double`. */
  nextOnlineQ?: FloatArray
  /** [steps, actions]: 1 = allowed in the next state; what is not allowed is not read. Default: all. */
  nextActionMask?: Uint8Array
  /** [steps]: V of the next state, for the bootstrap `value`. */
  nextValues?: FloatArray
  /** [steps]: actions taken; for the trace `watkins`. */
  actions?: Int32Array
  /** Default 1. */
  quantiles?: number
}

const missing = (name: string, why: string) => new AdjudgeError('ARGUMENT_INVALID', `${name}: needed for ${why}`)

/**
 * Targets of Q(s, a):
 * n-step Σ γ^k r + γ^n v, λ-return r + γ((1 − λ) v + λ · next target), v the value of the next state by
 * `targets.bootstrap`. After a terminated step there is nothing; a truncated one, and the last of a trajectory,
 * bootstraps. Sums in f64, element type of the rewards.
 * Sources: Watkins 1989; Peng & Williams 1996; Mnih et al. 2015; van Hasselt et al. 2016; Haarnoja et al. 2017;
 * Dabney et al. 2018 (quantiles of the best action).
 * @returns [steps], or [steps, quantiles].
 * @throws AdjudgeError `ARGUMENT_INVALID` for a missing input, lengths that disagree, a number that is needed and not
 *   finite (with its index), a next state without an allowed action.
 */
export function qTargets(algorithm: QAlgorithm, input: QTargetInput): FloatArray {
  const rule = algorithm.targets
  const { rewards, quantiles = 1 } = input
  const steps = rewards.length
  if ((rule.steps > 1 || rule.lambda !== null) && !input.cuSeqlens) {
    throw missing('cuSeqlens', 'returns over several steps: the boundaries of the trajectories')
  }
  let actionCount = 0
  if (rule.bootstrap === 'value') {
    if (!input.nextValues) throw missing('nextValues', 'the bootstrap "value"')
  } else {
    if (!input.nextQ) throw missing('nextQ', `the bootstrap "${rule.bootstrap}"`)
    if (rule.bootstrap === 'double' && !input.nextOnlineQ) throw missing('nextOnlineQ', 'the bootstrap "double"')
    if (rule.lambda !== null && rule.trace === 'watkins' && !input.actions) {
      throw missing('actions', 'the trace "watkins"')
    }
    actionCount = steps > 0 ? input.nextQ.length / (steps * quantiles) : 1
    if (!Number.isInteger(actionCount) || actionCount === 0) {
      throw new AdjudgeError(
        'ARGUMENT_INVALID',
        `nextQ: expected ${steps} × actions × ${quantiles} values and got ${input.nextQ.length}`
      )
    }
  }
  const typed = (values: FloatArray | undefined) => values && sameType(values, rewards)
  return callQKernel((kernels) =>
    kernels.rlQTargets(rule, {
      rewards,
      cuSeqlens: input.cuSeqlens,
      terminated: input.terminated,
      truncated: input.truncated,
      discounts: typed(input.discounts),
      nextQ: typed(input.nextQ),
      twinNextQ: typed(input.twinNextQ),
      nextOnlineQ: typed(input.nextOnlineQ),
      nextActionMask: input.nextActionMask,
      nextValues: typed(input.nextValues),
      actions: input.actions,
      actionCount,
      quantiles
    })
  )
}
