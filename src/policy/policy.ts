/** A language model that answers, scores and learns: one set of weights and kernels for all of it. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { callNative } from '../binding/errors.js'
import { loadAddon } from '../binding/load.js'
import type { NativeAddon, NativeCompletion, NativeDescription, NativeModel, ParameterPart } from '../binding/native.js'
import { AdjudgeError } from '../errors.js'
import { resolveAlgorithm, type AlgorithmOptions } from '../rl/index.js'
import { concatenate, flatten, packSequences, unflatten, type PackedSequences } from './batch.js'
import { readModelFiles, type ModelFiles } from './files.js'
import { objectiveOf, type Objective, type Rewards } from './objective.js'
import {
  checkLoadOptions,
  resolveLora,
  resolveSampling,
  resolveStep,
  type LoadOptions,
  type SaveOptions,
  type StepOptions
} from './options.js'
import { writeFolder, writeModelFiles } from './save.js'
import { Tokenizer } from './tokenizer.js'
import type { Completion, GenerateOptions, Group, Message, Prompt, Sequence } from './types.js'

export interface LogProbOptions {
  /** Log-probs are those of softmax(logits / temperature). Default 1. */
  temperature?: number
  /** False: without the adapter, which is the reference of KL. Default true. */
  adapter?: boolean
}

/** A foreign loss: its derivative for every token's log-prob, and for the entropy of its distribution. */
export interface SequenceBackward {
  sequences: Sequence[]
  /** [sequences][tokens]: d loss / d log-prob. */
  logProbGradients: ArrayLike<number>[]
  /** [sequences][tokens]: d loss / d entropy. */
  entropyGradients?: ArrayLike<number>[]
  temperature?: number
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
  reference?: Policy
}

export interface Gradients {
  /** By Transformers' name, or PEFT's for an adapter. */
  [name: string]: { data: Float32Array; shape: number[] }
}

export class Policy {
  /** The sampler of text to tokens; absent (throws) where the model's folder has none. */
  private readonly tokenizerOrNone: Tokenizer | undefined
  private readonly eosTokens: Int32Array
  private weightsVersion = 0

  private constructor(
    private readonly addon: NativeAddon,
    private readonly native: NativeModel,
    private readonly files: ModelFiles,
    private readonly trainable: boolean
  ) {
    this.description = addon.describe(native)
    this.tokenizerOrNone = files.tokenizer && new Tokenizer(files.tokenizer)
    const size = this.tokenizerOrNone?.size ?? 0
    if (size > this.description.vocabulary) {
      throw new AdjudgeError(
        'TOKENIZER_INVALID',
        `${files.tokenizer?.name}: the tokenizer has ${size} tokens, but the model knows ${this.description.vocabulary}`
      )
    }
    const eos = files.generation?.['eos_token_id']
    const more = typeof eos === 'number' ? [eos] : Array.isArray(eos) ? (eos as number[]) : []
    this.eosTokens = Int32Array.from(new Set([...this.description.eosTokens, ...more]))
  }

  /** Sizes of the model: family, vocabulary, layers, context, bytes held. */
  readonly description: NativeDescription

  /**
   * Loads a model.
   * @param path a Transformers folder (config.json, safetensors, tokenizer.json) or a GGUF file
   * @throws AdjudgeError `FILE_NOT_FOUND`, `UNSUPPORTED_FAMILY`, `CONFIG_INVALID`, `MODEL_INVALID`,
   *   `SAFETENSORS_INVALID`, `GGUF_INVALID`, `TOKENIZER_INVALID`, `ADAPTER_INVALID`, `DTYPE_UNSUPPORTED`,
   *   `ARGUMENT_INVALID`
   */
  static async load(path: string, options: LoadOptions = {}): Promise<Policy> {
    checkLoadOptions(options)
    const lora = options.lora && resolveLora(options.lora, options.seed ?? 0)
    const addon = loadAddon()
    const files = await readModelFiles(path)
    const trainable = options.trainable ?? true
    if (options.threads !== undefined) addon.setThreads(options.threads)
    const native = await callNative(() =>
      addon.load({
        weights: files.path,
        gguf: files.gguf,
        config: files.config,
        configName: files.configName,
        trainable,
        ...(lora ? { lora } : {}),
        ...(options.adapter === undefined ? {} : { adapter: options.adapter })
      })
    )
    try {
      return new Policy(addon, native, files, trainable)
    } catch (error) {
      addon.dispose(native)
      throw error
    }
  }

  /** Counts the changes of the weights: a group of the same version is on-policy. */
  get version(): number {
    return this.weightsVersion
  }

  /** True where an adapter is trained or loaded. */
  get hasAdapter(): boolean {
    return this.description.lora !== undefined
  }

  /** @throws AdjudgeError `TOKENIZER_INVALID` where the model's folder has no tokenizer */
  get tokenizer(): Tokenizer {
    if (this.tokenizerOrNone) return this.tokenizerOrNone
    throw new AdjudgeError(
      'TOKENIZER_INVALID',
      `${this.files.path} has no tokenizer.json, so it takes no text; add the file, or give token ids`
    )
  }

  /** Chat messages as the model's text, the opening of the assistant's turn added. */
  renderChat(messages: Message[]): string {
    return this.tokenizer.renderChat(messages)
  }

  /** Token ids of prompts. */
  async encodePrompts(prompts: Prompt[]): Promise<Int32Array[]> {
    const texts = prompts.map((prompt) => {
      if ('tokens' in prompt) return undefined
      return 'text' in prompt ? prompt.text : this.renderChat(prompt.messages)
    })
    const encoded = texts.some((text) => text !== undefined)
      ? await this.tokenizer.encodeAll(texts.map((text) => text ?? ''))
      : []
    return prompts.map((prompt, index) => {
      const tokens = 'tokens' in prompt ? Int32Array.from(prompt.tokens) : encoded[index]!
      if (tokens.length > 0) return tokens
      throw new AdjudgeError('ARGUMENT_INVALID', `prompts[${index}]: expected at least one token, got none`)
    })
  }

  /**
   * Samples `n` completions of each prompt. The same seed gives the same tokens, whatever the threads and the batch.
   * An aborted signal ends it early: what was begun comes back with finish reason `cancelled`.
   * @throws AdjudgeError `ARGUMENT_INVALID`, `CONTEXT_EXCEEDED`, `TOKENIZER_INVALID`, `DISPOSED`
   */
  async generate(prompts: Prompt[], options: GenerateOptions = {}): Promise<Group[]> {
    const sampling = resolveSampling(options)
    const promptTokens = await this.encodePrompts(prompts)
    const groups: Group[] = prompts.map((prompt, index) => ({
      prompt,
      promptTokens: promptTokens[index]!,
      completions: new Array<Completion>(sampling.n),
      // Greedy answers have the log-probs of temperature 1.
      temperature: sampling.temperature === 0 ? 1 : sampling.temperature,
      version: this.weightsVersion
    }))
    if (groups.length === 0) return groups
    const { eosTokens, stop } = this.stopsOf(options.stop ?? [])
    const table = stop.length > 0 ? this.tokenizer.tokenBytes : undefined
    const packed = concatenate(promptTokens)
    const failures: unknown[] = []
    const onCompletion = (raw: NativeCompletion) => {
      try {
        const completion = this.completionOf(raw, sampling.topLogProbs)
        groups[raw.prompt]!.completions[raw.index] = completion
        if (failures.length === 0) options.onCompletion?.(completion, raw.prompt, raw.index)
      } catch (error) {
        failures.push(error)
        cancel()
      }
    }
    let cancel = () => {}
    await callNative(async () => {
      const job = this.addon.generate(
        this.native,
        packed.tokens,
        packed.offsets,
        {
          ...sampling,
          eosTokens,
          stop,
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

  /** A stop text that is one special token ends a completion as the end-of-sequence token does. */
  private stopsOf(texts: string[]): { eosTokens: Int32Array; stop: string[] } {
    const extra: number[] = []
    const stop = texts.filter((text) => {
      if (text === '') throw new AdjudgeError('ARGUMENT_INVALID', 'stop: expected texts that are not empty')
      const id = this.tokenizer.tokenId(text)
      if (id === undefined || !this.tokenizer.isSpecial(id)) return true
      extra.push(id)
      return false
    })
    return { eosTokens: extra.length > 0 ? Int32Array.from([...this.eosTokens, ...extra]) : this.eosTokens, stop }
  }

  private completionOf(raw: NativeCompletion, top: number): Completion {
    const { tokens, logProbs, samplingLogProbs, finishReason } = raw
    const tokenizer = this.tokenizerOrNone
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

  /**
   * Natural log-probs of given tokens: one array `[tokens]` per sequence, in the order given. Sequences with the same
   * prompt share one copy of it. Equal, bit for bit, to those of the rollout at the same weights and temperature.
   */
  async logProbs(sequences: Sequence[], options: LogProbOptions = {}): Promise<Float32Array[]> {
    return (await this.score(sequences, options, false)).logProbs
  }

  /** As `logProbs`, with the entropy (nats) of the distribution at each token. */
  async logProbsAndEntropies(
    sequences: Sequence[],
    options: LogProbOptions = {}
  ): Promise<{ logProbs: Float32Array[]; entropies: Float32Array[] }> {
    const { logProbs, entropies } = await this.score(sequences, options, true)
    return { logProbs, entropies: entropies! }
  }

  private async score(sequences: Sequence[], options: LogProbOptions, withEntropies: boolean) {
    const packed = packSequences(sequences, options.temperature ?? 1)
    const logProbs = new Float32Array(packed.tokens)
    const entropies = withEntropies ? new Float32Array(packed.tokens) : undefined
    for (const chunk of packed.chunks) {
      const result = await callNative(() =>
        this.addon.logProbs(this.native, chunk.batch, { adapter: options.adapter ?? true, entropies: withEntropies })
      )
      logProbs.set(result.logProbs, chunk.start)
      if (entropies) entropies.set(result.entropies!, chunk.start)
    }
    return { logProbs: unflatten(packed, logProbs), entropies: entropies && unflatten(packed, entropies) }
  }

  /**
   * Log-probs of a closed set of answers after each prompt: per prompt `[choices]`, summed over an answer's tokens.
   * @param choices texts, encoded apart from the prompt, or token ids
   */
  async choiceLogProbs(
    prompts: Prompt[],
    choices: (string | ArrayLike<number>)[],
    options: LogProbOptions = {}
  ): Promise<Float32Array[]> {
    const groups = await this.choiceGroups(prompts, choices, options)
    return groups.map((group) =>
      Float32Array.from(group.completions, ({ logProbs }) => logProbs.reduce((sum, value) => sum + value, 0))
    )
  }

  /** A closed set of answers as groups, ready for `backward` with the algorithm `exact`: nothing is sampled. */
  async choiceGroups(
    prompts: Prompt[],
    choices: (string | ArrayLike<number>)[],
    options: LogProbOptions = {}
  ): Promise<Group[]> {
    const { temperature = 1 } = options
    const answers = choices.map((choice, index) => {
      const tokens = typeof choice === 'string' ? this.tokenizer.encode(choice) : Int32Array.from(choice)
      if (tokens.length > 0) return tokens
      throw new AdjudgeError('ARGUMENT_INVALID', `choices[${index}]: expected at least one token, got none`)
    })
    const encoded = await this.encodePrompts(prompts)
    const version = this.weightsVersion
    const sequences = encoded.flatMap((promptTokens) => answers.map((tokens) => ({ promptTokens, tokens })))
    const logProbs = await this.logProbs(sequences, options)
    return encoded.map((promptTokens, index) => ({
      prompt: prompts[index]!,
      promptTokens,
      completions: answers.map((tokens, choice) => {
        const values = logProbs[index * answers.length + choice]!
        const text =
          typeof choices[choice] === 'string' ? choices[choice] : (this.tokenizerOrNone?.decode(tokens) ?? '')
        return { text, tokens, logProbs: values, samplingLogProbs: values, finishReason: 'length' as const }
      }),
      temperature,
      version
    }))
  }

  /** Logits after every token of one sequence: `data` is `[tokens, vocabulary]`, row by row. */
  async logits(tokens: ArrayLike<number>): Promise<{ data: Float32Array; shape: [number, number] }> {
    const data = await callNative(() => this.addon.logits(this.native, Int32Array.from(tokens)))
    return { data, shape: [tokens.length, this.description.vocabulary] }
  }

  /**
   * Mean next-token loss (nats) over the counted tokens of all sequences, and its gradients. Gradients accumulated
   * before are dropped, and none stay behind. `mask[i]` 0: the prediction of token i does not count.
   */
  async lossAndGradients(
    sequences: { tokens: ArrayLike<number>; mask?: ArrayLike<number> }[]
  ): Promise<{ loss: number; gradients: Gradients }> {
    const rows = sequences.map(({ tokens, mask }, index) => {
      if (mask && mask.length !== tokens.length) {
        throw new AdjudgeError('ARGUMENT_INVALID', `sequences[${index}].mask: expected one entry per token`)
      }
      const all = Int32Array.from(tokens)
      const counted = Uint8Array.from({ length: Math.max(0, all.length - 1) }, (_, at) =>
        mask && !mask[at + 1] ? 0 : 1
      )
      return { promptTokens: all.slice(0, 1), tokens: all.slice(1), counted }
    })
    const count = rows.reduce((sum, { counted }) => sum + counted.reduce((a, b) => a + b, 0), 0)
    if (count === 0) throw new AdjudgeError('ARGUMENT_INVALID', 'sequences: no token counts; expected at least one')
    await this.zeroGradients()
    const { logProbs } = await this.backward({
      sequences: rows,
      logProbGradients: rows.map(({ counted }) => Float32Array.from(counted, (one) => (one ? -1 / count : 0)))
    })
    let loss = 0
    rows.forEach(({ counted }, row) =>
      counted.forEach((one, at) => {
        if (one) loss -= logProbs[row]![at]! / count
      })
    )
    const gradients: Gradients = {}
    for (const { name, shape, trainable } of this.parameters()) {
      if (trainable) gradients[name] = { data: await this.readParameter(name, 'gradient'), shape }
    }
    await this.zeroGradients()
    return { loss, gradients }
  }

  /**
   * Accumulates gradients. A foreign loss gives its derivatives; an RL loss gives groups, rewards and algorithm.
   * On-policy groups (of this version) use the rollout's log-probs: the ratio is exactly 1.
   * @throws AdjudgeError `NOT_TRAINABLE`, `ARGUMENT_INVALID`, `ALGORITHM_INVALID`, `CONTEXT_EXCEEDED`
   */
  async backward(input: SequenceBackward): Promise<{ logProbs: Float32Array[] }>
  async backward(input: GroupBackward): Promise<{ loss: number; metrics: Objective['metrics'] }>
  async backward(input: SequenceBackward | GroupBackward) {
    if (!this.trainable) {
      throw new AdjudgeError('NOT_TRAINABLE', 'The model was loaded with trainable: false and has no gradients')
    }
    return 'groups' in input ? this.backwardGroups(input) : this.backwardSequences(input)
  }

  private async backwardSequences(input: SequenceBackward): Promise<{ logProbs: Float32Array[] }> {
    const packed = packSequences(input.sequences, input.temperature ?? 1)
    const gradients = flatten(packed, input.logProbGradients, 'logProbGradients')
    const entropyGradients = input.entropyGradients && flatten(packed, input.entropyGradients, 'entropyGradients')
    clearMasked(packed, input.sequences, [gradients, ...(entropyGradients ? [entropyGradients] : [])])
    const logProbs = new Float32Array(packed.tokens)
    for (const { batch, start, end } of packed.chunks) {
      const values = await callNative(() =>
        this.addon.backward(this.native, batch, gradients.subarray(start, end), entropyGradients?.subarray(start, end))
      )
      logProbs.set(values, start)
    }
    return { logProbs: unflatten(packed, logProbs) }
  }

  private async backwardGroups(input: GroupBackward): Promise<{ loss: number; metrics: Objective['metrics'] }> {
    const { groups, rewards, weights, maxTokens } = input
    const algorithm = resolveAlgorithm(input.algorithm)
    const temperature = groups[0]?.temperature ?? 1
    if (groups.some((group) => group.temperature !== temperature)) {
      throw new AdjudgeError('ARGUMENT_INVALID', 'groups: expected one temperature for all groups of a call')
    }
    const sequences = groups.flatMap(({ promptTokens, completions }) =>
      completions.map(({ tokens }) => ({ promptTokens, tokens }))
    )
    const oldLogProbs = groups.flatMap(({ completions }) => completions.map(({ logProbs }) => logProbs))
    const onPolicy = groups.every((group) => group.version === this.weightsVersion)
    const needsEntropies = algorithm.entropy.coefficient !== 0 && algorithm.advantage.estimator !== 'exact'
    const scored = needsEntropies ? await this.logProbsAndEntropies(sequences, { temperature }) : undefined
    const logProbs = onPolicy ? oldLogProbs : (scored?.logProbs ?? (await this.logProbs(sequences, { temperature })))
    const referenceLogProbs =
      algorithm.kl.coefficient > 0
        ? await this.referenceOf(input.reference).logProbs(sequences, {
            temperature,
            adapter: input.reference !== undefined && input.reference !== this
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
      ...(scored ? { entropies: scored.entropies } : {})
    })
    await this.backwardSequences({
      sequences,
      logProbGradients: objective.logProbGradients,
      ...(objective.entropyGradients ? { entropyGradients: objective.entropyGradients } : {}),
      temperature
    })
    return { loss: objective.loss, metrics: objective.metrics }
  }

  private referenceOf(reference: Policy | undefined): Policy {
    if (reference) return reference
    if (this.hasAdapter) return this
    throw new AdjudgeError(
      'ARGUMENT_INVALID',
      'reference: KL needs a frozen model to measure against; give one, train with lora, or set kl.coefficient to 0'
    )
  }

  /** Drops accumulated gradients. */
  async zeroGradients(): Promise<void> {
    await callNative(() => this.addon.zeroGradients(this.native))
  }

  /**
   * Applies the accumulated gradients with AdamW (decoupled decay, bias correction) and drops them.
   * @returns `gradNorm`: the global norm before clipping
   * @throws AdjudgeError `GRADIENT_NOT_FINITE`, `NOT_TRAINABLE`, `ARGUMENT_INVALID`
   */
  async step(options: StepOptions = {}): Promise<{ gradNorm: number }> {
    if (!this.trainable) {
      throw new AdjudgeError('NOT_TRAINABLE', 'The model was loaded with trainable: false and cannot learn')
    }
    const resolved = resolveStep(options)
    const gradNorm = await callNative(() => this.addon.step(this.native, resolved))
    this.weightsVersion++
    return { gradNorm }
  }

  /** Names and shapes of everything that has a value. */
  parameters(): { name: string; shape: number[]; trainable: boolean }[] {
    return this.addon.parameters(this.native)
  }

  /** A copy of a parameter's values, gradient or optimizer state. */
  async readParameter(name: string, part: ParameterPart = 'value'): Promise<Float32Array> {
    return callNative(() => this.addon.readParameter(this.native, name, part))
  }

  /** Overwrites values, gradients or optimizer state: all of them or, where one does not fit, none. */
  async writeParameters(writes: { name: string; part?: ParameterPart; data: Float32Array }[]): Promise<void> {
    await callNative(() =>
      this.addon.writeParameters(
        this.native,
        writes.map(({ name, part = 'value', data }) => ({ name, part, data }))
      )
    )
    this.weightsVersion++
  }

  /** Saves the optimizer's state as one safetensors file. */
  async saveOptimizer(file: string): Promise<void> {
    await callNative(() => this.addon.saveOptimizer(this.native, file))
  }

  /** @throws AdjudgeError `CHECKPOINT_INVALID` where the state is of another model */
  async loadOptimizer(file: string): Promise<void> {
    await callNative(() => this.addon.loadOptimizer(this.native, file))
  }

  /**
   * Writes the model as a Transformers folder, or its adapter as a PEFT folder. Appears whole or not at all.
   * @throws AdjudgeError `ARGUMENT_INVALID` (no adapter to save), `FILE_UNWRITABLE`, `PERMISSION_DENIED`, `DISK_FULL`
   */
  async save(folder: string, options: SaveOptions = {}): Promise<void> {
    const { format = 'transformers', merged = true } = options
    const { lora } = this.description
    if (format === 'peft') {
      if (!lora) {
        throw new AdjudgeError('ARGUMENT_INVALID', 'format: "peft" saves an adapter, but this model has none')
      }
      const { rank, scale, modules } = lora
      const config = this.addon.adapterConfig({ rank, alpha: scale * rank, modules, baseModel: this.files.path })
      await writeFolder(folder, async (partial) => {
        await writeFile(join(partial, 'adapter_config.json'), config)
        await this.saveWeights(join(partial, 'adapter_model.safetensors'), 'adapter')
      })
      return
    }
    if (format !== 'transformers') {
      throw new AdjudgeError('ARGUMENT_INVALID', `format: expected "transformers" or "peft", got ${String(format)}`)
    }
    await writeFolder(folder, async (partial) => {
      await this.saveWeights(join(partial, 'model.safetensors'), lora && merged ? 'merged' : 'base')
      await writeModelFiles(partial, this.files)
    })
  }

  private async saveWeights(file: string, part: 'base' | 'merged' | 'adapter'): Promise<void> {
    await callNative(() => this.addon.saveWeights(this.native, file, part))
  }

  /** Frees the model's memory once its running jobs have ended. A second call does nothing. */
  dispose(): void {
    this.addon.dispose(this.native)
  }

  [Symbol.dispose](): void {
    this.dispose()
  }
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
