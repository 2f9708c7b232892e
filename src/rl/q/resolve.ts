/** Presets of Q-learning, and from a preset's name or a partial record to a complete, validated algorithm. */
import { invalidRecord, resolveRecord } from '../record.js'
import { qAlgorithmSchema, type QAlgorithm, type QAlgorithmOptions } from './types.js'

const base: QAlgorithm = {
  preset: 'dqn',
  targets: { bootstrap: 'max', gamma: 0.99, steps: 1, lambda: null, trace: 'peng', temperature: 1 },
  loss: {
    td: 'squared',
    tdCoefficient: 1,
    huberThreshold: 1,
    conservative: { coefficient: 0, temperature: 1 },
    value: { coefficient: 0, expectile: 0.7 },
    policy: { coefficient: 0, beta: 1, weightLimit: null }
  },
  target: { rate: 1, every: 500 }
}

const presets = {
  /** Mnih et al. 2015. */
  dqn: {},
  /** van Hasselt et al. 2016. */
  double_dqn: { targets: { bootstrap: 'double' } },
  /** Hessel et al. 2018 (Rainbow): double, three steps; its dueling heads are `duelingQ`, its replay `ReplayBuffer`. */
  n_step_dqn: { targets: { bootstrap: 'double', steps: 3 } },
  /** Gallici et al. 2024 (PQN): Peng's Q(λ), no target network. */
  q_lambda: { targets: { lambda: 0.65 }, target: { every: 1 } },
  /** Watkins 1989. */
  watkins_q_lambda: { targets: { lambda: 0.65, trace: 'watkins' }, target: { every: 1 } },
  /** Haarnoja et al. 2017, for a finite set of actions. */
  soft_q: { targets: { bootstrap: 'soft' }, target: { rate: 0.005, every: 1 } },
  /** Dabney et al. 2018. */
  qr_dqn: { loss: { td: 'quantile' } },
  /** Kumar et al. 2020: CQL(H) on double DQN. */
  cql: {
    targets: { bootstrap: 'double' },
    loss: { conservative: { coefficient: 1 } },
    target: { rate: 0.005, every: 1 }
  },
  /** Snell et al. 2022, with the defaults of trlx: twin Q, V by expectiles, a weak conservative term, cloning beside it. */
  ilql: {
    targets: { bootstrap: 'value' },
    loss: { conservative: { coefficient: 0.1 }, value: { coefficient: 1 }, policy: { coefficient: 1, beta: 0 } },
    target: { rate: 0.001, every: 5 }
  },
  /** Kostrikov et al. 2021 (IQL): V by expectiles, and a policy by advantage-weighted regression. */
  iql: {
    targets: { bootstrap: 'value' },
    loss: { value: { coefficient: 1 }, policy: { coefficient: 1, beta: 3, weightLimit: 100 } },
    target: { rate: 0.005, every: 1 }
  }
} as const

/** Names of all presets of Q-learning. */
export const qPresetNames = Object.keys(presets)

/** Combinations that have no meaning, each said with its cure. */
function checkMeaning(algorithm: QAlgorithm): QAlgorithm {
  const { targets, loss } = algorithm
  const invalid = (message: string) => invalidRecord('q algorithm', message)
  if (targets.lambda !== null && targets.steps !== 1) {
    throw invalid(
      '"targets.lambda" and "targets.steps" are two ways to look ahead: leave steps at 1, or set lambda to null'
    )
  }
  if (targets.trace === 'watkins' && (targets.bootstrap === 'soft' || targets.bootstrap === 'value')) {
    throw invalid('"targets.trace" watkins needs a greedy action: set "targets.bootstrap" to max or double')
  }
  if (loss.td === 'quantile' && (targets.bootstrap === 'soft' || targets.bootstrap === 'value')) {
    throw invalid('"loss.td" quantile needs the return’s quantiles: set "targets.bootstrap" to max or double')
  }
  if (loss.td === 'quantile' && targets.lambda !== null) {
    throw invalid('"targets.lambda" mixes means, not quantiles: set it to null, and "targets.steps" instead')
  }
  if (loss.td === 'huber' && loss.huberThreshold === 0) {
    throw invalid('"loss.huber_threshold" is 0, expected above 0 for the Huber loss')
  }
  return algorithm
}

/**
 * Completes and validates a Q-learning algorithm.
 * @param options a preset's name, or a record with changed fields (keys in snake_case or camelCase) whose `preset`
 *   says what they change; without `preset`, `dqn`.
 * @throws AdjudgeError `ALGORITHM_INVALID` for an unknown preset, key or value, with the nearest valid name.
 */
export function resolveQAlgorithm(options: QAlgorithmOptions): QAlgorithm {
  return checkMeaning(resolveRecord({ kind: 'q algorithm', schema: qAlgorithmSchema, base, presets }, options))
}
