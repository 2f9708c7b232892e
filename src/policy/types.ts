/** Shapes that the policy shares with the judge, the RL layer and the trainer. */

import type { NativePrefix } from '../binding/native.js'

/** One chat message. `content` is text; other content parts are a later matter. */
export interface Message {
  role: 'system' | 'user' | 'assistant' | 'tool'
  content: string
}

/** Tokens that many prompts begin with, prefilled by `policy.prefix`: their keys and values are reused. */
export interface Prefix {
  readonly tokens: Int32Array
  /** Whether the adapter takes part. */
  readonly adapter: boolean
  /** Of its keys and values. */
  readonly bytes: number
  /** Whether a prompt begins with it and goes on after it. */
  begins(prompt: ArrayLike<number>): boolean
  /** For calls of the addon; prefilled anew where the weights have changed. */
  native(signal?: AbortSignal): Promise<NativePrefix>
  /** Gives its memory up, as the garbage collector would; it may be used again. */
  dispose(): void
}

/** What a completion is asked for: chat messages (rendered by the chat template), raw text, or token ids. */
export type Prompt = { messages: Message[] } | { text: string } | { tokens: Int32Array | number[] }

/** Why a completion ended: end-of-sequence token, stop string, token limit, or cancelled by its signal. */
export type FinishReason = 'stop' | 'stop_string' | 'length' | 'cancelled'

/** One sampled answer. All arrays have one entry per completion token (the end-of-sequence token included). */
export interface Completion {
  /** Decoded text, special tokens left out; cut before a stop string. */
  text: string
  tokens: Int32Array
  /** Natural log-probs under softmax(logits / temperature): what the loss uses. */
  logProbs: Float32Array
  /** Natural log-probs of the distribution really sampled from (after top-k, top-p, min-p, penalties). */
  samplingLogProbs: Float32Array
  finishReason: FinishReason
  /** The most probable tokens at each position, where `topLogProbs` was asked for. */
  topLogProbs?: { token: number; logProb: number }[][]
}

/** The n completions of one prompt. */
export interface Group {
  prompt: Prompt
  promptTokens: Int32Array
  completions: Completion[]
  /** Temperature of the rollout; log-probs in training are taken at the same temperature. */
  temperature: number
  /** The policy's weights version at rollout: equal to `policy.version` means on-policy, ratio exactly 1. */
  version: number
}

/** A sequence to score or train on: the prompt is context, log-probs are of `tokens`. */
export interface Sequence {
  promptTokens: Int32Array | number[]
  tokens: Int32Array | number[]
  /** 1 = token counts (default), 0 = tool result or other foreign text. */
  mask?: Uint8Array | number[]
}

/** A head beside the language model's own: the value of a state, or of each token that may come next. */
export interface Head {
  name: string
  outputs: 1 | 'vocabulary'
  stopGradient: boolean
  /** False for a target network: it has no gradients, also after it was saved and loaded. */
  trainable?: false
}

/** Decoding by Q heads, such as a run of the preset `ilql` leaves behind. */
export interface QDecoding {
  /** Logits become logits + beta · (smallest Q − V); 0 leaves them. Default 1. */
  beta?: number
  /** Heads with one output per token; of several the smallest counts. Default: `target_q` and `twin_target_q`. */
  qHeads?: string[]
  /** The head of the state's value. Default: `value`. */
  valueHead?: string
}

export interface GenerateOptions {
  /** Completions per prompt. Default 1. */
  n?: number
  /** Most tokens per completion. Default 128. */
  maxTokens?: number
  /** 0 = greedy. Default 1. */
  temperature?: number
  /** Keep the k most probable tokens; 0 = all. Default 0. */
  topK?: number
  /** Keep the smallest set with this probability mass, in (0, 1]. Default 1. */
  topP?: number
  /** Drop tokens below minP × the largest probability, in [0, 1). Default 0. */
  minP?: number
  /** Divide positive and multiply negative logits of tokens already seen. Default 1. */
  repetitionPenalty?: number
  /** Texts that end a completion. */
  stop?: string[]
  /** Same seed, same tokens, whatever the threads and the batch. Default 0. */
  seed?: number
  /**
   * Shifts the logits by what each token is worth, before temperature, top-k and greedy choice (Snell et al. 2022).
   * All log-probs are then those of the shifted distribution, not of the bare policy; the groups count as off-policy.
   */
  decoding?: QDecoding
  /** Return this many most probable tokens per position (0–20). Default 0. */
  topLogProbs?: number
  /** Most sequences decoded at once. Default 64. */
  maxBatch?: number
  /** What every prompt begins with, prefilled by `policy.prefix`. */
  prefix?: Prefix
  /** Called as each completion finishes, while others still generate. */
  onCompletion?: (completion: Completion, promptIndex: number, index: number) => void
  signal?: AbortSignal
}
