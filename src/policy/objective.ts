/** From groups and rewards to gradients of log-probs: the RL arithmetic of one backward call. */
import { AdjudgeError } from '../errors.js'
import {
  advantages,
  exactObjective,
  exactTokenGradients,
  policyLoss,
  type AdvantageMetrics,
  type Algorithm,
  type ExactObjective,
  type PolicyLossMetrics
} from '../rl/index.js'
import { joinRows, offsetsOf, splitRows } from '../rl/ragged.js'
import type { Group } from './types.js'

/** Rewards per group and completion; null = unscored. With several reward functions: a list of them each. */
export type Rewards = (number | null | (number | null)[])[][]

export interface ObjectiveInput {
  groups: Group[]
  rewards: Rewards
  algorithm: Algorithm
  /** Weights of the reward functions. Default: all 1. */
  weights?: readonly number[]
  /** Divisor of the aggregation `constant` where the algorithm gives none: the most tokens of a completion. */
  maxTokens?: number
  /** [completion][token], in the groups' order. */
  logProbs: Float32Array[]
  oldLogProbs: Float32Array[]
  referenceLogProbs?: Float32Array[]
  entropies?: Float32Array[]
}

export interface Objective {
  loss: number
  /** [completion][token]: d loss / d log-prob. */
  logProbGradients: Float32Array[]
  entropyGradients?: Float32Array[]
  metrics: Partial<AdvantageMetrics & PolicyLossMetrics & ExactObjective['metrics']>
}

interface FlatRewards {
  rewards: Float32Array
  scored: Uint8Array
  functions: number
}

/** Rewards as a flat [completions × functions] array; unscored by a function = NaN, unscored altogether = scored 0. */
function flattenRewards(groups: Group[], rewards: Rewards): FlatRewards {
  const invalid = (message: string) => new AdjudgeError('ARGUMENT_INVALID', `rewards: ${message}`)
  if (rewards.length !== groups.length) {
    throw invalid(`expected one list per group (${groups.length}), got ${rewards.length}`)
  }
  const rows = groups.flatMap((group, index) => {
    const row = rewards[index]!
    if (row.length !== group.completions.length) {
      throw invalid(`group ${index} has ${group.completions.length} completions, but ${row.length} rewards`)
    }
    return row.map((value) => (Array.isArray(value) ? value : [value]))
  })
  const functions = rows[0]?.length ?? 1
  if (rows.some((row) => row.length !== functions)) throw invalid('expected as many functions for every completion')
  for (const value of rows.flat()) {
    if (value !== null && !Number.isFinite(value)) throw invalid(`${value} is no reward; use null for unscored`)
  }
  return {
    rewards: Float32Array.from(rows.flat(), (value) => value ?? NaN),
    scored: Uint8Array.from(rows, (row) => (row.every((value) => value === null) ? 0 : 1)),
    functions
  }
}

/** Loss and its derivative for every token's log-prob and entropy. */
export function objectiveOf(input: ObjectiveInput): Objective {
  const { groups, algorithm } = input
  const { rewards, scored, functions } = flattenRewards(groups, input.rewards)
  const groupOffsets = offsetsOf(groups.map((group) => group.completions.length))
  const cuSeqlens = offsetsOf(groups.flatMap((group) => group.completions.map(({ tokens }) => tokens.length)))
  const split = (flat: ArrayLike<number>): Float32Array[] => splitRows(flat, cuSeqlens)
  if (algorithm.advantage.estimator === 'exact') {
    if (functions !== 1) throw new AdjudgeError('ARGUMENT_INVALID', 'rewards: the exact estimator takes one per answer')
    const sums = (arrays: Float32Array[]) => Float64Array.from(arrays, (array) => array.reduce((a, b) => a + b, 0))
    const exact = exactObjective(algorithm, {
      choiceLogProbs: sums(input.logProbs),
      ...(input.referenceLogProbs ? { referenceChoiceLogProbs: sums(input.referenceLogProbs) } : {}),
      rewards,
      scored,
      groupOffsets
    })
    return {
      loss: exact.loss,
      logProbGradients: split(exactTokenGradients(exact.choiceGradients, cuSeqlens)),
      metrics: exact.metrics
    }
  }
  const flat = (arrays: Float32Array[] | undefined) => arrays && joinRows(arrays, cuSeqlens)
  const logProbs = joinRows(input.logProbs, cuSeqlens)
  const oldLogProbs = input.oldLogProbs === input.logProbs ? logProbs : joinRows(input.oldLogProbs, cuSeqlens)
  const referenceLogProbs = flat(input.referenceLogProbs)
  const entropies = flat(input.entropies)
  const advantage = advantages(algorithm, {
    rewards,
    ...(functions > 1 || input.weights ? { weights: input.weights ?? new Array<number>(functions).fill(1) } : {}),
    scored,
    groupOffsets,
    cuSeqlens,
    logProbs: oldLogProbs,
    ...(referenceLogProbs ? { referenceLogProbs } : {})
  })
  const maxTokens = input.maxTokens ?? Math.max(1, ...groups.flatMap((g) => g.completions.map((c) => c.tokens.length)))
  const loss = policyLoss(algorithm, {
    logProbs,
    oldLogProbs,
    ...(referenceLogProbs ? { referenceLogProbs } : {}),
    ...(entropies ? { entropies } : {}),
    advantages: advantage.advantages,
    advantagesPerToken: advantage.perToken,
    cuSeqlens,
    maxTokens
  })
  return {
    loss: loss.loss,
    logProbGradients: split(loss.logProbGradients),
    ...(loss.entropyGradients ? { entropyGradients: split(loss.entropyGradients) } : {}),
    metrics: { ...advantage.metrics, ...loss.metrics }
  }
}
