/** Rows of logits over a vocabulary: log-probs, entropies, the most probable tokens, and the way back to the logits. */
import { AdjudgeError } from '../errors.js'
import { callKernel, checkLength, sameType, zeros } from './kernels.js'
import { plainCall, preparedCall, type Bound, type PlainCall } from './prepared.js'
import type { FloatArray } from './types.js'

export interface LogitsInput {
  /**
   * [rows × vocabulary], row by row; minus infinity = probability 0. Float64Array is computed in f64; Float32Array with
   * sums in f64, to 1e-5 · (1 + |value|).
   */
  logits: FloatArray
  /** [rows]: the token of each row, from 0 to vocabulary − 1. Their number is that of the rows. */
  tokens: Int32Array
  /** Above 0: the logits are divided by it. Default: 1. */
  temperature?: number
}

export interface LogitsStatisticsInput extends LogitsInput {
  /** How many of the most probable tokens to name, from 1 to vocabulary. Default: none. */
  topK?: number
  /** Where the results go; element type of `logits`, `topTokens` Int32Array. Default: new arrays. */
  out?: Partial<LogitsStatistics>
}

/** Of the distribution softmax(logits / temperature) of each row; natural logarithms. */
export interface LogitsStatistics {
  /** [rows]: log-prob of the row's token; minus infinity where its logit is. */
  logProbs: FloatArray
  /** [rows]: −Σ p log p, in nats. */
  entropies: FloatArray
  /** [rows]: log Σ exp(logit / temperature). */
  logSumExp: FloatArray
  /** [rows]: Σ p², the probability of drawing one token twice (optimal token baselines weigh by it). */
  sumPiSquared: FloatArray
  /** [rows × topK], with `topK`: most probable first, ties to the lower token. */
  topTokens?: Int32Array
  /** [rows × topK], with `topK`: their log-probs. */
  topLogProbs?: FloatArray
}

export interface LogitsGradientInput extends LogitsInput {
  /** [rows]: d loss / d log-prob of the row's token. */
  logProbGradients: FloatArray
  /** [rows]: d loss / d entropy. Default: 0. */
  entropyGradients?: FloatArray
  /** [rows × vocabulary], element type of `logits`: where the gradients go. Default: a new array. */
  out?: { logitGradients?: FloatArray }
}

function vocabularyOf({ logits, tokens }: LogitsInput): number {
  const vocabulary = tokens.length === 0 ? 0 : logits.length / tokens.length
  if (Number.isInteger(vocabulary) && (vocabulary > 0 || logits.length + tokens.length === 0)) return vocabulary
  throw new AdjudgeError(
    'ARGUMENT_INVALID',
    `logits: expected one row per token, a multiple of ${tokens.length} elements, and got ${logits.length}`
  )
}

function bindStatistics(input: LogitsStatisticsInput): Bound<LogitsStatistics> {
  const { logits, tokens, topK, out } = input
  const vocabulary = vocabularyOf(input)
  if (topK !== undefined && !(Number.isInteger(topK) && topK >= 1 && (topK <= vocabulary || tokens.length === 0))) {
    throw new AdjudgeError(
      'ARGUMENT_INVALID',
      `topK is ${topK}, expected a whole number from 1 to the vocabulary's ${vocabulary}`
    )
  }
  const row = (values: FloatArray | undefined) => values ?? zeros(tokens.length, logits)
  const output: LogitsStatistics = {
    logProbs: row(out?.logProbs),
    entropies: row(out?.entropies),
    logSumExp: row(out?.logSumExp),
    sumPiSquared: row(out?.sumPiSquared)
  }
  if (topK !== undefined) {
    output.topTokens = out?.topTokens ?? new Int32Array(tokens.length * topK)
    output.topLogProbs = out?.topLogProbs ?? zeros(tokens.length * topK, logits)
  }
  return {
    values: [
      logits,
      tokens,
      input.temperature,
      topK,
      output.logProbs,
      output.entropies,
      output.logSumExp,
      output.sumPiSquared,
      output.topTokens,
      output.topLogProbs
    ],
    output
  }
}

function bindGradient(input: LogitsGradientInput): Bound<FloatArray> {
  const { logits, tokens, logProbGradients, entropyGradients } = input
  vocabularyOf(input)
  checkLength('logProbGradients', logProbGradients, tokens.length, 'one per row')
  checkLength('entropyGradients', entropyGradients, tokens.length, 'one per row')
  const gradients = input.out?.logitGradients ?? zeros(logits.length, logits)
  return {
    values: [
      logits,
      tokens,
      input.temperature,
      sameType(logProbGradients, logits),
      entropyGradients && sameType(entropyGradients, logits),
      gradients
    ],
    output: gradients
  }
}

/**
 * Log-prob of one token, entropy, log-sum-exp and Σ p² of every row, and its most probable tokens, in one pass over the
 * logits: what a step of policy-gradient training needs of a policy, or top-k distillation of a teacher. The same bits
 * whatever the number of threads. On the device of one's choice: `cuda` names up to 1,024 top tokens.
 * `logitsStatistics.async(input, { signal })` is the same on the engine's threads.
 * @throws AdjudgeError `ARGUMENT_INVALID` for lengths that disagree, a temperature or topK out of range, and, naming the
 *   first such row, a logit that is NaN or plus infinity, minus infinity everywhere, a token outside of the vocabulary
 *   (arrays of `out` are then partly written); `BUFFER_OVERLAP`, `BUFFER_DETACHED`, `BUFFER_BUSY` for memory that cannot
 *   be used.
 */
export const logitsStatistics: PlainCall<LogitsStatisticsInput, LogitsStatistics> = plainCall((device) =>
  preparedCall(
    callKernel((kernels) => kernels.rlLogitsStatistics({ device })),
    0,
    bindStatistics,
    (output) => output
  )
)

/**
 * d loss / d logits of a loss known by its derivatives with respect to the rows' log-probs and entropies (`policyLoss`
 * gives both): ∂ log p_i / ∂ z_k = (1[i = k] − p_k) / temperature and ∂ H / ∂ z_k = −p_k (log p_k + H) / temperature, of
 * the logits before the temperature. Rows whose two coefficients are 0, such as masked tokens, become 0 and are not
 * read: they may hold anything.
 * `logitsGradient.async(input, { signal })` is the same on the engine's threads.
 * @returns logitGradients [rows × vocabulary].
 * @throws AdjudgeError as {@link logitsStatistics}; `ARGUMENT_INVALID` for a coefficient that is not finite.
 */
export const logitsGradient: PlainCall<LogitsGradientInput, { logitGradients: FloatArray }> = plainCall((device) =>
  preparedCall(
    callKernel((kernels) => kernels.rlLogitsGradient({ device })),
    0,
    bindGradient,
    (logitGradients) => ({ logitGradients })
  )
)
