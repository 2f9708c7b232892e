/** Sequences as the flat arrays of native calls: one copy of a prompt that several share, split to bound memory. */
import type { NativeBatch } from '../binding/native.js'
import { AdjudgeError } from '../errors.js'

/** A prompt and what follows it. */
interface PromptGroup {
  prompt: ArrayLike<number>
  members: number[]
}

export interface Chunk {
  batch: NativeBatch
  /** Place of the chunk's completion tokens in the whole packed order. */
  start: number
  end: number
}

export interface PackedSequences {
  chunks: Chunk[]
  /** Place in the packed order of each sequence's first token. */
  starts: Int32Array
  lengths: Int32Array
  /** Completion tokens of all sequences. */
  tokens: number
}

/** Prompt and completion tokens of one native call, at most (a single sequence may be longer). Bounds the activations. */
export const defaultChunkTokens = 2048

interface Packable {
  promptTokens: ArrayLike<number>
  tokens: ArrayLike<number>
}

/**
 * Packs sequences so that those with the same prompt share one copy of it.
 * The plan depends on the sequences alone, so results do not depend on threads.
 */
export function packSequences(
  sequences: Packable[],
  temperature: number,
  chunkTokens: number = defaultChunkTokens
): PackedSequences {
  if (!(temperature > 0)) {
    throw new AdjudgeError('ARGUMENT_INVALID', `temperature: expected a number above 0, got ${temperature}`)
  }
  const byPrompt = new Map<string, PromptGroup>()
  sequences.forEach((sequence, index) => {
    const key = Array.prototype.join.call(sequence.promptTokens, ' ')
    const group = byPrompt.get(key) ?? { prompt: sequence.promptTokens, members: [] }
    group.members.push(index)
    byPrompt.set(key, group)
  })
  const starts = new Int32Array(sequences.length)
  const lengths = Int32Array.from(sequences, (sequence) => sequence.tokens.length)
  const chunks: Chunk[] = []
  let place = 0
  let pending: PromptGroup[] = []
  let pendingTokens = 0
  const flush = () => {
    if (pending.length === 0) return
    const start = place
    for (const index of pending.flatMap((group) => group.members)) {
      starts[index] = place
      place += lengths[index]!
    }
    chunks.push({ batch: toBatch(pending, sequences, temperature), start, end: place })
    pending = []
    pendingTokens = 0
  }
  for (const group of byPrompt.values()) {
    let current: PromptGroup | undefined
    for (const index of group.members) {
      const length = lengths[index]!
      if (pendingTokens + length + (current ? 0 : group.prompt.length) > chunkTokens) {
        flush()
        current = undefined
      }
      if (!current) {
        current = { prompt: group.prompt, members: [] }
        pending.push(current)
        pendingTokens += group.prompt.length
      }
      current.members.push(index)
      pendingTokens += length
    }
  }
  flush()
  return { chunks, starts, lengths, tokens: place }
}

function toBatch(groups: PromptGroup[], sequences: Packable[], temperature: number): NativeBatch {
  const prompts = concatenate(groups.map((group) => group.prompt))
  const completions = concatenate(groups.flatMap((group) => group.members.map((index) => sequences[index]!.tokens)))
  return {
    promptTokens: prompts.tokens,
    promptOffsets: prompts.offsets,
    completionTokens: completions.tokens,
    completionOffsets: completions.offsets,
    completionGroup: Int32Array.from(groups.flatMap((group, index) => group.members.map(() => index))),
    temperature
  }
}

/** Concatenates lists of tokens; offsets has one entry more than there are lists. */
export function concatenate(lists: ArrayLike<number>[]): { tokens: Int32Array; offsets: Int32Array } {
  const offsets = new Int32Array(lists.length + 1)
  lists.forEach((list, index) => (offsets[index + 1] = offsets[index]! + list.length))
  const tokens = new Int32Array(offsets.at(-1)!)
  lists.forEach((list, index) => tokens.set(list, offsets[index]))
  return { tokens, offsets }
}

/** One array per sequence, in the packed order, flat. */
export function flatten(packed: PackedSequences, arrays: ArrayLike<number>[], name: string): Float32Array {
  const { starts, lengths } = packed
  if (arrays.length !== starts.length) {
    throw new AdjudgeError(
      'ARGUMENT_INVALID',
      `${name}: expected one array per sequence (${starts.length}), got ${arrays.length}`
    )
  }
  const flat = new Float32Array(packed.tokens)
  arrays.forEach((array, index) => {
    if (array.length !== lengths[index]) {
      throw new AdjudgeError(
        'ARGUMENT_INVALID',
        `${name}[${index}]: expected one number per token (${lengths[index]}), got ${array.length}`
      )
    }
    flat.set(array, starts[index])
  })
  return flat
}

/** A flat packed array as one array per sequence, in the order given. */
export function unflatten(packed: PackedSequences, flat: Float32Array): Float32Array[] {
  return Array.from(packed.starts, (start, index) => flat.slice(start, start + packed.lengths[index]!))
}
