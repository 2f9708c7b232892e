/** A language model that answers, scores and learns: one set of weights and kernels for all of it. */
import { callJob, callNative } from '../binding/errors.js'
import type { NativeDescription, ParameterPart } from '../binding/native.js'
import { AdjudgeError } from '../errors.js'
import { backwardGroups, backwardSequences, type GroupBackward, type SequenceBackward } from './backward.js'
import { encodePrompts, generateGroups } from './generation.js'
import { addHead, blendHead, loadHeads, stepHead, type HeadOptions } from './heads.js'
import { lossAndGradients, type Gradients, type MaskedTokens } from './gradients.js'
import { loadModel, tokenizerOf, type LoadedModel } from './model.js'
import type { Objective } from './objective.js'
import { resolveStep, type LoadOptions, type SaveOptions, type StepOptions } from './options.js'
import { PolicyPrefix } from './prefix.js'
import { saveModel } from './save.js'
import { choiceGroups, scoreSequences, type LogProbOptions, type TokenScoreOptions, type TokenScores } from './score.js'
import type { Tokenizer } from './tokenizer.js'
import type { GenerateOptions, Group, Head, Message, Prefix, Prompt, Sequence } from './types.js'

/** What every long call takes. */
export interface PolicyCallOptions {
  /** Aborted: the call rejects with CANCELLED. */
  signal?: AbortSignal
}

export interface Logits {
  data: Float32Array
  shape: [number, number]
}

export class Policy {
  /** Sizes of the model: family, vocabulary, layers, context, bytes held. */
  readonly description: NativeDescription
  private weightsVersion = 0

  private constructor(private readonly model: LoadedModel) {
    this.description = model.description
  }

  /**
   * Loads a model.
   * @param path a Transformers folder (config.json, safetensors, tokenizer.json) or a GGUF file
   * @throws AdjudgeError `FILE_NOT_FOUND`, `UNSUPPORTED_FAMILY`, `CONFIG_INVALID`, `MODEL_INVALID`,
   *   `SAFETENSORS_INVALID`, `GGUF_INVALID`, `TOKENIZER_INVALID`, `ADAPTER_INVALID`,
   *   `ARGUMENT_INVALID`
   */
  static async load(path: string, options: LoadOptions = {}): Promise<Policy> {
    return new Policy(await loadModel(path, options))
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
    return tokenizerOf(this.model)
  }

  /** Chat messages as the model's text, the opening of the assistant's turn added. */
  renderChat(messages: Message[]): string {
    return this.tokenizer.renderChat(messages)
  }

  /** Token ids of prompts. */
  async encodePrompts(prompts: Prompt[]): Promise<Int32Array[]> {
    return encodePrompts(this.model, prompts)
  }

  /**
   * Prefills tokens that many prompts begin with; `logProbs`, `score`, `choiceLogProbs` and `generate` take it as
   * `prefix` and compute only what comes after it, to the same bits. 2 · layers · kvHeads · headDim · 4 bytes a token.
   * @param options adapter: false for calls without the adapter
   * @throws AdjudgeError `ARGUMENT_INVALID` (no tokens, or not the vocabulary's), `CONTEXT_EXCEEDED`, `CANCELLED`
   */
  async prefix(tokens: ArrayLike<number>, options: PolicyCallOptions & { adapter?: boolean } = {}): Promise<Prefix> {
    const { adapter = true, signal } = options
    const prefix = new PolicyPrefix(this.model, Int32Array.from(tokens), adapter, () => this.weightsVersion)
    await prefix.native(signal)
    return prefix
  }

  /**
   * Samples `n` completions of each prompt. The same seed gives the same tokens, whatever the threads and the batch.
   * An aborted signal ends it early: what was begun comes back with finish reason `cancelled`.
   * @throws AdjudgeError `ARGUMENT_INVALID`, `CONTEXT_EXCEEDED`, `TOKENIZER_INVALID`, `DISPOSED`
   */
  async generate(prompts: Prompt[], options: GenerateOptions = {}): Promise<Group[]> {
    return generateGroups(this.model, prompts, options, this.weightsVersion)
  }

  /**
   * Natural log-probs of given tokens: one array `[tokens]` per sequence, in the order given. Sequences with the same
   * prompt share one copy of it. Equal, bit for bit, to those of the rollout at the same weights and temperature.
   */
  async logProbs(sequences: Sequence[], options: LogProbOptions = {}): Promise<Float32Array[]> {
    return (await scoreSequences(this.model, sequences, options)).logProbs!
  }

  /** As `logProbs`, with the entropy (nats) of the distribution at each token. */
  async logProbsAndEntropies(
    sequences: Sequence[],
    options: LogProbOptions = {}
  ): Promise<{ logProbs: Float32Array[]; entropies: Float32Array[] }> {
    const { logProbs, entropies } = await scoreSequences(this.model, sequences, { ...options, entropies: true })
    return { logProbs: logProbs!, entropies: entropies! }
  }

  /**
   * Any of log-probs, entropies, summed squared probabilities and heads' values of given tokens, in one pass.
   * @throws AdjudgeError `ARGUMENT_INVALID` (an unknown head, a log-sum-exp of a head with one output),
   *   `CONTEXT_EXCEEDED`, `CANCELLED`
   */
  async score(sequences: Sequence[], options: TokenScoreOptions = {}): Promise<TokenScores> {
    return scoreSequences(this.model, sequences, options)
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
    return choiceGroups(this.model, prompts, choices, options, this.weightsVersion)
  }

  /**
   * Logits after every token of one sequence: `data` is `[tokens, vocabulary]`, row by row.
   * @throws AdjudgeError `ARGUMENT_INVALID`, `CONTEXT_EXCEEDED`, `TOKEN_OUT_OF_RANGE`, `CANCELLED`
   */
  async logits(tokens: ArrayLike<number>, options: PolicyCallOptions = {}): Promise<Logits> {
    const { addon, native } = this.model
    const data = await callJob(() => addon.logits(native, Int32Array.from(tokens)), options.signal)
    return { data, shape: [tokens.length, this.description.vocabulary] }
  }

  /**
   * Mean next-token loss (nats) over the counted tokens of all sequences, and its gradients. Gradients accumulated
   * before are dropped, and none stay behind. `mask[i]` 0: the prediction of token i does not count.
   */
  async lossAndGradients(
    sequences: MaskedTokens[],
    options: PolicyCallOptions = {}
  ): Promise<{ loss: number; gradients: Gradients }> {
    return lossAndGradients(this.model, sequences, options.signal)
  }

  /**
   * Accumulates gradients. A foreign loss gives its derivatives; an RL loss gives groups, rewards and algorithm.
   * On-policy groups (of this version) use the rollout's log-probs: the ratio is exactly 1.
   * @throws AdjudgeError `NOT_TRAINABLE`, `ARGUMENT_INVALID`, `ALGORITHM_INVALID`, `CONTEXT_EXCEEDED`, `CANCELLED`
   */
  async backward(input: SequenceBackward): Promise<{ logProbs: Float32Array[] }>
  async backward(input: GroupBackward): Promise<{ loss: number; metrics: Objective['metrics'] }>
  async backward(input: SequenceBackward | GroupBackward) {
    return 'groups' in input ? backwardGroups(this.model, input, this) : backwardSequences(this.model, input)
  }

  /** Heads beside the language model's own. */
  get heads(): readonly Head[] {
    return this.model.heads
  }

  /**
   * Adds a linear head on the last hidden state (after the final norm), with parameters (`heads.NAME.weight`
   * [outputs, hidden], `heads.NAME.bias` [outputs]), gradients and optimizer state of its own. `score` gives its values,
   * `backward` takes derivatives for them, `stepHead` applies them, `save` writes it into the folder `heads`.
   * @param name letters, digits and _
   * @throws AdjudgeError `ARGUMENT_INVALID` (a head of this name is there; options), `MEMORY_EXCEEDED`
   */
  async addHead(name: string, options: HeadOptions = {}): Promise<void> {
    return addHead(this.model, name, options)
  }

  /**
   * A head's values: one array `[tokens]` per sequence. Of a head with one output the value of the state before each
   * token; of one per token of the vocabulary, the value of the token in that state. Does not depend on the batch.
   */
  async headValues(name: string, sequences: Sequence[], options: PolicyCallOptions = {}): Promise<Float32Array[]> {
    const scores = await this.score(sequences, { ...options, logProbs: false, heads: { [name]: {} } })
    return scores.heads[name]!.values
  }

  /**
   * Applies a head's accumulated gradients with AdamW, clipped by the head's own norm, and drops them. `step` leaves
   * heads alone.
   */
  async stepHead(name: string, options: StepOptions = {}): Promise<{ gradNorm: number }> {
    return stepHead(this.model, name, options)
  }

  /** target ← target + rate · (source − target): Polyak's average, for a target network. Rate 1 copies. */
  async blendHead(target: string, source: string, rate: number): Promise<void> {
    return blendHead(this.model, target, source, rate)
  }

  /**
   * Adds the heads that `save` wrote into a model's folder.
   * @param options trainable: false saves gradients and optimizer; default: as the policy
   * @throws AdjudgeError `FILE_NOT_FOUND`, `FORMAT_NEWER`, `MODEL_INVALID`, `ARGUMENT_INVALID`
   */
  async loadHeads(folder: string, options: { trainable?: boolean } = {}): Promise<void> {
    return loadHeads(this.model, folder, options.trainable)
  }

  /** Drops accumulated gradients. */
  async zeroGradients(): Promise<void> {
    await callNative(() => this.model.addon.zeroGradients(this.model.native))
  }

  /**
   * Applies the accumulated gradients with AdamW (decoupled decay, bias correction) and drops them.
   * @returns `gradNorm`: the global norm before clipping
   * @throws AdjudgeError `GRADIENT_NOT_FINITE`, `NOT_TRAINABLE`, `ARGUMENT_INVALID`
   */
  async step(options: StepOptions = {}): Promise<{ gradNorm: number }> {
    if (!this.model.trainable) {
      throw new AdjudgeError('NOT_TRAINABLE', 'The model was loaded with trainable: false and cannot learn')
    }
    const resolved = resolveStep(options)
    const gradNorm = await callNative(() => this.model.addon.step(this.model.native, resolved))
    this.weightsVersion++
    return { gradNorm }
  }

  /** Names and shapes of everything that has a value. */
  parameters(): { name: string; shape: number[]; trainable: boolean }[] {
    return this.model.addon.parameters(this.model.native)
  }

  /** A copy of a parameter's values, gradient or optimizer state. */
  async readParameter(name: string, part: ParameterPart = 'value'): Promise<Float32Array> {
    return callNative(() => this.model.addon.readParameter(this.model.native, name, part))
  }

  /** Overwrites values, gradients or optimizer state: all of them or, where one does not fit, none. */
  async writeParameters(writes: { name: string; part?: ParameterPart; data: Float32Array }[]): Promise<void> {
    await callNative(() =>
      this.model.addon.writeParameters(
        this.model.native,
        writes.map(({ name, part = 'value', data }) => ({ name, part, data }))
      )
    )
    this.weightsVersion++
  }

  /** Saves the optimizer's state, heads included, as one safetensors file. */
  async saveOptimizer(file: string): Promise<void> {
    await callNative(() => this.model.addon.saveOptimizer(this.model.native, file))
  }

  /** @throws AdjudgeError `CHECKPOINT_INVALID` where the state is of another model */
  async loadOptimizer(file: string): Promise<void> {
    await callNative(() => this.model.addon.loadOptimizer(this.model.native, file))
  }

  /**
   * Writes the model as a Transformers folder, or its adapter as a PEFT folder; heads go into its folder `heads`.
   * Appears whole or not at all.
   * @throws AdjudgeError `ARGUMENT_INVALID` (no adapter to save), `FILE_UNWRITABLE`, `PERMISSION_DENIED`, `DISK_FULL`
   */
  async save(folder: string, options: SaveOptions = {}): Promise<void> {
    return saveModel(this.model, folder, options)
  }

  /** Frees the model's memory once its running jobs have ended. A second call does nothing. */
  dispose(): void {
    this.model.addon.dispose(this.model.native)
  }

  [Symbol.dispose](): void {
    this.dispose()
  }
}
