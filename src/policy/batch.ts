/** Sequences and groups as the flat arrays of one native call. */
import type { NativeBatch } from '../binding/native.js'
import { AdjudgeError } from '../errors.js'
import type { Sequence } from './types.js'

export interface PackedBatch {
  batch: NativeBatch
  /** The packed place of each sequence. */
  places: number[]
}

/**
 * Packs sequences so that those with the same prompt share one copy of it. The native call wants the completions of a
 * prompt together: `places` maps back to the order given.
 */
export function packSequences(sequences: Sequence[], temperature: number): PackedBatch {
  if (!(temperature > 0)) {
    throw new AdjudgeError('ARGUMENT_INVALID', `temperature: expected a number above 0, got ${temperature}`)
  }
  const groups = new Map<string, { prompt: ArrayLike<number>; members: number[] }>()
  sequences.forEach((sequence, index) => {
    const key = Array.from(sequence.promptTokens).join(' ')
    const group = groups.get(key) ?? { prompt: sequence.promptTokens, members: [] }
    group.members.push(index)
    groups.set(key, group)
  })
  const ordered = [...groups.values()]
  const members = ordered.flatMap((group) => group.members)
  const places = new Array<number>(sequences.length)
  members.forEach((index, place) => (places[index] = place))
  const prompts = pack(ordered.map((group) => group.prompt))
  const completions = pack(members.map((index) => sequences[index]!.tokens))
  return {
    batch: {
      promptTokens: prompts.tokens,
      promptOffsets: prompts.offsets,
      completionTokens: completions.tokens,
      completionOffsets: completions.offsets,
      completionGroup: Int32Array.from(ordered.flatMap((group, index) => group.members.map(() => index))),
      temperature
    },
    places
  }
}

/** Concatenates lists of tokens; offsets has one entry more. */
export function pack(lists: ArrayLike<number>[]): { tokens: Int32Array; offsets: Int32Array } {
  const offsets = new Int32Array(lists.length + 1)
  lists.forEach((list, index) => (offsets[index + 1] = offsets[index]! + list.length))
  const tokens = new Int32Array(offsets.at(-1)!)
  lists.forEach((list, index) => tokens.set(list, offsets[index]!))
  return { tokens, offsets }
}

/** Per-sequence arrays in the packed order, flat. Each must have one number per token. */
export function flatten(packed: PackedBatch, arrays: ArrayLike<number>[], name: string): Float32Array {
  const { completionOffsets, completionTokens } = packed.batch
  if (arrays.length !== packed.places.length) {
    throw new AdjudgeError(
      'ARGUMENT_INVALID',
      `${name}: expected one array per sequence (${packed.places.length}), got ${arrays.length}`
    )
  }
  const flat = new Float32Array(completionTokens.length)
  packed.places.forEach((place, index) => {
    const start = completionOffsets[place]!
    const length = completionOffsets[place + 1]! - start
    if (arrays[index]!.length !== length) {
      throw new AdjudgeError(
        'ARGUMENT_INVALID',
        `${name}[${index}]: expected one number per token (${length}), got ${arrays[index]!.length}`
      )
    }
    flat.set(arrays[index]!, start)
  })
  return flat
}

/** A flat packed array as one array per sequence, in the order given. */
export function unflatten(packed: PackedBatch, flat: Float32Array): Float32Array[] {
  const { completionOffsets } = packed.batch
  return packed.places.map((place) => flat.slice(completionOffsets[place], completionOffsets[place + 1]))
}
