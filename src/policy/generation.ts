/** From prompts to sampled completions. */
import { callNative } from '../binding/errors.js'
import type { NativeCompletion, NativeSampling } from '../binding/native.js'
import { AdjudgeError } from '../errors.js'
import { concatenate } from './batch.js'
import { tokenizerOf, type LoadedModel } from './model.js'
import { resolveSampling } from './options.js'
import type { Completion, GenerateOptions, Group, Prompt, QDecoding } from './types.js'

/** Token ids of prompts. */
export async function encodePrompts(model: LoadedModel, prompts: Prompt[]): Promise<Int32Array[]> {
  const texts = prompts.map((prompt) => {
    if ('tokens' in prompt) return undefined
    return 'text' in prompt ? prompt.text : tokenizerOf(model).renderChat(prompt.messages)
  })
  const encoded = texts.some((text) => text !== undefined)
    ? await tokenizerOf(model).encodeAll(texts.map((text) => text ?? ''))
    : []
  return prompts.map((prompt, index) => {
    const tokens = 'tokens' in prompt ? Int32Array.from(prompt.tokens) : encoded[index]!
    if (tokens.length > 0) return tokens
    throw new AdjudgeError('ARGUMENT_INVALID', `prompts[${index}]: expected at least one token, got none`)
  })
}

/** Samples completions; the groups bear the version of the weights that is given. */
export async function generateGroups(
  model: LoadedModel,
  prompts: Prompt[],
  options: GenerateOptions,
  version: number
): Promise<Group[]> {
  const sampling = resolveSampling(options)
  const qDecoding = options.decoding && resolveDecoding(model, options.decoding)
  const promptTokens = await encodePrompts(model, prompts)
  const groups: Group[] = prompts.map((prompt, index) => ({
    prompt,
    promptTokens: promptTokens[index]!,
    completions: new Array<Completion>(sampling.n),
    // Greedy answers have the log-probs of temperature 1.
    temperature: sampling.temperature === 0 ? 1 : sampling.temperature,
    version: qDecoding && qDecoding.beta !== 0 ? offPolicyVersion : version
  }))
  if (groups.length === 0) return groups
  const { eosTokens, stop } = stopsOf(model, options.stop ?? [])
  const table = stop.length > 0 ? tokenizerOf(model).tokenBytes : undefined
  const { prefix } = options
  const stray = prefix ? promptTokens.findIndex((tokens) => !prefix.begins(tokens)) : -1
  if (stray >= 0) {
    throw new AdjudgeError(
      'ARGUMENT_INVALID',
      `prompts[${stray}]: expected a prompt that begins with the ${prefix!.tokens.length} tokens of prefix and goes on after them`
    )
  }
  const native = await prefix?.native(options.signal)
  const packed = concatenate(promptTokens.map((tokens) => tokens.subarray(prefix?.tokens.length ?? 0)))
  const failures: unknown[] = []
  const onCompletion = (raw: NativeCompletion) => {
    try {
      const completion = completionOf(model, raw, sampling.topLogProbs)
      groups[raw.prompt]!.completions[raw.index] = completion
      if (failures.length === 0) options.onCompletion?.(completion, raw.prompt, raw.index)
    } catch (error) {
      failures.push(error)
      cancel()
    }
  }
  let cancel = () => {}
  await callNative(async () => {
    const job = model.addon.generate(
      model.native,
      packed.tokens,
      packed.offsets,
      {
        ...sampling,
        eosTokens,
        stop,
        ...(qDecoding ? { qDecoding } : {}),
        ...(native ? { prefix: native } : {}),
        ...(table ? { tokenBytes: table.bytes, tokenByteOffsets: table.offsets } : {})
      },
      onCompletion
    )
    cancel = () => job.cancel()
    if (options.signal?.aborted) cancel()
    options.signal?.addEventListener('abort', cancel)
    await job.done.finally(() => options.signal?.removeEventListener('abort', cancel))
  })
  if (failures.length > 0) throw failures[0]
  return groups
}

/** Equal to no version of the weights: what was sampled from was not the policy alone. */
const offPolicyVersion = -1

/** @throws AdjudgeError `ARGUMENT_INVALID` for a beta that is no number, a head that is missing or of the wrong kind. */
function resolveDecoding(model: LoadedModel, decoding: QDecoding): NonNullable<NativeSampling['qDecoding']> {
  const { beta = 1, valueHead = 'value' } = decoding
  const twin = model.heads.some(({ name }) => name === 'twin_target_q')
  const qHeads = decoding.qHeads ?? ['target_q', ...(twin ? ['twin_target_q'] : [])]
  const invalid = (message: string) => new AdjudgeError('ARGUMENT_INVALID', `decoding${message}`)
  if (!Number.isFinite(beta)) throw invalid(`.beta: expected a finite number, got ${beta}`)
  if (qHeads.length === 0) throw invalid('.qHeads: expected at least one head')
  for (const [name, outputs] of [...qHeads.map((head) => [head, 'vocabulary'] as const), [valueHead, 1] as const]) {
    const head = model.heads.find((one) => one.name === name)
    const known = model.heads.map((one) => one.name).join(', ') || 'none'
    if (!head) throw invalid(`: the policy has no head ${name} (heads: ${known}); load a run's heads with loadHeads`)
    if (head.outputs !== outputs) throw invalid(`: head ${name} has outputs ${head.outputs}, expected ${outputs}`)
  }
  return { beta, qHeads, valueHead }
}

/** A stop text that is one special token ends a completion as the end-of-sequence token does. */
function stopsOf(model: LoadedModel, texts: string[]): { eosTokens: Int32Array; stop: string[] } {
  const extra: number[] = []
  const stop = texts.filter((text) => {
    if (text === '') throw new AdjudgeError('ARGUMENT_INVALID', 'stop: expected texts that are not empty')
    const tokenizer = tokenizerOf(model)
    const id = tokenizer.tokenId(text)
    if (id === undefined || !tokenizer.isSpecial(id)) return true
    extra.push(id)
    return false
  })
  return { eosTokens: extra.length > 0 ? Int32Array.from([...model.eosTokens, ...extra]) : model.eosTokens, stop }
}

function completionOf(model: LoadedModel, raw: NativeCompletion, top: number): Completion {
  const { tokens, logProbs, samplingLogProbs, finishReason } = raw
  const { tokenizer } = model
  const text = !tokenizer
    ? ''
    : raw.stopBytes >= 0
      ? tokenizer.decodeBytes(tokens, raw.stopBytes)
      : tokenizer.decode(tokens)
  const completion: Completion = { text, tokens, logProbs, samplingLogProbs, finishReason }
  if (top > 0) {
    completion.topLogProbs = Array.from(tokens, (_, position) =>
      Array.from({ length: top }, (_, rank) => ({
        token: raw.topTokens![position * top + rank]!,
        logProb: raw.topLogProbs![position * top + rank]!
      }))
    )
  }
  return completion
}
