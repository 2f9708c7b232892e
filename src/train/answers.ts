/** Given answers as the tokens of an assistant's turn. */
import type { DataItem } from '../data/index.js'
import { AdjudgeError } from '../errors.js'
import type { Policy } from '../policy/policy.js'

type Place = Pick<DataItem, 'messages' | 'line'>

/**
 * An answer is the whole assistant turn, the token that ends it included: so `1` and `10` are different answers, and what
 * is trained is what free generation then says. One that was cut at its token limit has no end.
 * Throws DATA_INVALID, with file and line, where the chat template rewrites earlier turns.
 */
export function turnTexts(
  policy: Policy,
  { messages, line }: Place,
  answers: readonly { text: string; finished: boolean }[],
  file: string
): string[] {
  const { tokenizer } = policy
  const opened = tokenizer.renderChat(messages)
  return answers.map(({ text, finished }) => {
    const closed = tokenizer.renderChat([...messages, { role: 'assistant', content: text }], false)
    if (!closed.startsWith(opened)) {
      const reason = "the model's chat template changes earlier turns, so the answers cannot be told apart"
      throw new AdjudgeError('DATA_INVALID', `${file}:${line}: ${reason}`)
    }
    return finished ? closed.slice(opened.length).trimEnd() : text
  })
}

/** Throws CONTEXT_EXCEEDED, with file and line, where a prompt and its longest answer are more than the model takes. */
export function checkTurnLengths(
  policy: Policy,
  items: readonly Place[],
  prompts: readonly Int32Array[],
  answers: readonly Int32Array[][],
  file: string,
  name: string
): void {
  const { maxPositions } = policy.description
  items.forEach(({ line }, index) => {
    const longest = Math.max(...answers[index]!.map(({ length }) => length))
    const total = prompts[index]!.length + longest
    if (total <= maxPositions) return
    const message = `${file}:${line}: the prompt and its longest ${name} have ${total} tokens; the model's context is ${maxPositions}`
    throw new AdjudgeError('CONTEXT_EXCEEDED', message)
  })
}

/** Prompts and answers as tokens: [items], [items][answers]. Throws what the two above throw. */
export async function encodeTurns(
  policy: Policy,
  items: readonly (Place & { answers: readonly { text: string; finished: boolean }[] })[],
  file: string,
  name: string
): Promise<{ prompts: Int32Array[]; answers: Int32Array[][] }> {
  const prompts = await policy.encodePrompts(items.map(({ messages }) => ({ messages })))
  const texts = items.map((item) => turnTexts(policy, item, item.answers, file))
  const encoded = await policy.tokenizer.encodeAll(texts.flat())
  let next = 0
  const answers = texts.map((set) => set.map(() => encoded[next++]!))
  checkTurnLengths(policy, items, prompts, answers, file, name)
  return { prompts, answers }
}
