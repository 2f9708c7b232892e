/** One backward pass from a judged rollout by comparison: verdicts become pairs, pairs a loss, the loss gradients. */
import type { Policy } from '../policy/policy.js'
import type { Completion, Sequence } from '../policy/types.js'
import {
  preferenceLabels,
  preferenceLoss,
  preferencePairs,
  type PreferenceBatch,
  type PreferenceMetrics
} from '../rl/index.js'
import type { PreferenceTraining } from './preference.js'
import type { Rollout } from './rollout.js'

interface Sampled {
  promptTokens: Int32Array
  completion: Completion
  group: number
}

/** What is compared: completions by their number in the rollout, and the batch that says how, but for log-probs. */
interface Comparison {
  completions: number[]
  batch: PreferenceBatch
  metrics: Record<string, number>
}

/** The policy without its adapter, or the frozen model. */
interface Frozen {
  logProbs(sequences: Sequence[]): Promise<Float32Array[]>
}

function compare(rollout: Rollout, { preference, pairs, threshold }: PreferenceTraining): Comparison {
  const scores = rollout.rewarded.map((group) => group.map(({ reward }) => reward))
  if (preference.kind === 'kto') {
    const labels = preferenceLabels(scores, threshold)
    return {
      completions: Array.from(labels.completions),
      batch: { desirable: labels.desirable },
      metrics: labels.metrics
    }
  }
  const { chosen, rejected, metrics } = preferencePairs(scores, pairs)
  // Only what is in a pair is scored again; indices count through these.
  const completions = Array.from(new Set([...chosen, ...rejected])).sort((left, right) => left - right)
  const place = new Map(completions.map((completion, index) => [completion, index]))
  const placed = (indices: Int32Array) => indices.map((completion) => place.get(completion)!)
  return { completions, batch: { chosen: placed(chosen), rejected: placed(rejected) }, metrics }
}

const join = (arrays: Float32Array[]): Float32Array => Float32Array.from(arrays.flatMap((array) => Array.from(array)))
const sums = (arrays: Float32Array[]): Float64Array =>
  Float64Array.from(arrays, (array) => array.reduce((sum, value) => sum + value, 0))
const sequenceOf = ({ promptTokens, completion }: Sampled): Sequence => ({ promptTokens, tokens: completion.tokens })

/** KTO's baseline: the same completions after the prompt of the next group, under the policy and its reference. */
async function mismatched(
  policy: Policy,
  frozen: Frozen,
  sampled: Sampled[],
  rollout: Rollout,
  temperature: number
): Promise<PreferenceBatch> {
  const { groups } = rollout
  const sequences = sampled.map(({ completion, group }) => ({
    promptTokens: groups[(group + 1) % groups.length]!.promptTokens,
    tokens: completion.tokens
  }))
  return {
    mismatchedLogProbs: sums(await policy.logProbs(sequences, { temperature })),
    mismatchedReferenceLogProbs: sums(await frozen.logProbs(sequences))
  }
}

/**
 * Accumulates the gradient of a preference loss over a rollout of this policy's present weights (so that its log-probs are
 * those of the rollout). A rollout in which nothing can be compared adds none, and has a loss of null.
 * @param reference what log ratios are measured against; without it, the policy without its adapter
 */
export async function preferenceBackward(
  policy: Policy,
  reference: Policy | undefined,
  rollout: Rollout,
  training: PreferenceTraining
): Promise<{ loss: number | null; metrics: Record<string, number> }> {
  const { preference } = training
  const all: Sampled[] = rollout.groups.flatMap(({ promptTokens, completions }, group) =>
    completions.map((completion) => ({ promptTokens, completion, group }))
  )
  const { completions, batch, metrics } = compare(rollout, training)
  const counts = { ...metrics, frac_reward_zero_std: metrics.dead_groups! / rollout.groups.length }
  const sampled = completions.map((index) => all[index]!)
  if (sampled.length === 0) return { loss: null, metrics: counts }
  const sequences = sampled.map(sequenceOf)
  const { temperature } = rollout.groups[0]!
  const frozen: Frozen = {
    logProbs: (sequences) =>
      (reference ?? policy).logProbs(sequences, { temperature, adapter: reference !== undefined })
  }
  const cuSeqlens = new Int32Array(sampled.length + 1)
  sampled.forEach(({ completion }, row) => (cuSeqlens[row + 1] = cuSeqlens[row]! + completion.tokens.length))
  const result = preferenceLoss(preference, {
    ...batch,
    ...(preference.kind === 'kto' ? await mismatched(policy, frozen, sampled, rollout, temperature) : {}),
    logProbs: join(sampled.map(({ completion }) => completion.logProbs)),
    ...(preference.reference ? { referenceLogProbs: join(await frozen.logProbs(sequences)) } : {}),
    cuSeqlens
  })
  await policy.backward({
    sequences,
    logProbGradients: sampled.map((_, row) => result.gradients.slice(cuSeqlens[row], cuSeqlens[row + 1])),
    temperature
  })
  return { loss: result.loss, metrics: { ...counts, ...named(result.metrics) } }
}

const named = (metrics: PreferenceMetrics): Record<string, number> =>
  Object.fromEntries(Object.entries(metrics) as [string, number][])
