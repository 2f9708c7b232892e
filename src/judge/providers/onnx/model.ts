/** ONNX models in Transformers' layout, each on a worker thread of its own that all its users in the process share. */
import { createHash } from 'node:crypto'
import { createReadStream, existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Piscina } from 'piscina'
import { AdjudgeError } from '../../../errors.js'
import { messageOf } from '../../retry.js'

export type Pooling = 'mean' | 'cls'

/** What config.json and tokenizer_config.json say that scoring needs. */
export interface OnnxConfig {
  labels: string[]
  regression: boolean
  /** Most tokens of an input. */
  limit: number
  padToken: number
  chatTemplate?: string
  specialTokens: Record<string, string>
}

export interface OnnxTask {
  /** A text, or a pair. */
  texts: [string, string | null][]
  /** Absent: logits are wanted. */
  pooling?: Pooling
  /** Most tokens of an input; at most the model's own limit. */
  limit?: number
}

export interface OnnxResult {
  /** Logits, or a vector of unit length, for each text in order. */
  rows: Float32Array[]
  tokens: Int32Array
  /** 1 where an input was too long. */
  truncated: Uint8Array
}

interface Shared {
  pool: Piscina<unknown, OnnxResult>
  users: number
}

const shared = new Map<string, Shared>()

export class OnnxModel {
  private open = true

  private constructor(
    readonly config: OnnxConfig,
    /** Of the model file: a model that was trained anew in its place is another one. */
    readonly sha256: string,
    private readonly key: string
  ) {}

  /** `threads` of the session (default 1). Throws JUDGE_INVALID where files or onnxruntime-node are missing. */
  static async load(path: string, threads = 1): Promise<OnnxModel> {
    const folder = resolve(path)
    requireRuntime()
    const model = ['model.onnx', 'onnx/model.onnx'].map((name) => join(folder, name)).find((file) => existsSync(file))
    if (!model) throw invalid(`${path} has no model.onnx and no onnx/model.onnx`)
    const config = readConfig(folder, path)
    const hash = createHash('sha256')
    for await (const chunk of createReadStream(model)) hash.update(chunk as Buffer)
    const key = `${model} ${threads}`
    let entry = shared.get(key)
    if (!entry) shared.set(key, (entry = { pool: poolOf(folder, model, threads), users: 0 }))
    entry.users++
    const loaded = new OnnxModel(config, hash.digest('hex'), key)
    try {
      await loaded.run({ texts: [] })
    } catch (error) {
      await loaded.close()
      throw invalid(`${path} cannot be loaded (${messageOf(error)})`)
    }
    return loaded
  }

  async run({ texts, pooling, limit = Infinity }: OnnxTask): Promise<OnnxResult> {
    const { padToken, limit: most } = this.config
    return shared.get(this.key)!.pool.run({ texts, limit: Math.min(limit, most), padToken, pooling })
  }

  async close(): Promise<void> {
    const entry = shared.get(this.key)
    if (!this.open || !entry) return
    this.open = false
    if (--entry.users > 0) return
    shared.delete(this.key)
    await entry.pool.destroy()
  }
}

const poolOf = (folder: string, model: string, threads: number): Piscina<unknown, OnnxResult> =>
  new Piscina({
    filename: fileURLToPath(new URL('./worker.mjs', import.meta.url)),
    // One session, whoever asks: its memory is paid once, and its own threads share the work.
    minThreads: 0,
    maxThreads: 1,
    idleTimeout: 60_000,
    execArgv: [],
    workerData: { folder, model, threads }
  })

const invalid = (what: string): AdjudgeError => new AdjudgeError('JUDGE_INVALID', `judge: onnx: ${what}`)

function requireRuntime(): void {
  try {
    createRequire(import.meta.url).resolve('onnxruntime-node')
  } catch {
    throw invalid(
      'onnxruntime-node is not installed; install it with: ONNXRUNTIME_NODE_INSTALL=skip npm install onnxruntime-node'
    )
  }
}

function readConfig(folder: string, path: string): OnnxConfig {
  const read = (name: string): Record<string, unknown> => {
    const file = join(folder, name)
    if (!existsSync(file)) throw invalid(`${path} has no ${name}; expected a Transformers folder`)
    try {
      return JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>
    } catch (error) {
      throw invalid(`${path}/${name} is no JSON (${messageOf(error)})`)
    }
  }
  const config = read('config.json')
  const tokenizerConfig = read('tokenizer_config.json')
  read('tokenizer.json')
  const names = Object.entries((config.id2label ?? {}) as Record<string, string>)
  const labels = names.sort((a, b) => Number(a[0]) - Number(b[0])).map(([, label]) => String(label))
  const limits = [config.max_position_embeddings, tokenizerConfig.model_max_length].filter(
    (limit): limit is number => typeof limit === 'number' && limit > 0 && limit < 1e6
  )
  const template = join(folder, 'chat_template.jinja')
  const chatTemplate = existsSync(template) ? readFileSync(template, 'utf8') : tokenizerConfig.chat_template
  const specialTokens = Object.entries(tokenizerConfig)
    .filter(([name]) => name.endsWith('_token'))
    .map(([name, token]) => [name, typeof token === 'string' ? token : (token as { content?: string } | null)?.content])
    .filter((entry): entry is [string, string] => typeof entry[1] === 'string')
  return {
    labels: labels.length > 0 ? labels : ['LABEL_0', 'LABEL_1'],
    regression: config.problem_type === 'regression' || labels.length === 1,
    limit: Math.min(...limits, 8192),
    padToken: typeof config.pad_token_id === 'number' ? config.pad_token_id : 0,
    ...(typeof chatTemplate === 'string' ? { chatTemplate } : {}),
    specialTokens: Object.fromEntries(specialTokens)
  }
}
