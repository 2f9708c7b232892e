/** What a model's folder or GGUF file holds beside its weights. */
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { callNative } from '../binding/errors.js'
import { loadAddon } from '../binding/load.js'
import { AdjudgeError } from '../errors.js'
import { tokenizerFromGguf } from './ggufTokenizer.js'
import type { TokenizerFiles } from './tokenizer.js'

type Json = Record<string, unknown>

export interface ModelFiles {
  /** The folder or the GGUF file. */
  path: string
  gguf: boolean
  /** The text of config.json, and its name for messages. */
  config: string
  configName: string
  /** Absent where the folder carries no tokenizer: then only token ids can be given. */
  tokenizer?: TokenizerFiles
  /** generation_config.json, where there is one. */
  generation?: Record<string, unknown>
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    if (code === 'ENOENT') return undefined
    throw new AdjudgeError('FILE_UNREADABLE', `${path} cannot be read: ${(error as Error).message}`, { cause: error })
  }
}

function parseObject(text: string, file: string, code: 'TOKENIZER_INVALID' | 'CONFIG_INVALID'): Json {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw new AdjudgeError(code, `${file} is not valid JSON: ${(error as Error).message}`, { cause: error })
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new AdjudgeError(code, `${file}: expected one JSON object`)
  }
  return value as Json
}

/** Several templates may be given by name: the one named `default` is meant. */
function templateOf(value: unknown): string | undefined {
  if (typeof value === 'string') return value
  if (!Array.isArray(value)) return undefined
  const entries = value as { name?: string; template?: string }[]
  return (entries.find((entry) => entry.name === 'default') ?? entries[0])?.template
}

async function readTokenizer(folder: string): Promise<TokenizerFiles | undefined> {
  const name = join(folder, 'tokenizer.json')
  const text = await readIfThere(name)
  if (text === undefined) return undefined
  const configName = join(folder, 'tokenizer_config.json')
  const configText = await readIfThere(configName)
  const config = configText === undefined ? {} : parseObject(configText, configName, 'TOKENIZER_INVALID')
  const chatTemplate = (await readIfThere(join(folder, 'chat_template.jinja'))) ?? templateOf(config['chat_template'])
  return {
    tokenizer: parseObject(text, name, 'TOKENIZER_INVALID'),
    config,
    ...(chatTemplate === undefined ? {} : { chatTemplate }),
    name
  }
}

/**
 * Reads everything but the weights of a Transformers folder or a GGUF file.
 * @throws AdjudgeError `FILE_NOT_FOUND`, `FILE_UNREADABLE`, `TOKENIZER_INVALID`, or the GGUF reader's errors
 */
export async function readModelFiles(path: string): Promise<ModelFiles> {
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
    throw new AdjudgeError(
      error.code === 'ENOENT' ? 'FILE_NOT_FOUND' : 'FILE_UNREADABLE',
      `${path}: no such model; expected a Transformers folder (config.json, model.safetensors) or a GGUF file`,
      { cause: error }
    )
  })
  if (!found.isDirectory()) {
    const { config, metadata } = await callNative(() => loadAddon().readGgufMetadata(path))
    const tokenizer = tokenizerFromGguf(parseObject(metadata, path, 'TOKENIZER_INVALID'), path)
    return { path, gguf: true, config, configName: path, tokenizer }
  }
  const configName = join(path, 'config.json')
  const config = await readIfThere(configName)
  if (config === undefined) {
    throw new AdjudgeError('FILE_NOT_FOUND', `${configName} does not exist; expected a Transformers folder`)
  }
  const generationName = join(path, 'generation_config.json')
  const generation = await readIfThere(generationName)
  const tokenizer = await readTokenizer(path)
  return {
    path,
    gguf: false,
    config,
    configName,
    ...(tokenizer ? { tokenizer } : {}),
    ...(generation === undefined ? {} : { generation: parseObject(generation, generationName, 'CONFIG_INVALID') })
  }
}
