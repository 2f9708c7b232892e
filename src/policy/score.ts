/** Log-probs of given tokens. */
import { callJob } from '../binding/errors.js'
import type { NativePrefix, NativeScoreOptions } from '../binding/native.js'
import { AdjudgeError } from '../errors.js'
import { packSequences, unflatten } from './batch.js'
import { encodePrompts } from './generation.js'
import { checkLogSumExp, headNamed } from './heads.js'
import { tokenizerOf, type LoadedModel } from './model.js'
import type { Group, Prefix, Prompt, Sequence } from './types.js'

export interface LogProbOptions {
  /** Log-probs are those of softmax(logits / temperature). Default 1. */
  temperature?: number
  /** False: without the adapter, which is the reference of KL. Default true. */
  adapter?: boolean
  /**
   * Sequences whose prompts begin with it (and go on after it) reuse its keys and values; others are scored as without.
   * The results have the same bits. Made for the same `adapter`.
   */
  prefix?: Prefix
  /** Aborted: the call rejects with CANCELLED. */
  signal?: AbortSignal
}

/** What one pass over sequences can give. */
export interface TokenScoreOptions extends LogProbOptions {
  /** Default true. */
  logProbs?: boolean
  /** Entropy of the distribution at each token, nats. */
  entropies?: boolean
  /** Sum over the vocabulary of the squared probabilities, in (0, 1]. */
  sumPiSquared?: boolean
  /** Heads by name; `logSumExps`: over all of a head's actions, too. */
  heads?: Record<string, { logSumExps?: boolean }>
}

/** Each `[sequences][tokens]`, where it was asked for. */
export interface TokenScores {
  logProbs?: Float32Array[]
  entropies?: Float32Array[]
  sumPiSquared?: Float32Array[]
  /** Value of the state before each token, or of the token in that state; log-sum-exp over the head's outputs. */
  heads: Record<string, { values: Float32Array[]; logSumExps?: Float32Array[] }>
}

/** One pass over sequences for everything that is asked for. Sequences with the same prompt share one copy of it. */
export async function scoreSequences(
  model: LoadedModel,
  sequences: Sequence[],
  options: TokenScoreOptions = {}
): Promise<TokenScores> {
  if (options.prefix) return scoreWithPrefix(model, sequences, options, options.prefix)
  return scoreAll(model, sequences, options)
}

async function scoreAll(
  model: LoadedModel,
  sequences: Sequence[],
  options: TokenScoreOptions,
  prefix?: NativePrefix
): Promise<TokenScores> {
  const { heads = {}, adapter = true, temperature = 1, logProbs = true, entropies, sumPiSquared } = options
  for (const [name, { logSumExps }] of Object.entries(heads)) {
    if (logSumExps) checkLogSumExp(model, name)
    else headNamed(model, name)
  }
  const packed = packSequences(sequences, temperature)
  const wanted: NativeScoreOptions = {
    adapter,
    logProbs,
    ...(entropies ? { entropies } : {}),
    ...(sumPiSquared ? { sumPiSquared } : {}),
    heads: Object.entries(heads).map(([name, { logSumExps = false }]) => ({ name, logSumExps })),
    ...(prefix ? { prefix } : {})
  }
  const flat = new Map<string, Float32Array>()
  const keep = (key: string, start: number, values: Float32Array | undefined) => {
    if (!values) return
    if (!flat.has(key)) flat.set(key, new Float32Array(packed.tokens))
    flat.get(key)!.set(values, start)
  }
  for (const { batch, start } of packed.chunks) {
    const scores = await callJob(() => model.addon.score(model.native, batch, wanted), options.signal)
    for (const key of ['logProbs', 'entropies', 'sumPiSquared'] as const) keep(key, start, scores[key])
    for (const [name, { values, logSumExps }] of Object.entries(scores.heads)) {
      keep(`values/${name}`, start, values)
      keep(`logSumExps/${name}`, start, logSumExps)
    }
  }
  const rows = (key: string) => unflatten(packed, flat.get(key) ?? new Float32Array(packed.tokens))
  return {
    ...(logProbs ? { logProbs: rows('logProbs') } : {}),
    ...(entropies ? { entropies: rows('entropies') } : {}),
    ...(sumPiSquared ? { sumPiSquared: rows('sumPiSquared') } : {}),
    heads: Object.fromEntries(
      Object.entries(heads).map(([name, { logSumExps }]) => [
        name,
        { values: rows(`values/${name}`), ...(logSumExps ? { logSumExps: rows(`logSumExps/${name}`) } : {}) }
      ])
    )
  }
}

/** Scores the sequences that begin with the prefix by it, the others without; the order stays. */
async function scoreWithPrefix(
  model: LoadedModel,
  sequences: Sequence[],
  options: TokenScoreOptions,
  prefix: Prefix
): Promise<TokenScores> {
  const begins = sequences.map(({ promptTokens }) => prefix.begins(promptTokens))
  const rest = sequences.filter((_, index) => !begins[index])
  const after = sequences
    .filter((_, index) => begins[index])
    .map((sequence) => ({ ...sequence, promptTokens: sequence.promptTokens.slice(prefix.tokens.length) }))
  const native = after.length > 0 ? await prefix.native(options.signal) : undefined
  const [reused, plain] = await Promise.all([scoreAll(model, after, options, native), scoreAll(model, rest, options)])
  const join = (a: Float32Array[], b: Float32Array[]): Float32Array[] => {
    let next = 0
    let other = 0
    return begins.map((first) => (first ? a[next++]! : b[other++]!))
  }
  const both = (key: 'logProbs' | 'entropies' | 'sumPiSquared') =>
    reused[key] ? { [key]: join(reused[key], plain[key]!) } : {}
  return {
    ...both('logProbs'),
    ...both('entropies'),
    ...both('sumPiSquared'),
    heads: Object.fromEntries(
      Object.entries(reused.heads).map(([name, { values, logSumExps }]) => [
        name,
        {
          values: join(values, plain.heads[name]!.values),
          ...(logSumExps ? { logSumExps: join(logSumExps, plain.heads[name]!.logSumExps!) } : {})
        }
      ])
    )
  }
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
  const { logProbs = [] } = await scoreSequences(model, sequences, options)
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
