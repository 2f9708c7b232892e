/** From a loss to accumulated gradients. */
import { callJob } from '../binding/errors.js'
import { AdjudgeError } from '../errors.js'
import { needsEntropies, resolveAlgorithm, type AlgorithmOptions } from '../rl/index.js'
import { flatten, packSequences, unflatten, type PackedSequences } from './batch.js'
import { packHeadGradients, sliceHeadGradients, type HeadBackward } from './heads.js'
import type { LoadedModel } from './model.js'
import { objectiveOf, type Objective, type Rewards } from './objective.js'
import { scoreSequences, type LogProbOptions } from './score.js'
import type { Group, Sequence } from './types.js'

/** What KL can be measured against: another policy. */
export interface Reference {
  logProbs(sequences: Sequence[], options?: LogProbOptions): Promise<Float32Array[]>
}

/** A foreign loss: its derivative for every token's log-prob, and for the entropy of its distribution. */
export interface SequenceBackward {
  sequences: Sequence[]
  /** [sequences][tokens]: d loss / d log-prob. */
  logProbGradients: ArrayLike<number>[]
  /** [sequences][tokens]: d loss / d entropy. */
  entropyGradients?: ArrayLike<number>[]
  /** Derivatives for heads' outputs, by head. */
  heads?: Record<string, HeadBackward>
  temperature?: number
  /** Aborted: the call rejects with CANCELLED. What it accumulated stays: drop it with `zeroGradients`. */
  signal?: AbortSignal
}

/** An RL loss on judged completions. */
export interface GroupBackward {
  groups: Group[]
  /** Per group, per completion: a number, null (unscored), or one of these per reward function. */
  rewards: Rewards
  /** A preset's name or a record. */
  algorithm: AlgorithmOptions
  /** Weights of the reward functions. Default: all 1. */
  weights?: readonly number[]
  /** Divisor of the aggregation `constant`. Default: the longest completion. */
  maxTokens?: number
  /** What KL is measured against. Default: this policy without its adapter. */
  reference?: Reference
  /** Aborted: the call rejects with CANCELLED. What it accumulated stays: drop it with `zeroGradients`. */
  signal?: AbortSignal
}

function checkTrainable(model: LoadedModel): void {
  if (model.trainable) return
  throw new AdjudgeError('NOT_TRAINABLE', 'The model was loaded with trainable: false and has no gradients')
}

/** Backpropagates given derivatives of log-probs and entropies. */
export async function backwardSequences(
  model: LoadedModel,
  input: SequenceBackward
): Promise<{ logProbs: Float32Array[] }> {
  checkTrainable(model)
  const packed = packSequences(input.sequences, input.temperature ?? 1)
  const gradients = flatten(packed, input.logProbGradients, 'logProbGradients')
  const entropyGradients = input.entropyGradients && flatten(packed, input.entropyGradients, 'entropyGradients')
  const heads = packHeadGradients(model, packed, input.heads ?? {})
  const all = [gradients, entropyGradients, ...heads.flatMap(({ values, logSumExps }) => [values, logSumExps])]
  clearMasked(
    packed,
    input.sequences,
    all.filter((array) => array !== undefined)
  )
  const logProbs = new Float32Array(packed.tokens)
  for (const { batch, start, end } of packed.chunks) {
    const values = await callJob(
      () =>
        model.addon.backward(
          model.native,
          batch,
          gradients.subarray(start, end),
          entropyGradients?.subarray(start, end),
          sliceHeadGradients(heads, start, end)
        ),
      input.signal
    )
    logProbs.set(values, start)
  }
  return { logProbs: unflatten(packed, logProbs) }
}

/**
 * Backpropagates an RL loss.
 * @param self the policy of the model, with the version of its weights
 */
export async function backwardGroups(
  model: LoadedModel,
  input: GroupBackward,
  self: Reference & { readonly version: number }
): Promise<{ loss: number; metrics: Objective['metrics'] }> {
  checkTrainable(model)
  const { groups, rewards, weights, maxTokens } = input
  const stop = input.signal ? { signal: input.signal } : {}
  const algorithm = resolveAlgorithm(input.algorithm)
  const temperature = groups[0]?.temperature ?? 1
  if (groups.some((group) => group.temperature !== temperature)) {
    throw new AdjudgeError('ARGUMENT_INVALID', 'groups: expected one temperature for all groups of a call')
  }
  const sequences = groups.flatMap(({ promptTokens, completions }) =>
    completions.map(({ tokens }) => ({ promptTokens, tokens }))
  )
  const oldLogProbs = groups.flatMap(({ completions }) => completions.map(({ logProbs }) => logProbs))
  const onPolicy = groups.every((group) => group.version === self.version)
  const withEntropies = needsEntropies(algorithm) && algorithm.advantage.estimator !== 'exact'
  const scored =
    withEntropies || !onPolicy
      ? await scoreSequences(model, sequences, { temperature, entropies: withEntropies, ...stop })
      : undefined
  const logProbs = onPolicy ? oldLogProbs : scored!.logProbs!
  const referenceLogProbs =
    algorithm.kl.coefficient > 0
      ? await referenceOf(model, input.reference, self).logProbs(sequences, {
          temperature,
          adapter: input.reference !== undefined && input.reference !== self,
          ...stop
        })
      : undefined
  const objective = objectiveOf({
    groups,
    rewards,
    algorithm,
    ...(weights ? { weights } : {}),
    ...(maxTokens === undefined ? {} : { maxTokens }),
    logProbs,
    oldLogProbs,
    ...(referenceLogProbs ? { referenceLogProbs } : {}),
    ...(scored?.entropies ? { entropies: scored.entropies } : {})
  })
  await backwardSequences(model, {
    sequences,
    logProbGradients: objective.logProbGradients,
    ...(objective.entropyGradients ? { entropyGradients: objective.entropyGradients } : {}),
    temperature,
    ...stop
  })
  return { loss: objective.loss, metrics: objective.metrics }
}

function referenceOf(model: LoadedModel, reference: Reference | undefined, self: Reference): Reference {
  if (reference) return reference
  if (model.description.lora) return self
  throw new AdjudgeError(
    'ARGUMENT_INVALID',
    'reference: KL needs a frozen model to measure against; give one, train with lora, or set kl.coefficient to 0'
  )
}

/** Tokens whose mask is 0 get no gradient, whatever the loss gave them. */
function clearMasked(packed: PackedSequences, sequences: Sequence[], gradients: Float32Array[]): void {
  sequences.forEach(({ mask, tokens }, index) => {
    if (!mask) return
    if (mask.length !== tokens.length) {
      throw new AdjudgeError('ARGUMENT_INVALID', `sequences[${index}].mask: expected one entry per token`)
    }
    for (let at = 0; at < mask.length; at++) {
      if (mask[at]) continue
      for (const array of gradients) array[packed.starts[index]! + at] = 0
    }
  })
}
