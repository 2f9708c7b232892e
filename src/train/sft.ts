/** Supervised fine-tuning: chat messages as token sequences in which only the assistant's turns count. */
import type { DataItem } from '../data/index.js'
import { AdjudgeError } from '../errors.js'
import type { Policy } from '../policy/policy.js'
import type { Message, Sequence } from '../policy/types.js'

export interface SupervisedSequence extends Sequence {
  tokens: Int32Array
  mask: Uint8Array
}

/** Throws DATA_INVALID, with file and line, where an item has no assistant turn or the chat template rewrites turns. */
export function supervisedSequence(policy: Policy, item: DataItem, file: string): SupervisedSequence {
  const { tokenizer } = policy
  const wrong = (message: string): AdjudgeError => new AdjudgeError('DATA_INVALID', `${file}:${item.line}: ${message}`)
  const messages: Message[] =
    item.messages.at(-1)?.role === 'assistant' || item.reference === undefined
      ? item.messages
      : [...item.messages, { role: 'assistant', content: item.reference }]
  const parts: { tokens: Int32Array; counts: boolean }[] = []
  let done = ''
  messages.forEach(({ role }, index) => {
    if (role !== 'assistant') return
    const opened = tokenizer.renderChat(messages.slice(0, index), true)
    const closed = tokenizer.renderChat(messages.slice(0, index + 1), false)
    if (!opened.startsWith(done) || !closed.startsWith(opened)) {
      throw wrong("the model's chat template changes earlier turns, so the answers cannot be told apart")
    }
    parts.push({ tokens: tokenizer.encode(opened.slice(done.length)), counts: false })
    // What follows the end-of-turn token (a line end, mostly) is the template's, not the answer's.
    parts.push({ tokens: tokenizer.encode(closed.slice(opened.length).trimEnd()), counts: true })
    parts.push({ tokens: tokenizer.encode(/\s*$/.exec(closed)![0]), counts: false })
    done = closed
  })
  const [prompt, ...rest] = parts
  if (!prompt) throw wrong('there is no assistant turn and no reference; expected an answer to learn from')
  const mask = rest.flatMap(({ tokens, counts }) => new Array<number>(tokens.length).fill(counts ? 1 : 0))
  if (!mask.includes(1)) throw wrong('the assistant turns are empty; expected an answer to learn from')
  return {
    promptTokens: prompt.tokens,
    tokens: Int32Array.from(rest.flatMap(({ tokens }) => Array.from(tokens))),
    mask: Uint8Array.from(mask)
  }
}

/** Accumulates the gradient of the mean loss (nats) over all counted tokens of the batch. */
export async function superviseBatch(
  policy: Policy,
  sequences: SupervisedSequence[]
): Promise<{ loss: number; tokens: number }> {
  const tokens = sequences.reduce((sum, { mask }) => sum + mask.reduce((a, b) => a + b, 0), 0)
  const { logProbs } = await policy.backward({
    sequences,
    logProbGradients: sequences.map(({ mask }) => Float32Array.from(mask, (counts) => (counts ? -1 / tokens : 0)))
  })
  let loss = 0
  sequences.forEach(({ mask }, row) =>
    mask.forEach((counts, at) => (loss -= counts ? logProbs[row]![at]! / tokens : 0))
  )
  return { loss, tokens }
}
