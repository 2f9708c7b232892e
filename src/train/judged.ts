/** A judged rollout as arrays: rewards shaped, references and values measured, advantages computed. */
import type { Sequence } from '../policy/types.js'
import {
  AdaptiveKl,
  advantages,
  klReward,
  maskTruncated,
  RewardStatistics,
  shapeRewards,
  type Advantages,
  type Algorithm
} from '../rl/index.js'
import { joinRows, offsetsOf, splitRows } from '../rl/ragged.js'
import type { ShapingState } from './checkpoint.js'
import { valueHead, type Reinforcement } from './reinforcement.js'
import type { Rollout } from './rollout.js'
import type { Session } from './session.js'

/** One entry per completion, in the rollout's order; of those per token one array each. */
export interface JudgedBatch {
  sequences: Sequence[]
  /** Of whole prompts. */
  groupOffsets: Int32Array
  /** Under the policy of the rollout: of the loss's distribution, and of the one really sampled from. */
  logProbs: Float32Array[]
  samplingLogProbs: Float32Array[]
  referenceLogProbs: Float32Array[] | undefined
  /** Of the critic, at the rollout. */
  values: Float32Array[] | undefined
  returns: Float32Array[] | undefined
  advantages: Float32Array[]
  perToken: boolean
  /** 1 = counts; undefined = all do. */
  mask: Uint8Array[] | undefined
  /** Without a score. */
  unscored: boolean[]
  metrics: Record<string, number>
  /** For the step after this one. */
  shaping: ShapingState | undefined
  /** The algorithm, with the KL's present coefficient. */
  algorithm: Algorithm
}

interface Rewarding {
  rewards: Float32Array
  weights: number[] | undefined
  scored: Uint8Array
  /** [groups]: of greedy answers. */
  baselines: Float32Array | undefined
  statistics: RewardStatistics
}

/** The rewards of the completions, after them those of greedy answers, as shaping leaves them; NaN = unscored. */
function shaped(rollout: Rollout, { shaping }: Reinforcement, statistics: RewardStatistics): Float32Array {
  const rollouts = rollout.greedy ? [rollout, rollout.greedy] : [rollout]
  const completions = rollouts.flatMap(({ groups }) => groups.flatMap((group) => group.completions))
  const rewards = Float32Array.from(
    rollouts.flatMap(({ rewarded }) => rewarded.flat()),
    ({ reward }) => reward ?? NaN
  )
  if (!shaping) return rewards
  const tokens = completions.map((completion) => completion.tokens)
  const cuSeqlens = offsetsOf(tokens.map(({ length }) => length))
  const packed = new Int32Array(cuSeqlens.at(-1)!)
  tokens.forEach((row, index) => packed.set(row, cuSeqlens[index]))
  const truncated = completions.map(({ finishReason }) => (finishReason === 'length' ? 1 : 0))
  return Float32Array.from(shapeRewards(shaping, { rewards, cuSeqlens, tokens: packed, truncated, statistics }))
}

function rewardingOf(session: Session, rollout: Rollout, plan: Reinforcement): Rewarding {
  const statistics = new RewardStatistics(session.state.shaping?.statistics)
  const all = shaped(rollout, plan, statistics)
  const sizes = rollout.rewarded.map((group) => group.length)
  const count = sizes.reduce((sum, size) => sum + size, 0)
  const rewards = all.slice(0, count)
  const scored = Uint8Array.from(rewards, (reward) => (Number.isNaN(reward) ? 0 : 1))
  const baselines = rollout.greedy && all.slice(count)
  // A prompt whose greedy answer stayed unscored has no baseline, so it teaches nothing.
  baselines?.forEach((baseline, group) => {
    if (!Number.isNaN(baseline)) return
    const first = sizes.slice(0, group).reduce((sum, size) => sum + size, 0)
    scored.fill(0, first, first + sizes[group]!)
    baselines[group] = 0
  })
  if (plan.algorithm.advantage.multiObjective === 'sum_then_normalize') {
    return { rewards, weights: undefined, scored, baselines, statistics }
  }
  const columns = session.rewards.columns.map(({ weight }, column) => ({ weight, column }))
  const counted = columns.filter(({ weight }) => weight !== 0)
  const each = rollout.rewarded.flat().flatMap(({ verdicts }) => counted.map(({ column }) => verdicts[column]!.score))
  return {
    rewards: Float32Array.from(each, (score) => score ?? NaN),
    weights: counted.map(({ weight }) => weight),
    scored,
    baselines,
    statistics
  }
}

/** Measures and computes all that the updates of a rollout share. Nothing is changed. */
export async function judgedBatch(session: Session, rollout: Rollout, plan: Reinforcement): Promise<JudgedBatch> {
  const { policy, reference, state } = session
  const { adaptiveKl, maskTruncated: masksTruncated, value } = plan
  const coefficient = state.shaping?.klCoefficient ?? plan.algorithm.kl.coefficient
  const algorithm: Algorithm = { ...plan.algorithm, kl: { ...plan.algorithm.kl, coefficient } }
  const rewarding = rewardingOf(session, rollout, plan)
  const { rewards, weights, scored, baselines, statistics } = rewarding
  const completions = rollout.groups.flatMap((group) => group.completions)
  const sequences = rollout.groups.flatMap(({ promptTokens, completions }) =>
    completions.map(({ tokens }) => ({ promptTokens, tokens }))
  )
  const { temperature } = rollout.groups[0]!
  const logProbs = completions.map((completion) => completion.logProbs)
  const referenceLogProbs =
    coefficient > 0
      ? await (reference ?? policy).logProbs(sequences, { temperature, adapter: reference !== undefined })
      : undefined
  const sumPiSquared = algorithm.advantage.baseline === 'optimal_token'
  const scores =
    value || sumPiSquared
      ? await policy.score(sequences, {
          temperature,
          logProbs: false,
          sumPiSquared,
          heads: value ? { [valueHead]: {} } : {}
        })
      : undefined
  const values = scores?.heads[valueHead]?.values
  const cuSeqlens = offsetsOf(logProbs.map(({ length }) => length))
  const groupOffsets = offsetsOf(rollout.groups.map((group) => group.completions.length))
  const flat = (rows: Float32Array[] | undefined) => rows && joinRows(rows, cuSeqlens)
  const truncated = completions.map(({ finishReason }) => (finishReason === 'length' ? 1 : 0))
  const mask = masksTruncated ? maskTruncated(cuSeqlens, truncated) : undefined
  const packed = { logProbs: joinRows(logProbs, cuSeqlens), referenceLogProbs: flat(referenceLogProbs) }
  const advantage = advantages(algorithm, {
    rewards,
    ...(weights ? { weights } : {}),
    scored,
    groupOffsets,
    cuSeqlens,
    ...(baselines ? { baselines } : {}),
    ...(values ? { values: flat(values)! } : {}),
    ...(scores?.sumPiSquared ? { sumPiSquared: flat(scores.sumPiSquared)! } : {}),
    logProbs: packed.logProbs,
    ...(packed.referenceLogProbs ? { referenceLogProbs: packed.referenceLogProbs } : {})
  })
  const metrics: Record<string, number> = { ...advantage.metrics }
  let klCoefficient: number | undefined
  if (algorithm.kl.inReward && packed.referenceLogProbs) {
    const none = new Float32Array(completions.length)
    const { kl } = klReward(algorithm, { rewards: none, ...packed, cuSeqlens }).metrics
    Object.assign(metrics, { 'reward/kl': kl, 'reward/kl_coefficient': coefficient })
    if (adaptiveKl) klCoefficient = adapted(coefficient, adaptiveKl, kl, completions.length)
  }
  if (plan.shaping) metrics['reward/shaped'] = mean(Array.from(rewards).filter((reward) => !Number.isNaN(reward)))
  if (baselines) metrics['reward/greedy'] = mean(Array.from(baselines))
  const keptStatistics = plan.shaping?.scale ? { statistics: statistics.state } : {}
  const shaping = { ...keptStatistics, ...(klCoefficient === undefined ? {} : { klCoefficient }) }
  return {
    sequences,
    groupOffsets,
    logProbs,
    samplingLogProbs: completions.map((completion) => completion.samplingLogProbs),
    referenceLogProbs,
    values,
    returns: advantage.returns && splitRows(advantage.returns, cuSeqlens),
    advantages: rowsOf(advantage, cuSeqlens),
    perToken: advantage.perToken,
    mask: mask && Array.from(cuSeqlens.subarray(1), (end, row) => mask.slice(cuSeqlens[row], end)),
    unscored: Array.from(scored, (one) => one === 0),
    metrics,
    shaping: Object.keys(shaping).length > 0 ? shaping : undefined,
    algorithm
  }
}

const rowsOf = ({ advantages, perToken }: Advantages, cuSeqlens: Int32Array): Float32Array[] =>
  perToken ? splitRows(advantages, cuSeqlens) : Array.from(advantages, (one) => Float32Array.of(one))
const mean = (values: number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length
const adapted = (coefficient: number, options: NonNullable<Reinforcement['adaptiveKl']>, kl: number, count: number) =>
  new AdaptiveKl({ coefficient, ...options }).update(kl, count)
