/** What Q is drawn towards. */
import { AdjudgeError } from '../../errors.js'
import { checkAttached, sameType, zeros } from '../kernels.js'
import { preparedCall, rlCall, type Bound, type Device, type Prepared, type RlCall } from '../prepared.js'
import type { FloatArray } from '../types.js'
import { callQKernel } from './native.js'
import { resolveQAlgorithm } from './resolve.js'
import type { QAlgorithm, QAlgorithmOptions } from './types.js'

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
  /** [steps, quantiles], element type of `rewards`: where the targets go. Default: a new array. */
  out?: { targets?: FloatArray }
}

const missing = (name: string, why: string) => new AdjudgeError('ARGUMENT_INVALID', `${name}: needed for ${why}`)

/** What the record's bootstrap needs, by name. */
function checkNeeds(rule: QAlgorithm['targets'], input: QTargetInput): void {
  if ((rule.steps > 1 || rule.lambda !== null) && !input.cuSeqlens) {
    throw missing('cuSeqlens', 'returns over several steps: the boundaries of the trajectories')
  }
  if (rule.bootstrap === 'value') {
    if (!input.nextValues) throw missing('nextValues', 'the bootstrap "value"')
    return
  }
  const { rewards, nextQ, quantiles = 1 } = input
  if (!nextQ) throw missing('nextQ', `the bootstrap "${rule.bootstrap}"`)
  if (rule.bootstrap === 'double' && !input.nextOnlineQ) throw missing('nextOnlineQ', 'the bootstrap "double"')
  if (rule.lambda !== null && rule.trace === 'watkins' && !input.actions) {
    throw missing('actions', 'the trace "watkins"')
  }
  const rows = rewards.length * quantiles
  if (rows > 0 && (nextQ.length < rows || nextQ.length % rows !== 0)) {
    checkAttached('nextQ', nextQ)
    throw new AdjudgeError(
      'ARGUMENT_INVALID',
      `nextQ: expected ${rewards.length} × actions × ${quantiles} values and got ${nextQ.length}`
    )
  }
}

function bindTargets(algorithm: QAlgorithm, input: QTargetInput): Bound<FloatArray> {
  checkNeeds(algorithm.targets, input)
  const { rewards, quantiles } = input
  const typed = (values: FloatArray | undefined) => values && sameType(values, rewards)
  const targets = input.out?.targets ?? zeros(rewards.length * (quantiles ?? 1), rewards)
  return {
    values: [
      rewards,
      input.cuSeqlens,
      input.terminated,
      input.truncated,
      typed(input.discounts),
      typed(input.nextQ),
      typed(input.twinNextQ),
      typed(input.nextOnlineQ),
      input.nextActionMask,
      typed(input.nextValues),
      input.actions,
      quantiles,
      targets
    ],
    output: targets
  }
}

function prepareTargets(algorithm: QAlgorithm, device: Device | undefined): Prepared<QTargetInput, FloatArray> {
  return preparedCall(
    callQKernel((kernels) => kernels.rlQTargets({ ...algorithm.targets, device })),
    0,
    (input: QTargetInput) => bindTargets(algorithm, input),
    (targets) => targets
  )
}

/**
 * Targets of Q(s, a):
 * n-step Σ γ^k r + γ^n v, λ-return r + γ((1 − λ) v + λ · next target), v the value of the next state by
 * `targets.bootstrap`. After a terminated step there is nothing; a truncated one, and the last of a trajectory,
 * bootstraps. Returns are summed in f64; element type of the rewards.
 * Sources: Watkins 1989; Peng & Williams 1996; Mnih et al. 2015; van Hasselt et al. 2016; Haarnoja et al. 2017;
 * Dabney et al. 2018 (quantiles of the best action).
 * `qTargets.prepare(options)` reads the rule once, `qTargets.async(algorithm, input)` works on the engine's threads.
 * @returns [steps], or [steps, quantiles].
 * @throws AdjudgeError `ARGUMENT_INVALID` for a missing input, lengths that disagree, a number that is needed and not
 *   finite (with its index), a next state without an allowed action; `BUFFER_OVERLAP`, `BUFFER_DETACHED`, `BUFFER_BUSY`
 *   for memory that cannot be used.
 */
export const qTargets: RlCall<QAlgorithm, QAlgorithmOptions, QTargetInput, FloatArray> = rlCall(
  prepareTargets,
  resolveQAlgorithm
)
