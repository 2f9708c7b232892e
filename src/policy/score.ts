/** Log-probs of given tokens. */
import { callJob } from '../binding/errors.js'
import { AdjudgeError } from '../errors.js'
import { packSequences, unflatten } from './batch.js'
import { encodePrompts } from './generation.js'
import { tokenizerOf, type LoadedModel } from './model.js'
import type { Group, Prompt, Sequence } from './types.js'

export interface LogProbOptions {
  /** Log-probs are those of softmax(logits / temperature). Default 1. */
  temperature?: number
  /** False: without the adapter, which is the reference of KL. Default true. */
  adapter?: boolean
  /** Aborted: the call rejects with CANCELLED. */
  signal?: AbortSignal
}

/** One array per sequence of log-probs and, where asked for, of entropies (nats). */
export async function scoreSequences(
  model: LoadedModel,
  sequences: Sequence[],
  options: LogProbOptions,
  withEntropies: boolean
): Promise<{ logProbs: Float32Array[]; entropies: Float32Array[] | undefined }> {
  const packed = packSequences(sequences, options.temperature ?? 1)
  const logProbs = new Float32Array(packed.tokens)
  const entropies = withEntropies ? new Float32Array(packed.tokens) : undefined
  for (const chunk of packed.chunks) {
    const result = await callJob(
      () =>
        model.addon.logProbs(model.native, chunk.batch, { adapter: options.adapter ?? true, entropies: withEntropies }),
      options.signal
    )
    logProbs.set(result.logProbs, chunk.start)
    if (entropies) entropies.set(result.entropies!, chunk.start)
  }
  return { logProbs: unflatten(packed, logProbs), entropies: entropies && unflatten(packed, entropies) }
}

/** A closed set of answers as groups; they bear the version of the weights that is given. */
export async function choiceGroups(
  model: LoadedModel,
  prompts: Prompt[],
  choices: (string | ArrayLike<number>)[],
  options: LogProbOptions,
  version: number
): Promise<Group[]> {
  const { temperature = 1 } = options
  const answers = choices.map((choice, index) => {
    const tokens = typeof choice === 'string' ? tokenizerOf(model).encode(choice) : Int32Array.from(choice)
    if (tokens.length > 0) return tokens
    throw new AdjudgeError('ARGUMENT_INVALID', `choices[${index}]: expected at least one token, got none`)
  })
  const encoded = await encodePrompts(model, prompts)
  const sequences = encoded.flatMap((promptTokens) => answers.map((tokens) => ({ promptTokens, tokens })))
  const { logProbs } = await scoreSequences(model, sequences, options, false)
  return encoded.map((promptTokens, index) => ({
    prompt: prompts[index]!,
    promptTokens,
    completions: answers.map((tokens, choice) => {
      const values = logProbs[index * answers.length + choice]!
      const text = typeof choices[choice] === 'string' ? choices[choice] : (model.tokenizer?.decode(tokens) ?? '')
      return { text, tokens, logProbs: values, samplingLogProbs: values, finishReason: 'length' as const }
    }),
    temperature,
    version
  }))
}
