/** The one typed description of the addon (`native/napi`). Every long call returns a promise and runs on own threads. */

/** A model that the addon holds. Opaque: only the addon's functions can use it. */
export interface NativeModel {
  readonly __nativeModel: never
}

/** Prefilled tokens of one model. Opaque. */
export interface NativePrefix {
  readonly __nativePrefix: never
}

export interface NativeLoadOptions {
  /** A safetensors file, a Transformers folder, or a GGUF file. */
  weights: string
  gguf?: boolean
  /** The text of config.json, and its name for messages. */
  config: string
  configName: string
  /** `auto`: bfloat16 where the processor computes in it. */
  dtype: 'auto' | 'float32' | 'bfloat16'
  trainable: boolean
  lora?: NativeLora
  /** A PEFT adapter's folder, instead of `lora`. */
  adapter?: string
}

export interface NativeLora {
  rank: number
  /** alpha / rank, or alpha / sqrt(rank) for rsLoRA. */
  scale: number
  /** Module suffixes: `q_proj`, … */
  modules: string[]
  seed: number
}

export interface NativeDescription {
  family: string
  vocabulary: number
  hidden: number
  intermediate: number
  layers: number
  heads: number
  kvHeads: number
  headDim: number
  maxPositions: number
  tiedHead: boolean
  eosTokens: Int32Array
  /** -1: none. */
  bosToken: number
  /** What the factors of products with weights are rounded to. */
  dtype: 'float32' | 'bfloat16'
  /** Memory that the model holds. */
  bytes: number
  lora?: { rank: number; scale: number; modules: string[] }
}

/** Prompts with their completions, packed: offsets have one entry more than what they index, groups ascend. */
export interface NativeBatch {
  promptTokens: Int32Array
  promptOffsets: Int32Array
  completionTokens: Int32Array
  completionOffsets: Int32Array
  /** The prompt of each completion. */
  completionGroup: Int32Array
  temperature: number
}

export interface NativeStepOptions {
  learningRate: number
  beta1: number
  beta2: number
  epsilon: number
  weightDecay: number
  /** 0 = no clipping. */
  clipNorm: number
}

export interface NativeSampling {
  n: number
  maxTokens: number
  maxBatch: number
  topLogProbs: number
  temperature: number
  topP: number
  minP: number
  repetitionPenalty: number
  topK: number
  seed: number
  eosTokens: Int32Array
  stop: string[]
  /** logits + beta · (smallest Q − V), by heads. */
  /** What all prompts follow; they hold only the rest. */
  prefix?: NativePrefix
  qDecoding?: { beta: number; qHeads: string[]; valueHead: string }
  /** Bytes of every token, needed with `stop`. */
  tokenBytes?: Uint8Array
  tokenByteOffsets?: Int32Array
}

export interface NativeCompletion {
  prompt: number
  index: number
  tokens: Int32Array
  logProbs: Float32Array
  samplingLogProbs: Float32Array
  finishReason: 'stop' | 'stop_string' | 'length' | 'cancelled'
  /** Bytes of the text before the stop string; -1 where none matched. */
  stopBytes: number
  /** [tokens, topLogProbs], where asked for. */
  topTokens?: Int32Array
  topLogProbs?: Float32Array
}

export interface NativeGeneration {
  done: Promise<void>
  cancel(): void
}

/** Cancelled, it rejects with CANCELLED at the next layer. */
export type NativeJob<Result> = Promise<Result> & { cancel(): void }

export type ParameterPart = 'value' | 'gradient' | 'firstMoment' | 'secondMoment'

export interface NativeParameter {
  /** Transformers' name, or PEFT's for an adapter. */
  name: string
  shape: number[]
  trainable: boolean
}

export interface NativeHeadOptions {
  name: string
  /** One output per token of the vocabulary, else one. */
  perAction: boolean
  trainable: boolean
  stopGradient: boolean
  /** Weights start uniform within ±spread. */
  spread: number
  seed: number
}

export interface NativeHeadGradients {
  name: string
  /** One per completion token. */
  values?: Float32Array
  logSumExps?: Float32Array
}

export interface NativeScoreOptions {
  adapter: boolean
  /** Default true. */
  logProbs?: boolean
  entropies?: boolean
  sumPiSquared?: boolean
  heads?: { name: string; logSumExps?: boolean }[]
  /** What all prompts of the batch follow; they hold only the rest. */
  prefix?: NativePrefix
}

export interface NativeScores {
  logProbs?: Float32Array
  entropies?: Float32Array
  /** Sum over the vocabulary of the squared probabilities. */
  sumPiSquared?: Float32Array
  heads: Record<string, { values: Float32Array; logSumExps?: Float32Array }>
}

export interface NativeTensor {
  data: Float32Array
  shape: number[]
}

export interface NativeCudaState {
  usable: boolean
  /** Kernels that run on the processor, for tests. */
  hostShim: boolean
  /** Why it is not usable and what to do; '' where it is. */
  reason: string
  /** The library's file, also where it is missing. */
  library: string
  /** What the library was compiled by and for. */
  build: string
  /** CUDA's version that the driver knows; '' without a driver. */
  driver: string
  name: string
  /** Compute capability. */
  capability: string
  /** Memory of the device. */
  bytes: number
}

/** The RL kernels are described in `src/rl/native.ts`, beside the records they take. */
export interface NativeAddon {
  load(options: NativeLoadOptions): Promise<NativeModel>
  describe(model: NativeModel): NativeDescription
  dispose(model: NativeModel): void
  /** What is asked for, one float per completion token. */
  score(model: NativeModel, batch: NativeBatch, options: NativeScoreOptions): NativeJob<NativeScores>
  /** Keys and values of the tokens, for `score` and `generate` of what begins with them. */
  prefix(model: NativeModel, tokens: Int32Array, adapter: boolean): NativeJob<NativePrefix>
  /** [tokens, vocabulary], flat. */
  logits(model: NativeModel, tokens: Int32Array): NativeJob<Float32Array>
  /** Accumulates gradients; resolves to the log-probs (NaN for completions left out, whose coefficients are all 0). */
  backward(
    model: NativeModel,
    batch: NativeBatch,
    logProbGradients: Float32Array,
    entropyGradients?: Float32Array,
    heads?: NativeHeadGradients[]
  ): NativeJob<Float32Array>
  addHead(model: NativeModel, options: NativeHeadOptions): Promise<void>
  /** As `step`, for one head. */
  stepHead(model: NativeModel, name: string, options: NativeStepOptions): Promise<number>
  /** target += rate · (source − target). */
  blendHead(model: NativeModel, target: string, source: string, rate: number): Promise<void>
  saveHeads(model: NativeModel, file: string): Promise<void>
  loadHeads(model: NativeModel, file: string): Promise<void>
  zeroGradients(model: NativeModel): Promise<void>
  /** Resolves to the global gradient norm before clipping. */
  step(model: NativeModel, options: NativeStepOptions): Promise<number>
  generate(
    model: NativeModel,
    promptTokens: Int32Array,
    promptOffsets: Int32Array,
    options: NativeSampling,
    onCompletion: (completion: NativeCompletion) => void
  ): NativeGeneration
  parameters(model: NativeModel): NativeParameter[]
  readParameter(model: NativeModel, name: string, part: ParameterPart): Promise<Float32Array>
  writeParameters(
    model: NativeModel,
    writes: { name: string; part: ParameterPart; data: Float32Array }[]
  ): Promise<void>
  stepCount(model: NativeModel): Promise<number>
  setStepCount(model: NativeModel, stepCount: number): Promise<void>
  saveWeights(model: NativeModel, file: string, part: 'base' | 'merged' | 'adapter'): Promise<void>
  /** Both moments of every trainable parameter and the numbers of steps, heads included, as one safetensors file. */
  saveOptimizer(model: NativeModel, file: string): Promise<void>
  loadOptimizer(model: NativeModel, file: string): Promise<void>
  /** The text of PEFT's adapter_config.json. */
  adapterConfig(options: { rank: number; alpha: number; modules: string[]; baseModel: string }): string
  readSafetensors(path: string): Promise<Record<string, NativeTensor>>
  writeSafetensors(path: string, tensors: ({ name: string } & NativeTensor)[]): Promise<void>
  readGgufMetadata(path: string): Promise<{ config: string; metadata: string }>
  /** Takes a file's lock, and gives the function that gives it back, as the end of the process does. */
  lockFile(path: string): () => void
  /** Threads of the process-wide pool. */
  setThreads(threads: number): void
  threads(): number
  instructionSet(): string
  /** Opens the library of CUDA kernels at the first call. */
  cudaState(): NativeCudaState
}
