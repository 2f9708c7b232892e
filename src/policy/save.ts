/** Writing a model's folder: whole or not at all. */
import { mkdir, open, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { AdjudgeError, isAdjudgeError } from '../errors.js'
import { callNative, checkSignal } from '../binding/errors.js'
import type { ModelFiles } from './files.js'
import { writeHeads } from './heads.js'
import type { LoadedModel } from './model.js'
import type { SaveOptions } from './options.js'

/** Fills a new folder beside `folder` and moves its files in place when `write` is through. */
export async function writeFolder(folder: string, write: (folder: string) => Promise<void>): Promise<void> {
  const target = resolve(folder)
  const partial = `${target}.partial-${process.pid}`
  try {
    await mkdir(dirname(target), { recursive: true })
    await rm(partial, { recursive: true, force: true })
    await mkdir(partial)
    await write(partial)
    await mkdir(target, { recursive: true })
    for (const name of await readdir(partial)) {
      const file = await open(join(partial, name))
      await file.sync().finally(() => file.close())
      await rename(join(partial, name), join(target, name))
    }
  } catch (error) {
    if (isAdjudgeError(error)) throw error
    throw new AdjudgeError('FILE_UNWRITABLE', `${target} cannot be written: ${(error as Error).message}`, {
      cause: error
    })
  } finally {
    // What cannot be removed must not hide why the writing failed.
    await rm(partial, { recursive: true, force: true }).catch(() => undefined)
  }
}

const text = (value: unknown) => JSON.stringify(value, null, 2) + '\n'

/** config.json, generation_config.json and the tokenizer's files, as Transformers lays them out. */
export async function writeModelFiles(folder: string, files: ModelFiles): Promise<void> {
  const config = JSON.parse(files.config) as Record<string, unknown>
  delete config['torch_dtype']
  await writeFile(join(folder, 'config.json'), text({ ...config, dtype: 'float32' }))
  if (files.generation) await writeFile(join(folder, 'generation_config.json'), text(files.generation))
  const { tokenizer } = files
  if (!tokenizer) return
  await writeFile(join(folder, 'tokenizer.json'), text(tokenizer.tokenizer))
  await writeFile(join(folder, 'tokenizer_config.json'), text(tokenizer.config))
  if (tokenizer.chatTemplate !== undefined) {
    await writeFile(join(folder, 'chat_template.jinja'), tokenizer.chatTemplate)
  }
}

/** Writes the model, or its adapter. */
export async function saveModel(model: LoadedModel, folder: string, options: SaveOptions): Promise<void> {
  const { format = 'transformers', merged = true, signal } = options
  checkSignal(signal)
  const { addon, native, files } = model
  const { lora } = model.description
  if (model.heads.length > 0) await writeFolder(join(folder, 'heads'), (partial) => writeHeads(model, partial))
  checkSignal(signal)
  const saveWeights = async (file: string, part: 'base' | 'merged' | 'adapter') => {
    await callNative(() => addon.saveWeights(native, file, part))
    checkSignal(signal)
  }
  if (format === 'peft') {
    if (!lora) {
      throw new AdjudgeError('ARGUMENT_INVALID', 'format: "peft" saves an adapter, but this model has none')
    }
    const { rank, scale, modules } = lora
    const config = addon.adapterConfig({ rank, alpha: scale * rank, modules, baseModel: files.path })
    await writeFolder(folder, async (partial) => {
      await writeFile(join(partial, 'adapter_config.json'), config)
      await saveWeights(join(partial, 'adapter_model.safetensors'), 'adapter')
    })
    return
  }
  if (format !== 'transformers') {
    throw new AdjudgeError('ARGUMENT_INVALID', `format: expected "transformers" or "peft", got ${String(format)}`)
  }
  await writeFolder(folder, async (partial) => {
    await saveWeights(join(partial, 'model.safetensors'), lora && merged ? 'merged' : 'base')
    await writeModelFiles(partial, files)
  })
}
