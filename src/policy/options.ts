/** What the calls of a policy take, and their checks. */
import { AdjudgeError } from '../errors.js'
import type { NativeSampling } from '../binding/native.js'
import type { GenerateOptions } from './types.js'

export interface LoraSettings {
  /** Default 16. */
  rank?: number
  /** The adapter's output is multiplied by alpha / rank. Default 2 × rank. */
  alpha?: number
  /** `all-linear` (default) or module names such as `q_proj`. */
  targetModules?: 'all-linear' | string[]
}

export interface LoadOptions {
  /**
   * What both factors of every product with a weight matrix are rounded to. `bfloat16`: half the memory and traffic of
   * those products, sums in float32; the weights that a step changes, adapters, attention and norms stay float32.
   * `auto`: bfloat16 where the processor computes in it (AVX-512 BF16), else float32. Default `auto`.
   */
  dtype?: 'auto' | 'float32' | 'bfloat16'
  /** Threads of the engine, shared by every model of the process. Default: the number of processors. */
  threads?: number
  /** Trains a new adapter instead of the weights. */
  lora?: LoraSettings
  /** A PEFT adapter's folder to go on with, instead of `lora`. */
  adapter?: string
  /** False saves the memory of gradients and optimizer. Default true. */
  trainable?: boolean
  /** Seed of a new adapter's weights. Default 0. */
  seed?: number
}

export interface StepOptions {
  /** Default 1e-4. */
  learningRate?: number
  /** Gradients are scaled to at most this global norm; 0 = not. Default 0. */
  clipNorm?: number
  /** Decoupled weight decay (AdamW). Default 0. */
  weightDecay?: number
  /** Default 0.9. */
  beta1?: number
  /** Default 0.999. */
  beta2?: number
  /** Default 1e-8. */
  epsilon?: number
}

export interface SaveOptions {
  /** `transformers`: full weights; `peft`: the adapter alone. Default `transformers`. */
  format?: 'transformers' | 'peft'
  /** With an adapter: put it into the full weights (default), or save the base without it. */
  merged?: boolean
  /** Aborted: the call rejects with CANCELLED and leaves nothing behind. */
  signal?: AbortSignal
}

const invalid = (name: string, expected: string, value: unknown) =>
  new AdjudgeError('ARGUMENT_INVALID', `${name}: expected ${expected}, got ${JSON.stringify(value)}`)

/** Every linear layer of a block: what `all-linear` means. The head is left out, as in PEFT. */
export const allLinear = ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj']

/** @throws AdjudgeError `ARGUMENT_INVALID` */
export function checkLoadOptions(options: LoadOptions): void {
  const { dtype = 'auto', threads, lora, adapter } = options
  if (!['auto', 'float32', 'bfloat16'].includes(dtype)) {
    throw invalid('dtype', '"auto", "float32" or "bfloat16"', dtype)
  }
  if (threads !== undefined && (!Number.isInteger(threads) || threads < 1 || threads > 1024)) {
    throw invalid('threads', 'a whole number from 1 to 1024', threads)
  }
  if (lora && adapter !== undefined) {
    throw new AdjudgeError('ARGUMENT_INVALID', 'lora and adapter: give one of them; an adapter brings its own rank')
  }
}

/** A complete description of a new adapter. */
export function resolveLora(lora: LoraSettings, seed: number) {
  const { rank = 16, targetModules = 'all-linear' } = lora
  const alpha = lora.alpha ?? 2 * rank
  if (!Number.isInteger(rank) || rank < 1) throw invalid('lora.rank', 'a positive whole number', rank)
  if (!(alpha > 0)) throw invalid('lora.alpha', 'a number above 0', alpha)
  const modules = targetModules === 'all-linear' ? allLinear : targetModules
  const unknown = modules.find((module) => !allLinear.includes(module))
  if (unknown !== undefined || modules.length === 0) {
    throw invalid('lora.targetModules', `"all-linear" or some of ${allLinear.join(', ')}`, targetModules)
  }
  return { rank, scale: alpha / rank, modules, seed }
}

/** A step's options, complete and checked. */
export function resolveStep(options: StepOptions) {
  const resolved = {
    learningRate: options.learningRate ?? 1e-4,
    clipNorm: options.clipNorm ?? 0,
    weightDecay: options.weightDecay ?? 0,
    beta1: options.beta1 ?? 0.9,
    beta2: options.beta2 ?? 0.999,
    epsilon: options.epsilon ?? 1e-8
  }
  for (const [name, value] of Object.entries(resolved)) {
    if (!Number.isFinite(value) || value < 0) throw invalid(name, 'a number of at least 0', value)
  }
  for (const name of ['beta1', 'beta2'] as const) {
    if (resolved[name] >= 1) throw invalid(name, 'a number from 0 up to but not 1', resolved[name])
  }
  return resolved
}

type Sampling = Omit<NativeSampling, 'eosTokens' | 'stop' | 'tokenBytes' | 'tokenByteOffsets' | 'qDecoding' | 'prefix'>

/** Sampling options, complete and checked. */
export function resolveSampling(options: GenerateOptions): Sampling {
  const resolved = {
    n: options.n ?? 1,
    maxTokens: options.maxTokens ?? 128,
    maxBatch: options.maxBatch ?? 64,
    topLogProbs: options.topLogProbs ?? 0,
    temperature: options.temperature ?? 1,
    topP: options.topP ?? 1,
    minP: options.minP ?? 0,
    repetitionPenalty: options.repetitionPenalty ?? 1,
    topK: options.topK ?? 0,
    seed: options.seed ?? 0
  }
  const whole = (name: keyof Sampling, least: number, most: number) => {
    const value = resolved[name]
    if (!Number.isInteger(value) || value < least || value > most) {
      throw invalid(name, `a whole number from ${least} to ${most}`, value)
    }
  }
  whole('n', 1, 65536)
  whole('maxTokens', 1, 2 ** 30)
  whole('maxBatch', 1, 65536)
  whole('topLogProbs', 0, 20)
  whole('topK', 0, 2 ** 30)
  whole('seed', 0, Number.MAX_SAFE_INTEGER)
  const { temperature, topP, minP, repetitionPenalty } = resolved
  if (!(temperature >= 0 && temperature < Infinity)) throw invalid('temperature', 'a number of at least 0', temperature)
  if (!(topP > 0 && topP <= 1)) throw invalid('topP', 'a number above 0 and at most 1', topP)
  if (!(minP >= 0 && minP < 1)) throw invalid('minP', 'a number of at least 0 and below 1', minP)
  if (!(repetitionPenalty > 0 && repetitionPenalty < Infinity)) {
    throw invalid('repetitionPenalty', 'a number above 0', repetitionPenalty)
  }
  return resolved
}
