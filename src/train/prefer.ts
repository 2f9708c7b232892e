/** One backward pass from a judged rollout by comparison: verdicts become pairs, pairs a loss, the loss gradients. */
import type { Policy } from '../policy/policy.js'
import type { Sequence } from '../policy/types.js'
import {
  preferenceLabels,
  preferenceLoss,
  preferencePairs,
  type PreferenceBatch,
  type PreferenceMetrics
} from '../rl/index.js'
import { joinRows, offsetsOf, splitRows } from '../rl/ragged.js'
import type { PreferenceTraining } from './preference.js'
import type { ReferenceLogProbs } from './references.js'
import type { Rollout } from './rollout.js'

/** One completion that may be compared. */
export interface Compared {
  promptTokens: Int32Array
  tokens: Int32Array
  /** The number of its prompt. */
  group: number
}

/** What is compared: completions by their number, and the batch that says how, but for log-probs. */
export interface Comparison {
  completions: number[]
  batch: PreferenceBatch
  metrics: Record<string, number>
}

/** The policy without its adapter, or the frozen model. */
interface Frozen {
  logProbs(sequences: Sequence[]): Promise<Float32Array[]>
}

/** Scores become pairs, or labels for kto. */
export function compareScores(
  scores: (number | null)[][],
  { preference, pairs, threshold }: PreferenceTraining
): Comparison {
  if (preference.kind === 'kto') {
    const labels = preferenceLabels(scores, threshold)
    return {
      completions: Array.from(labels.completions),
      batch: { desirable: labels.desirable },
      metrics: labels.metrics
    }
  }
  const { chosen, rejected, metrics } = preferencePairs(scores, pairs)
  return { ...placePairs(chosen, rejected), metrics }
}

/** Only what is in a pair is scored again; indices count through these. */
export function placePairs(chosen: Int32Array, rejected: Int32Array): Omit<Comparison, 'metrics'> {
  const completions = Array.from(new Set([...chosen, ...rejected])).sort((left, right) => left - right)
  const place = new Map(completions.map((completion, index) => [completion, index]))
  const placed = (indices: Int32Array) => indices.map((completion) => place.get(completion)!)
  return { completions, batch: { chosen: placed(chosen), rejected: placed(rejected) } }
}

const sums = (arrays: Float32Array[]): Float64Array =>
  Float64Array.from(arrays, (array) => array.reduce((sum, value) => sum + value, 0))

/** KTO's baseline: the same completions after the prompt of the next group, under the policy and its reference. */
async function mismatched(
  policy: Policy,
  frozen: Frozen,
  compared: readonly Compared[],
  prompts: readonly Int32Array[],
  temperature: number
): Promise<PreferenceBatch> {
  const sequences = compared.map(({ tokens, group }) => ({
    promptTokens: prompts[(group + 1) % prompts.length]!,
    tokens
  }))
  return {
    mismatchedLogProbs: sums(await policy.logProbs(sequences, { temperature })),
    mismatchedReferenceLogProbs: sums(await frozen.logProbs(sequences))
  }
}

export interface ComparisonInput {
  /** [completions], and the prompts that their groups number. */
  all: readonly Compared[]
  prompts: readonly Int32Array[]
  comparison: Comparison
  temperature: number
  /** [completions]: of the policy's present weights, where they are known. */
  logProbs?: readonly Float32Array[]
  /** Keeps what the reference says of the completions, by their names [completions]. Default: measured anew. */
  kept?: { references: ReferenceLogProbs; names: readonly string[] }
  /** False: the loss alone, no gradient. */
  learn: boolean
}

/**
 * Loss of a comparison, and its gradient accumulated. Where nothing can be compared there is none, and the loss is null.
 * @param reference what log ratios are measured against; without it, the policy without its adapter
 */
export async function comparisonLoss(
  policy: Policy,
  reference: Policy | undefined,
  preference: PreferenceTraining['preference'],
  { all, prompts, comparison, temperature, logProbs, kept, learn }: ComparisonInput
): Promise<{ loss: number | null; metrics: Record<string, number> }> {
  const { completions, batch, metrics } = comparison
  if (completions.length === 0) return { loss: null, metrics }
  const compared = completions.map((index) => all[index]!)
  const frozen: Frozen = {
    logProbs: (sequences) =>
      (reference ?? policy).logProbs(sequences, { temperature, adapter: reference !== undefined })
  }
  const frozenLogProbs = (): Promise<Float32Array[]> =>
    kept
      ? kept.references.of(
          compared,
          completions.map((index) => kept.names[index]!),
          (fresh) => frozen.logProbs(fresh)
        )
      : frozen.logProbs([...compared])
  const cuSeqlens = offsetsOf(compared.map(({ tokens }) => tokens.length))
  const known = logProbs
    ? completions.map((index) => logProbs[index]!)
    : await policy.logProbs([...compared], { temperature })
  const result = preferenceLoss(preference, {
    ...batch,
    ...(preference.kind === 'kto' ? await mismatched(policy, frozen, compared, prompts, temperature) : {}),
    logProbs: joinRows(known, cuSeqlens),
    ...(preference.reference ? { referenceLogProbs: joinRows(await frozenLogProbs(), cuSeqlens) } : {}),
    cuSeqlens
  })
  if (learn) {
    await policy.backward({
      sequences: [...compared],
      logProbGradients: splitRows(result.gradients, cuSeqlens),
      temperature
    })
  }
  return { loss: result.loss, metrics: { ...metrics, ...named(result.metrics) } }
}

/**
 * Accumulates the gradient of a preference loss over a rollout of this policy's present weights (so that its log-probs are
 * those of the rollout). A rollout in which nothing can be compared adds none, and has a loss of null.
 */
export async function preferenceBackward(
  policy: Policy,
  reference: Policy | undefined,
  { groups, rewarded }: Rollout,
  training: PreferenceTraining
): Promise<{ loss: number | null; metrics: Record<string, number> }> {
  const all = groups.flatMap(({ promptTokens, completions }, group) =>
    completions.map(({ tokens }) => ({ promptTokens, tokens, group }))
  )
  const comparison = compareScores(
    rewarded.map((group) => group.map(({ reward }) => reward)),
    training
  )
  comparison.metrics['frac_reward_zero_std'] = comparison.metrics['dead_groups']! / groups.length
  return comparisonLoss(policy, reference, training.preference, {
    all,
    prompts: groups.map(({ promptTokens }) => promptTokens),
    comparison,
    temperature: groups[0]!.temperature,
    logProbs: groups.flatMap(({ completions }) => completions.map(({ logProbs }) => logProbs)),
    learn: true
  })
}

const named = (metrics: PreferenceMetrics): Record<string, number> =>
  Object.fromEntries(Object.entries(metrics) as [string, number][])
