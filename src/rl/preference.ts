/** Losses of judged pairs and single judged completions, with their derivative for every token's log-prob: no model. */
import { AdjudgeError } from '../errors.js'
import { callKernel, checkLength, covered, sameType, zeros } from './kernels.js'
import { resolvePreference, takesMargins } from './preferenceResolve.js'
import type { Preference, PreferenceOptions } from './preferenceTypes.js'
import { preparedCall, rlCall, type Bound, type Device, type Prepared, type RlCall } from './prepared.js'
import type { FloatArray } from './types.js'

export interface PreferenceBatch {
  /**
   * Natural log-probs under the policy: [tokens] with `cuSeqlens`, else [completions], each a sum over its tokens.
   * Not for bradley_terry.
   */
  logProbs?: FloatArray
  /** The same under the frozen reference; needed where the record says `reference`. */
  referenceLogProbs?: FloatArray
  /** [completions]: a reward model's scores; bradley_terry only. */
  scores?: FloatArray
  /** [completions + 1]: boundaries of the completions' tokens. */
  cuSeqlens?: Int32Array
  /** [tokens]: 1 = counts. Default: all. */
  mask?: Uint8Array
  /** [tokens]: 1 = counts in the token loss of `nllCoefficient`. Default: `mask`. TRL's ORPO counts prompts too. */
  nllMask?: Uint8Array
  /** [completions]: tokens of each, for means per token where there is no `cuSeqlens`. */
  lengths?: Int32Array
  /** [pairs]: indices of completions. One may be in several pairs, as `preferencePairs` builds them. Not for kto. */
  chosen?: Int32Array
  rejected?: Int32Array
  /** [pairs]: subtracted from β(chosen − rejected), as the record's `targetMargin` is. Default: 0. */
  margins?: FloatArray
  /** [pairs], kto: [completions]: constants that multiply each one's loss. Default: 1. */
  weights?: FloatArray
  /** kto: [completions], 1 = desirable, 0 = undesirable. */
  desirable?: Uint8Array
  /**
   * kto: [mismatched] sums of log-probs of completions that follow a prompt that is not their own. The mean of their
   * log ratios, at least 0, is the KL baseline.
   */
  mismatchedLogProbs?: FloatArray
  mismatchedReferenceLogProbs?: FloatArray
  /** kto: the baseline itself, in place of mismatched completions (nats, at least 0); 0 gives TRL's apo_zero_unpaired. */
  klBaseline?: number
  /** Pairs (kto: completions), and tokens that the token loss counts, of the whole optimizer batch, where this call sees a part. */
  batchSize?: number
  batchTokens?: number
  /** As `logProbs` (bradley_terry: `scores`), element type too: where the gradients go. Default: a new array. */
  out?: { gradients?: FloatArray }
}

/** Means over the pairs, under TRL's names; what a kind does not have, or nothing could be averaged for, is absent. */
export interface PreferenceMetrics {
  /** β × log ratio to the reference (without a reference: β × score). */
  'rewards/chosen'?: number
  'rewards/rejected'?: number
  /** Share of pairs whose chosen completion has the higher reward. */
  'rewards/accuracies'?: number
  'rewards/margins'?: number
  /** Sums over a completion's tokens, means where the record normalises log-probs. */
  'logps/chosen'?: number
  'logps/rejected'?: number
  /** Mean token loss on the chosen completions, where it has a coefficient. */
  nll_loss?: number
  /** orpo: mean of log σ(log odds ratio), and of the log odds ratio itself. */
  log_odds_ratio?: number
  log_odds_chosen?: number
  /** kto: the KL baseline. */
  kl?: number
  /** bradley_terry: of the scores of both sides. */
  min_reward?: number
  mean_reward?: number
  max_reward?: number
  accuracy?: number
  margin?: number
}

export interface PreferenceLoss {
  loss: number
  /** As `logProbs` (bradley_terry: `scores`): d loss / d each, 0 where the mask is 0. What `policy.backward` takes. */
  gradients: FloatArray
  metrics: PreferenceMetrics
}

const missing = (field: string, why: string) => new AdjudgeError('ARGUMENT_INVALID', `${field}: ${why}`)

function checkPairs(batch: PreferenceBatch): void {
  const { chosen, rejected } = batch
  if (!chosen || !rejected) throw missing('chosen', 'needed with rejected: the indices of each pair’s completions')
  checkLength('rejected', rejected, chosen.length, 'as many as chosen')
  checkLength('margins', batch.margins, chosen.length, 'one per pair')
}

function checkBaseline(batch: PreferenceBatch): void {
  const { mismatchedLogProbs, mismatchedReferenceLogProbs, klBaseline } = batch
  if (mismatchedLogProbs) {
    if (mismatchedLogProbs.length === 0) throw missing('mismatchedLogProbs', 'expected at least one, or klBaseline')
    if (!mismatchedReferenceLogProbs) throw missing('mismatchedReferenceLogProbs', 'needed with mismatchedLogProbs')
    checkLength('mismatchedReferenceLogProbs', mismatchedReferenceLogProbs, mismatchedLogProbs.length, 'one each')
  } else if (klBaseline === undefined || !(klBaseline >= 0 && klBaseline < Infinity)) {
    throw missing('klBaseline', 'kto needs a number of at least 0, or mismatchedLogProbs and their reference')
  }
}

function checkBatch(preference: Preference, batch: PreferenceBatch, values: FloatArray): void {
  const { cuSeqlens, mask, lengths } = batch
  const { kind } = preference
  const completions = cuSeqlens ? cuSeqlens.length - 1 : values.length
  if (cuSeqlens) {
    const tokens = covered('cuSeqlens', cuSeqlens)
    checkLength('logProbs', values, tokens, 'the last of cuSeqlens')
    for (const name of ['referenceLogProbs', 'mask', 'nllMask'] as const) {
      checkLength(name, batch[name], tokens, 'one per token')
    }
  } else {
    checkLength('referenceLogProbs', batch.referenceLogProbs, completions, 'as many as logProbs')
    checkLength('lengths', lengths, completions, 'one per completion')
    if (mask ?? batch.nllMask)
      throw missing('cuSeqlens', 'a mask is of tokens; give log-probs per token with cuSeqlens')
    if (!lengths && (preference.lengthNormalization !== 'none' || preference.nllCoefficient > 0)) {
      throw missing('lengths', `${preference.preset} has means per token; give cuSeqlens, or the completions’ lengths`)
    }
  }
  if (preference.reference && !batch.referenceLogProbs) {
    throw missing('referenceLogProbs', `${preference.preset} has log ratios to a reference; needed`)
  }
  if (kind === 'kto') {
    if (!batch.desirable) throw missing('desirable', 'kto needs one per completion: 1 desirable, 0 undesirable')
    checkLength('desirable', batch.desirable, completions, 'one per completion')
    checkBaseline(batch)
  } else {
    checkPairs(batch)
    if (batch.margins && !takesMargins(kind)) throw missing('margins', `the kind ${kind} has no margin; leave them out`)
  }
  if (batch.weights && (kind === 'aot' || kind === 'aot_unpaired')) {
    throw missing('weights', `the kind ${kind} matches sorted sides, not pairs; leave them out`)
  }
  checkLength('weights', batch.weights, kind === 'kto' ? completions : (batch.chosen?.length ?? 0), 'one per loss')
}

function bindLoss(preference: Preference, batch: PreferenceBatch): Bound<FloatArray> {
  const scored = preference.kind === 'bradley_terry'
  const values = scored ? batch.scores : batch.logProbs
  if (!values) throw missing(scored ? 'scores' : 'logProbs', `needed for ${preference.preset}`)
  if (scored && batch.cuSeqlens)
    throw missing('cuSeqlens', 'bradley_terry takes one score per completion; leave it out')
  checkBatch(preference, batch, values)
  const { referenceLogProbs, margins, weights, mismatchedLogProbs, mismatchedReferenceLogProbs } = batch
  const gradients = batch.out?.gradients ?? zeros(values.length, values)
  return {
    values: [
      values,
      preference.reference ? referenceLogProbs && sameType(referenceLogProbs, values) : undefined,
      batch.cuSeqlens,
      batch.mask,
      batch.nllMask,
      batch.lengths,
      batch.chosen,
      batch.rejected,
      margins && sameType(margins, values),
      weights && sameType(weights, values),
      batch.desirable,
      mismatchedLogProbs && sameType(mismatchedLogProbs, values),
      mismatchedReferenceLogProbs && sameType(mismatchedReferenceLogProbs, values),
      batch.klBaseline,
      batch.batchSize,
      batch.batchTokens,
      gradients
    ],
    output: gradients
  }
}

/** What the kernel writes, in its order. */
type PreferenceNumbers = readonly [
  loss: number,
  rewardChosen: number,
  rewardRejected: number,
  accuracy: number,
  margin: number,
  logProbChosen: number,
  logProbRejected: number,
  nll: number,
  logOdds: number,
  logSigmoidOdds: number,
  kl: number,
  rewardLeast: number,
  rewardMean: number,
  rewardMost: number
]

function metricsOf({ kind, nllCoefficient }: Preference, numbers: PreferenceNumbers): PreferenceMetrics {
  const metrics: PreferenceMetrics =
    kind === 'bradley_terry'
      ? {
          min_reward: numbers[11],
          mean_reward: numbers[12],
          max_reward: numbers[13],
          accuracy: numbers[3],
          margin: numbers[4]
        }
      : {
          'rewards/chosen': numbers[1],
          'rewards/rejected': numbers[2],
          'rewards/accuracies': numbers[3],
          'rewards/margins': numbers[4],
          'logps/chosen': numbers[5],
          'logps/rejected': numbers[6]
        }
  if (nllCoefficient > 0) metrics.nll_loss = numbers[7]
  if (kind === 'orpo') {
    metrics.log_odds_ratio = numbers[9]
    metrics.log_odds_chosen = numbers[8]
  }
  if (kind === 'kto') metrics.kl = numbers[10]
  for (const name in metrics) {
    const key = name as keyof PreferenceMetrics
    if (Number.isNaN(metrics[key])) delete metrics[key]
  }
  return metrics
}

function prepareLoss(preference: Preference, device: Device | undefined): Prepared<PreferenceBatch, PreferenceLoss> {
  const scored = preference.kind === 'bradley_terry'
  const rule = { ...preference, device }
  const kernel = callKernel((kernels) =>
    scored ? kernels.rlPreferenceScoreLoss(rule) : kernels.rlPreferenceLoss(rule)
  )
  return preparedCall(
    kernel,
    14,
    (batch: PreferenceBatch) => bindLoss(preference, batch),
    (gradients, values): PreferenceLoss => {
      const numbers = values as unknown as PreferenceNumbers
      return { loss: numbers[0], gradients, metrics: metricsOf(preference, numbers) }
    }
  )
}

/**
 * Loss of judged pairs, with its gradient. With c and r the chosen and the rejected completion's score (log ratio to the
 * reference, or log-prob), x = β(c − r) − margins, σ the logistic function and ε the label smoothing, a pair's loss is
 *
 * - sigmoid (DPO, CPO, SimPO): −(1−ε) log σ(x) − ε log σ(−x); robust: (−(1−ε) log σ(x) + ε log σ(−x)) / (1−2ε)
 * - hinge: max(0, 1 − x); ipo: (c − r − 1/(2β))²; discopop: w e^−x − (1−w) log σ(x), w = σ(x / temperature)
 * - exo_pair: the KL of (σ(x), σ(−x)) to (1−ε, ε); sppo_hard: (c − 1/(2β))² + (r + 1/(2β))²
 * - nca_pair: −log σ(βc) − ½ log σ(−βc) − ½ log σ(−βr); bco_pair: −log σ(βc) − log σ(−βr)
 * - apo_zero: σ(−βc) + σ(βr); apo_down: σ(βc) + σ(−β(c − r))
 * - aot, aot_unpaired: sigmoid of the sorted policy and reference log ratios, or chosen and rejected ones
 * - orpo: −β log σ(log of the ratio of the odds p / (1−p)), p from mean log-probs
 * - bradley_terry: sigmoid of the scores, minus the margin
 * - kto, of one completion: weight × σ(∓β(score − baseline)), − for a desirable one
 *
 * and the loss their mean, plus `nllCoefficient` × the mean token loss of the chosen completions, plus
 * `centerCoefficient` × the mean of (c + r)². Sums are in f64; `Float32Array` or `Float64Array` as `logProbs` is.
 * Losses of parts of an optimizer batch add up where `batchSize` and `batchTokens` say what the whole has (but for aot,
 * which sorts over its call, and kto, whose baseline must then be given). Sources: the papers named beside the presets;
 * constants and length rules as in TRL 1.16, on whose own results the tests stand.
 * @throws AdjudgeError `ARGUMENT_INVALID` for a missing or non-finite input, lengths that disagree, an index outside the
 *   completions, or odds that are not finite; `BUFFER_OVERLAP`, `BUFFER_DETACHED`, `BUFFER_BUSY` for memory that cannot
 *   be used.
 */
export const preferenceLoss: RlCall<Preference, PreferenceOptions, PreferenceBatch, PreferenceLoss> = rlCall(
  prepareLoss,
  resolvePreference
)
