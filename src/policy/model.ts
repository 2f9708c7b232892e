/** A model that is loaded: its native handle, and what its folder or file says of it. */
import { callNative } from '../binding/errors.js'
import { loadAddon } from '../binding/load.js'
import type { NativeAddon, NativeDescription, NativeModel } from '../binding/native.js'
import { AdjudgeError, isAdjudgeError } from '../errors.js'
import { readModelFiles, type ModelFiles } from './files.js'
import { checkLoadOptions, resolveLora, type LoadOptions } from './options.js'
import { Tokenizer } from './tokenizer.js'
import type { Head } from './types.js'

export interface LoadedModel {
  addon: NativeAddon
  native: NativeModel
  description: NativeDescription
  files: ModelFiles
  trainable: boolean
  /** Absent where the model's folder has none. */
  tokenizer: Tokenizer | undefined
  heads: Head[]
  /** Tokens that end a completion. */
  eosTokens: Int32Array
}

/** Loads weights and tokenizer. The caller disposes of the native model. */
export async function loadModel(path: string, options: LoadOptions): Promise<LoadedModel> {
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
      dtype: options.dtype ?? 'auto',
      trainable,
      ...(lora ? { lora } : {}),
      ...(options.adapter === undefined ? {} : { adapter: options.adapter })
    })
  ).catch((error: unknown) => {
    // The engine knows the tensor, not where it lies.
    if (!isAdjudgeError(error) || error.code !== 'MODEL_INVALID') throw error
    throw new AdjudgeError(error.code, `${path}: ${error.message}`, { cause: error })
  })
  try {
    return describeModel(addon, native, files, trainable)
  } catch (error) {
    addon.dispose(native)
    throw error
  }
}

function describeModel(addon: NativeAddon, native: NativeModel, files: ModelFiles, trainable: boolean): LoadedModel {
  const description = addon.describe(native)
  const tokenizer = files.tokenizer && new Tokenizer(files.tokenizer)
  const size = tokenizer?.size ?? 0
  if (size > description.vocabulary) {
    throw new AdjudgeError(
      'TOKENIZER_INVALID',
      `${files.tokenizer?.name}: the tokenizer has ${size} tokens, but the model knows ${description.vocabulary}`
    )
  }
  const eos = files.generation?.['eos_token_id']
  const more = typeof eos === 'number' ? [eos] : Array.isArray(eos) ? (eos as number[]) : []
  const eosTokens = Int32Array.from(new Set([...description.eosTokens, ...more]))
  return { addon, native, description, files, trainable, tokenizer, heads: [], eosTokens }
}

/** @throws AdjudgeError `TOKENIZER_INVALID` where the model's folder has no tokenizer */
export function tokenizerOf({ tokenizer, files }: LoadedModel): Tokenizer {
  if (tokenizer) return tokenizer
  throw new AdjudgeError(
    'TOKENIZER_INVALID',
    `${files.path} has no tokenizer.json, so it takes no text; add the file, or give token ids`
  )
}
