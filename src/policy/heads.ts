/** Heads beside the language model's own: a state's value (one output), or each action's (one per token). */
import { readFile, writeFile } from 'node:fs/promises'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { callNative } from '../binding/errors.js'
import type { NativeHeadGradients } from '../binding/native.js'
import { AdjudgeError } from '../errors.js'
import { flatten, type PackedSequences } from './batch.js'
import type { LoadedModel } from './model.js'
import { resolveStep, type StepOptions } from './options.js'
import type { Head } from './types.js'

export interface HeadOptions {
  /** 1 (default): the value of the state before a token. `vocabulary`: a value for each token that may come next. */
  outputs?: 1 | 'vocabulary'
  /**
   * Start of the weights: `zero` (default), uniform within ±1/√hidden by the seed (PyTorch's linear layer), or within ± a
   * number of that.
   */
  init?: 'zero' | 'uniform' | number
  /** Of a start that is not zero. Default 0. */
  seed?: number
  /** True: what is below the head learns nothing from it. Default false. */
  stopGradient?: boolean
  /** False saves gradients and optimizer, as for a target network. Default: as the policy. */
  trainable?: boolean
}

/** d loss / d head's output, per sequence and token. */
export interface HeadBackward {
  /** [sequences][tokens]: for the value (of the token, where the head has one for each). */
  valueGradients?: ArrayLike<number>[]
  /** [sequences][tokens]: for the log-sum-exp over all actions; for heads of the vocabulary. */
  logSumExpGradients?: ArrayLike<number>[]
}

const nameRule = /^[A-Za-z_][A-Za-z0-9_]*$/

const invalid = (message: string) => new AdjudgeError('ARGUMENT_INVALID', message)

/** @throws AdjudgeError `ARGUMENT_INVALID` */
export async function addHead(model: LoadedModel, name: string, options: HeadOptions): Promise<void> {
  const { outputs = 1, init = 'zero', seed = 0, stopGradient = false } = options
  const trainable = options.trainable ?? model.trainable
  // In a policy that does not learn at all, nothing is said of its heads.
  const fixed = model.trainable && !trainable
  if (!nameRule.test(name)) throw invalid(`head: expected a name of letters, digits and _, got ${JSON.stringify(name)}`)
  if (outputs !== 1 && outputs !== 'vocabulary') {
    throw invalid(`outputs: expected 1 or "vocabulary", got ${JSON.stringify(outputs)}`)
  }
  const share = init === 'uniform' ? 1 : init === 'zero' ? 0 : init
  if (!(share >= 0 && share < Infinity)) {
    throw invalid(`init: expected "zero", "uniform" or a number of at least 0, got ${JSON.stringify(init)}`)
  }
  const spread = share / Math.sqrt(model.description.hidden)
  await callNative(() =>
    model.addon.addHead(model.native, {
      name,
      perAction: outputs === 'vocabulary',
      trainable,
      stopGradient,
      spread,
      seed
    })
  )
  model.heads.push({ name, outputs, stopGradient, ...(fixed ? { trainable: false } : {}) })
}

/** @throws AdjudgeError `ARGUMENT_INVALID` for an unknown name. */
export function headNamed(model: LoadedModel, name: string): Head {
  const head = model.heads.find((one) => one.name === name)
  if (head) return head
  const known = model.heads.map((one) => one.name).join(', ') || 'none'
  throw invalid(`head: there is no head named ${JSON.stringify(name)}; known: ${known}`)
}

/** @throws AdjudgeError `ARGUMENT_INVALID` where a head has no log-sum-exp. */
export function checkLogSumExp(model: LoadedModel, name: string): void {
  if (headNamed(model, name).outputs === 'vocabulary') return
  throw invalid(`head ${name}: has one output and so no log-sum-exp; expected a head of outputs: "vocabulary"`)
}

/** The heads' derivatives as flat arrays of the packed order, by head. */
export function packHeadGradients(
  model: LoadedModel,
  packed: PackedSequences,
  heads: Record<string, HeadBackward>
): NativeHeadGradients[] {
  return Object.entries(heads).map(([name, { valueGradients, logSumExpGradients }]) => {
    headNamed(model, name)
    if (logSumExpGradients) checkLogSumExp(model, name)
    return {
      name,
      ...(valueGradients ? { values: flatten(packed, valueGradients, `heads.${name}.valueGradients`) } : {}),
      ...(logSumExpGradients
        ? { logSumExps: flatten(packed, logSumExpGradients, `heads.${name}.logSumExpGradients`) }
        : {})
    }
  })
}

/** The part of one native call. */
export const sliceHeadGradients = (heads: NativeHeadGradients[], start: number, end: number): NativeHeadGradients[] =>
  heads.map(({ name, values, logSumExps }) => ({
    name,
    ...(values ? { values: values.subarray(start, end) } : {}),
    ...(logSumExps ? { logSumExps: logSumExps.subarray(start, end) } : {})
  }))

export async function stepHead(model: LoadedModel, name: string, options: StepOptions): Promise<{ gradNorm: number }> {
  headNamed(model, name)
  const resolved = resolveStep(options)
  return { gradNorm: await callNative(() => model.addon.stepHead(model.native, name, resolved)) }
}

export async function blendHead(model: LoadedModel, target: string, source: string, rate: number): Promise<void> {
  headNamed(model, target)
  headNamed(model, source)
  if (!(rate >= 0 && rate <= 1)) throw invalid(`rate: expected a number from 0 to 1, got ${rate}`)
  await callNative(() => model.addon.blendHead(model.native, target, source, rate))
}

const headsFormat = 1
const definitionsFile = 'heads.json'
const weightsFile = 'heads.safetensors'

interface Definitions {
  format: number
  heads: { name: string; outputs: 1 | 'vocabulary'; stop_gradient: boolean; trainable?: boolean }[]
}

/** Writes the heads' folder: what they are, and their weights. */
export async function writeHeads(model: LoadedModel, folder: string): Promise<void> {
  const definitions: Definitions = {
    format: headsFormat,
    heads: model.heads.map(({ name, outputs, stopGradient, trainable }) => ({
      name,
      outputs,
      stop_gradient: stopGradient,
      ...(trainable === false ? { trainable } : {})
    }))
  }
  await callNative(() => model.addon.saveHeads(model.native, join(folder, weightsFile)))
  await writeFile(join(folder, definitionsFile), JSON.stringify(definitions, null, 2) + '\n')
}

/**
 * Adds the heads of a model's folder, with their weights.
 * @throws AdjudgeError `FILE_NOT_FOUND`, `FORMAT_NEWER`, `MODEL_INVALID` (heads of another model), `ARGUMENT_INVALID` (a
 *   head of this name is there)
 */
export async function loadHeads(model: LoadedModel, folder: string, trainable: boolean | undefined): Promise<void> {
  const at = join(folder, 'heads')
  const file = join(at, definitionsFile)
  if (!existsSync(file)) throw new AdjudgeError('FILE_NOT_FOUND', `${file}: there is no such file, so no heads`)
  let definitions: Definitions
  try {
    definitions = JSON.parse(await readFile(file, 'utf8')) as Definitions
  } catch (cause) {
    throw new AdjudgeError('MODEL_INVALID', `${file}: cannot be read (${(cause as Error).message})`, { cause })
  }
  if (definitions.format > headsFormat) {
    const message = `${file}: format ${definitions.format} was written by a newer adjudge; this one reads up to ${headsFormat}`
    throw new AdjudgeError('FORMAT_NEWER', message)
  }
  for (const { name, outputs, stop_gradient: stopGradient, trainable: kept } of definitions.heads) {
    const learns = kept === false ? false : trainable
    await addHead(model, name, { outputs, stopGradient, ...(learns === undefined ? {} : { trainable: learns }) })
  }
  await callNative(() => model.addon.loadHeads(model.native, join(at, weightsFile)))
}
