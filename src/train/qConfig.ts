/** The `algorithm` section of a run that learns Q values of tokens from judged completions. */
import { AdjudgeError } from '../errors.js'
import { resolveQAlgorithm, type QAlgorithm } from '../rl/index.js'
import type { RunConfig } from './schema.js'

export interface QTraining {
  algorithm: QAlgorithm
  /** Two Q heads, of which the smaller counts. */
  twoQs: boolean
  /** Scores are shifted and divided to mean 0 and deviation 1 over the data. */
  scaleRewards: boolean
  /** The heads' losses stop at the heads: the policy learns by cloning alone. */
  stopGradient: boolean
  headLearningRate: number
}

/** trlx's names, which may stand in `algorithm` itself, and where in the record they belong. */
const shortKeys: Record<string, readonly string[]> = {
  gamma: ['targets', 'gamma'],
  tau: ['loss', 'value', 'expectile'],
  cql_scale: ['loss', 'conservative', 'coefficient'],
  awac_scale: ['loss', 'policy', 'coefficient'],
  beta: ['loss', 'policy', 'beta'],
  alpha: ['target', 'rate'],
  steps_for_target_q_sync: ['target', 'every']
}

export const isQLearning = ({ algorithm }: RunConfig): boolean => algorithm.preset === 'ilql'

const wrong = (message: string) => new AdjudgeError('ALGORITHM_INVALID', `ilql: ${message}`)

function place(record: Record<string, unknown>, path: readonly string[], value: unknown): void {
  const [name, ...rest] = path
  if (rest.length === 0) record[name!] = value
  else {
    const section = { ...(record[name!] as object | undefined) }
    place(section, rest, value)
    record[name!] = section
  }
}

/** How a run learns Q values; undefined where its preset is another. Throws ALGORITHM_INVALID. */
export function qTrainingOf(config: RunConfig): QTraining | undefined {
  if (!isQLearning(config)) return undefined
  const {
    two_qs: twoQs = true,
    scale_rewards: scaleRewards = true,
    stop_gradient: stopGradient = false,
    head_learning_rate: headLearningRate = 1e-3,
    ...given
  } = config.algorithm as Record<string, unknown>
  for (const [name, value] of Object.entries({
    two_qs: twoQs,
    scale_rewards: scaleRewards,
    stop_gradient: stopGradient
  })) {
    if (typeof value !== 'boolean') throw wrong(`"${name}" is ${JSON.stringify(value)}, expected true or false`)
  }
  if (typeof headLearningRate !== 'number' || !(headLearningRate > 0)) {
    throw wrong(`"head_learning_rate" is ${JSON.stringify(headLearningRate)}, expected a number above 0`)
  }
  const options: Record<string, unknown> = {}
  for (const [key, value] of Object.entries(given)) place(options, shortKeys[key] ?? [key], value)
  const algorithm = resolveQAlgorithm(options)
  const { targets, loss } = algorithm
  if (targets.bootstrap !== 'value') throw wrong(`"targets.bootstrap" is ${targets.bootstrap}, expected value`)
  if (loss.td === 'quantile') throw wrong('"loss.td" is quantile, expected squared or huber')
  if (loss.conservative.temperature !== 1) throw wrong('"loss.conservative.temperature" can only be 1 here')
  return {
    algorithm,
    twoQs: twoQs as boolean,
    scaleRewards: scaleRewards as boolean,
    stopGradient: stopGradient as boolean,
    headLearningRate
  }
}
