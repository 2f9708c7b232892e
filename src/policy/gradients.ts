/** Supervised loss: mean next-token loss and its gradients by name. */
import { callNative } from '../binding/errors.js'
import { AdjudgeError } from '../errors.js'
import { backwardSequences } from './backward.js'
import type { LoadedModel } from './model.js'

/** Tokens of a sequence; `mask[i]` 0: the prediction of token i does not count. */
export interface MaskedTokens {
  tokens: ArrayLike<number>
  mask?: ArrayLike<number>
}

export interface Gradients {
  /** By Transformers' name, or PEFT's for an adapter. */
  [name: string]: { data: Float32Array; shape: number[] }
}

/** Mean next-token loss (nats) over the counted tokens, and its gradients; those accumulated before are dropped. */
export async function lossAndGradients(
  model: LoadedModel,
  sequences: MaskedTokens[],
  signal?: AbortSignal
): Promise<{ loss: number; gradients: Gradients }> {
  const { addon, native } = model
  const rows = sequences.map(({ tokens, mask }, index) => {
    if (mask && mask.length !== tokens.length) {
      throw new AdjudgeError('ARGUMENT_INVALID', `sequences[${index}].mask: expected one entry per token`)
    }
    const all = Int32Array.from(tokens)
    const counted = Uint8Array.from({ length: Math.max(0, all.length - 1) }, (_, at) => (mask && !mask[at + 1] ? 0 : 1))
    return { promptTokens: all.slice(0, 1), tokens: all.slice(1), counted }
  })
  const count = rows.reduce((sum, { counted }) => sum + counted.reduce((a, b) => a + b, 0), 0)
  if (count === 0) throw new AdjudgeError('ARGUMENT_INVALID', 'sequences: no token counts; expected at least one')
  await callNative(() => addon.zeroGradients(native))
  const { logProbs } = await backwardSequences(model, {
    sequences: rows,
    logProbGradients: rows.map(({ counted }) => Float32Array.from(counted, (one) => (one ? -1 / count : 0))),
    ...(signal ? { signal } : {})
  }).catch(async (error: unknown) => {
    await callNative(() => addon.zeroGradients(native))
    throw error
  })
  let loss = 0
  rows.forEach(({ counted }, row) =>
    counted.forEach((one, at) => {
      if (one) loss -= logProbs[row]![at]! / count
    })
  )
  const gradients: Gradients = {}
  for (const { name, shape, trainable } of addon.parameters(native)) {
    if (!trainable || name.startsWith('heads.')) continue
    gradients[name] = { data: await callNative(() => addon.readParameter(native, name, 'gradient')), shape }
  }
  await callNative(() => addon.zeroGradients(native))
  return { loss, gradients }
}
