/** What a run holds in memory, by role, told before anything is allocated; and how much there is. */
import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { loadAddon } from '../binding/load.js'
import type { Dataset } from '../data/index.js'
import { AdjudgeError } from '../errors.js'
import { membersOf } from '../judge/index.js'
import { defaultChunkTokens } from '../policy/batch.js'
import { readModelFiles } from '../policy/files.js'
import { allLinear } from '../policy/options.js'
import { Tokenizer } from '../policy/tokenizer.js'
import type { Message } from '../policy/types.js'
import { criticOf, learnsFromGiven, needsReference, type LoadedConfig } from './config.js'
import { availableMemory, bytesOf, sizeText } from './freeMemory.js'
import { qTrainingOf } from './qConfig.js'
import { qHeads } from './qHeads.js'
import type { RunConfig } from './schema.js'

/** The sizes in a model's config.json that its memory follows from. */
export interface ModelShape {
  vocabulary: number
  hidden: number
  intermediate: number
  layers: number
  heads: number
  keyHeads: number
  headWidth: number
  tiedHead: boolean
  context: number
}

/** Undefined where a size is missing: loading the model then says what is wrong with it. */
export function shapeOf(configText: string): ModelShape | undefined {
  let config: Record<string, unknown>
  try {
    config = JSON.parse(configText) as Record<string, unknown>
  } catch {
    return undefined
  }
  const size = (key: string, otherwise?: number): number => Number(config[key] ?? otherwise)
  const hidden = size('hidden_size')
  const heads = size('num_attention_heads')
  const shape: ModelShape = {
    vocabulary: size('vocab_size'),
    hidden,
    intermediate: size('intermediate_size'),
    layers: size('num_hidden_layers'),
    heads,
    keyHeads: size('num_key_value_heads', heads),
    headWidth: size('head_dim', hidden / heads),
    tiedHead: config['tie_word_embeddings'] === true,
    context: size('max_position_embeddings', 2048)
  }
  return Object.values(shape).every((value) => typeof value === 'boolean' || value > 0) ? shape : undefined
}

export interface MemoryRole {
  name: 'weights' | 'gradients' | 'optimizer' | 'heads' | 'activations' | 'KV cache' | 'reference' | 'judges'
  bytes: number
}

export interface MemoryPlan {
  roles: MemoryRole[]
  bytes: number
  dtype: 'float32' | 'bfloat16'
  /** Numbers that are trained, and all of them. */
  trained: number
  parameters: number
}

/** Rows of a micro-batch (native/model/model.cpp), and rows whose logits exist at once. */
const rowBudget = 1024
const headRows = 256
const float = 4
/** Taken for an answer of a closed set. */
const choiceTokens = 8
/** A cache grows by half when it is full (native/model/attention.cpp). */
const cacheGrowth = 1.25

/** Outputs and inputs of each linear layer of a block, by module. */
function linearLayers(shape: ModelShape): Record<string, [number, number]> {
  const { hidden, intermediate, heads, keyHeads, headWidth } = shape
  return {
    q_proj: [heads * headWidth, hidden],
    k_proj: [keyHeads * headWidth, hidden],
    v_proj: [keyHeads * headWidth, hidden],
    o_proj: [hidden, heads * headWidth],
    gate_proj: [intermediate, hidden],
    up_proj: [intermediate, hidden],
    down_proj: [hidden, intermediate]
  }
}

interface Counts {
  all: number
  /** Of the matrices that are kept packed for the kernels too, once for each direction. */
  packed: number
  adapter: number
}

function countsOf(shape: ModelShape, lora: { rank: number; modules: readonly string[] } | undefined): Counts {
  const { vocabulary, hidden, layers, tiedHead } = shape
  const matrices = Object.entries(linearLayers(shape))
  const linear = layers * matrices.reduce((sum, [, [out, into]]) => sum + out * into, 0)
  const chosen = matrices.filter(([name]) => lora?.modules.includes(name))
  return {
    all: linear + vocabulary * hidden * (tiedHead ? 1 : 2) + (2 * layers + 1) * hidden,
    packed: linear + vocabulary * hidden,
    adapter: layers * chosen.reduce((sum, [, [out, into]]) => sum + (lora?.rank ?? 0) * (out + into), 0)
  }
}

/** Values in float32 and the packed copies in the number format of the products, without gradients. */
function weightsOf(
  shape: ModelShape,
  dtype: 'float32' | 'bfloat16',
  rank = 0,
  modules: readonly string[] = []
): number {
  const { all, packed, adapter } = countsOf(shape, { rank, modules })
  return (all + adapter) * float + 2 * (packed + adapter) * (dtype === 'bfloat16' ? 2 : float)
}

export interface MemoryInput {
  shape: ModelShape
  /** Tokens of the longest prompt; where answers are given (also for sft), of the longest conversation. */
  promptTokens: number
  /** Rank and modules of an adapter that is loaded instead of made. */
  adapter?: { rank: number; modules: readonly string[] }
  /** Models that judge in this process. */
  judges?: readonly ModelShape[]
  /** What `auto` means on this machine. */
  dtype: 'float32' | 'bfloat16'
}

/** An estimate: exact for weights, gradients and optimizer. */
export function memoryPlan(config: RunConfig, input: MemoryInput): MemoryPlan {
  const { shape, promptTokens, adapter, judges = [], dtype } = input
  const { model, rollout, algorithm } = config
  const given = model.lora && { rank: model.lora.rank, modules: modulesOf(model.lora.target_modules) }
  const lora = adapter ?? given
  const counts = countsOf(shape, lora)
  const trained = lora ? counts.adapter : counts.all
  const judged = !learnsFromGiven(config) || (config.evaluation.every > 0 && config.rewards.length > 0)
  const samples = algorithm.preset !== 'sft' && rollout.choices === undefined && judged
  const length = Math.min(shape.context, promptTokens + (samples ? rollout.max_tokens : 0))
  const roles: MemoryRole[] = [
    { name: 'weights', bytes: weightsOf(shape, dtype, lora?.rank, lora?.modules) },
    { name: 'gradients', bytes: trained * float },
    { name: 'optimizer', bytes: trained * 2 * float },
    { name: 'activations', bytes: activations(shape, config, promptTokens, length) },
    { name: 'KV cache', bytes: samples ? cachedTokens(config, promptTokens, length) * cachePerToken(shape) : 0 }
  ]
  const heads = headsOf(shape, config, dtype)
  if (heads > 0) roles.push({ name: 'heads', bytes: heads })
  if (!lora && needsReference(config)) roles.push({ name: 'reference', bytes: weightsOf(shape, dtype) })
  const judging = judges.reduce((sum, judge) => sum + weightsOf(judge, dtype), 0)
  roles.push({ name: 'judges', bytes: judging })
  return {
    roles: roles.filter(({ bytes }) => bytes > 0),
    bytes: roles.reduce((sum, { bytes }) => sum + bytes, 0),
    dtype,
    trained,
    parameters: counts.all + counts.adapter
  }
}

/**
 * Of the heads of a critic or of ilql: weights with their packed copies, and where a head learns, gradients and optimizer.
 * A state's value has one output and is not packed.
 */
function headsOf({ vocabulary, hidden }: ModelShape, config: RunConfig, dtype: 'float32' | 'bfloat16'): number {
  const value = 4 * (hidden + 1) * float
  const q = qTrainingOf(config)
  if (!q) return criticOf(config) ? value : 0
  const weights = (2 * (dtype === 'bfloat16' ? 2 : float) + float) * vocabulary * hidden
  const learning = 3 * float * vocabulary * hidden
  return value + qHeads(q.twoQs).length * (2 * weights + learning)
}

const modulesOf = (targets: 'all-linear' | string[]): readonly string[] =>
  targets === 'all-linear' ? allLinear : targets

const cachePerToken = ({ layers, keyHeads, headWidth }: ModelShape): number => 2 * layers * keyHeads * headWidth * float

/** Tokens in the cache at once: completions share their prompt's; an evaluation has one for each prompt. */
function cachedTokens({ rollout, evaluation }: RunConfig, promptTokens: number, length: number): number {
  const { prompts, completions, max_batch: maxBatch } = rollout
  const own = (length - Math.min(promptTokens, length)) * cacheGrowth
  const tokens = (sequences: number, each: number) => {
    const active = Math.min(maxBatch, sequences)
    return active * own + (Math.ceil(active / each) + 1) * promptTokens
  }
  return Math.max(tokens(prompts * completions, completions), evaluation.every > 0 ? tokens(evaluation.items, 1) : 0)
}

/** What a micro-batch keeps for its backward pass, what the pass itself holds, and the logits of the head. */
function activations(shape: ModelShape, config: RunConfig, promptTokens: number, length: number): number {
  const { hidden, intermediate, layers, heads, keyHeads, headWidth, vocabulary } = shape
  const { prompts, completions, max_tokens: maxTokens, max_batch: maxBatch, choices } = config.rollout
  const answers = choices ? (typeof choices === 'string' ? 10 : choices.length) * choiceTokens : completions * maxTokens
  const given = config.algorithm.preset === 'sft' || learnsFromGiven(config)
  const group = given ? length : promptTokens + answers
  const rows = Math.max(length, Math.min(group, defaultChunkTokens), Math.min(prompts * group, rowBudget))
  const attention = heads * headWidth
  const kept = 2 * hidden + 2 * attention + 2 * keyHeads * headWidth + heads + 2 * intermediate + 2
  const passing = 5 * hidden + 3 * intermediate + 2 * attention + 2 * keyHeads * headWidth
  return (rows * (layers * kept + passing) + Math.max(headRows, maxBatch) * vocabulary) * float
}

export const rolesText = ({ roles }: MemoryPlan): string =>
  roles.map(({ name, bytes }) => `${name} ${sizeText(bytes)}`).join(', ')

/** Throws MEMORY_EXCEEDED, with each role's share and what to lower, where the plan takes more than there is. */
export function checkMemory(plan: MemoryPlan, config: RunConfig): void {
  const problem = memoryProblem(plan, config)
  if (problem) throw problem
}

/** MEMORY_EXCEEDED, where the plan takes more than there is. */
export function memoryProblem(
  plan: MemoryPlan,
  config: RunConfig,
  available = availableMemory()
): AdjudgeError | undefined {
  const { memory } = config.training
  const limit = memory === undefined ? available : bytesOf(memory)
  if (plan.bytes <= limit) return undefined
  const there =
    memory === undefined ? `this machine has ${sizeText(limit)} free` : `training.memory is ${sizeText(limit)}`
  return new AdjudgeError(
    'MEMORY_EXCEEDED',
    `the run needs about ${sizeText(plan.bytes)}, but ${there}.\n` +
      `  ${rolesText(plan)}\nTo lower: ${cures(plan, config).join('; ')}`
  )
}

function cures({ roles, dtype }: MemoryPlan, { model, rollout, algorithm }: RunConfig): string[] {
  const share = (name: MemoryRole['name']): number => roles.find((role) => role.name === name)?.bytes ?? 0
  const most = Math.max(...roles.map(({ bytes }) => bytes))
  const adapted = model.lora !== undefined || model.adapter !== undefined
  const samples = algorithm.preset !== 'sft' && rollout.choices === undefined
  const found: [number, string][] = [
    [share('heads'), 'algorithm.two_qs: false'],
    [share('weights'), dtype === 'bfloat16' ? 'a smaller model' : 'a smaller model, or model.dtype: bfloat16'],
    [share('judges'), 'a smaller native judge'],
    [share('activations'), 'shorter prompts (data.max_prompt_tokens)']
  ]
  if (!adapted)
    found.push([
      share('gradients') + share('optimizer') + share('reference'),
      'LoRA (model.lora) in place of all weights'
    ])
  if (samples) {
    found.push([share('activations') + 1, 'rollout.max_tokens'], [share('activations'), 'rollout.completions'])
    found.push([share('KV cache'), 'rollout.max_batch, rollout.max_tokens'])
  }
  // What would change little is not worth trying.
  return found
    .filter(([bytes]) => bytes > most / 20)
    .sort(([a], [b]) => b - a)
    .map(([, cure]) => cure)
}

/** Prompts that are looked at for their length. */
const sampledPrompts = 100

/** The plan of a run, from files alone: undefined where the model cannot be read, which loading it then tells. */
export async function planMemory({ config, folder }: LoadedConfig, data: Dataset): Promise<MemoryPlan | undefined> {
  const { model, algorithm } = config
  const files = await readModelFiles(model.path)
  const shape = shapeOf(files.config)
  if (!shape) return undefined
  const tokenizer = files.tokenizer && new Tokenizer(files.tokenizer)
  let longest = 0
  const given = learnsFromGiven(config)
  for (let index = 0; index < Math.min(data.length, sampledPrompts); index++) {
    const messages = given ? await longestTurn(data, index) : (await data.item(index)).messages
    longest = Math.max(longest, lengthOf(messages, given || algorithm.preset === 'sft', tokenizer))
  }
  const promptTokens = Math.min(config.data.max_prompt_tokens ?? longest, shape.context)
  const judges: ModelShape[] = []
  const asked = config.rewards.flatMap(({ judge }) => (judge ? membersOf(judge) : []))
  for (const { judge } of asked) {
    if (judge.provider !== 'native' || judge.model === undefined) continue
    const judging = shapeOf((await readModelFiles(resolve(folder, judge.model))).config)
    if (judging) judges.push(judging)
  }
  const computes = loadAddon().instructionSet() === 'avx512bf16'
  const dtype = model.dtype !== 'auto' ? model.dtype : computes ? 'bfloat16' : 'float32'
  const adapter = model.adapter === undefined ? undefined : adapterOf(model.adapter)
  return memoryPlan(config, { shape, promptTokens, judges, dtype, ...(adapter ? { adapter } : {}) })
}

/** A record's prompt with its longest answer. */
async function longestTurn(data: Dataset, index: number): Promise<Message[]> {
  const { messages, completions } = await data.answered(index)
  const texts = completions.map(({ text }) => text)
  const content = texts.reduce((most, text) => (text.length > most.length ? text : most), '')
  return [...messages, { role: 'assistant', content }]
}

function lengthOf(messages: Message[], whole: boolean, tokenizer: Tokenizer | undefined): number {
  if (tokenizer?.hasChatTemplate) return tokenizer.encode(tokenizer.renderChat(messages, !whole)).length
  return messages.reduce((sum, { content }) => sum + Math.ceil(content.length / 4), 0)
}

/** Undefined where the file says nothing of use: loading the adapter then tells what is wrong with it. */
function adapterOf(folder: string): { rank: number; modules: string[] } | undefined {
  try {
    const text = readFileSync(join(folder, 'adapter_config.json'), 'utf8')
    const { r, target_modules: modules } = JSON.parse(text) as { r?: unknown; target_modules?: unknown }
    if (typeof r !== 'number') return undefined
    return { rank: r, modules: Array.isArray(modules) ? (modules as string[]) : allLinear }
  } catch {
    return undefined
  }
}
