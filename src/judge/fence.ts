/** Makes untrusted text harmless inside a prompt: fenced with a nonce, forged markers and hidden characters undone. */
import { createHash } from 'node:crypto'

export interface Neutralised {
  text: string
  /** True where something looked like a marker of ours or of a chat template. */
  injected: boolean
}

/** Never seen by a reader, but read by a model: zero-width, bidirectional controls, tag characters, soft hyphen, controls. */
const invisible =
  // eslint-disable-next-line no-control-regex, no-misleading-character-class -- these characters are what is removed
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}\u{e0100}-\u{e01ef}]/gu

/** Joiners have a use in emoji and some scripts, none next to plain ASCII. */
const joinerByAscii = /(?<=[\u0020-\u007e])[\u200c\u200d]|[\u200c\u200d](?=[\u0020-\u007e])/g

const forgedFence = /<<<(?=\s*(?:BEGIN|END)\b)/gi

/** Special tokens of the chat templates in use: broken by a space, so that no tokenizer takes them for the real one. */
const templateTokens =
  /<(?=[|｜][^\s<>]{1,40}[|｜]>)|<(?=\/?(?:s|bos|eos|pad|unk|start_of_turn|end_of_turn|begin_of_text|end_of_text|system|tool_call|tool_response)>)|\[(?=\/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS)\])|<(?=<\/?SYS>>)/g

export function neutralise(text: string): Neutralised {
  const visible = text.replace(/\r\n?/g, '\n').replace(invisible, '').replace(joinerByAscii, '')
  const safe = visible.replace(forgedFence, '< < < ').replace(templateTokens, (mark) => `${mark} `)
  return { text: safe, injected: safe !== visible }
}

/**
 * 64 bits drawn from all the untrusted text: the same input has the same prompt (so that it can be cached), and a text
 * that carries its own nonce cannot be found.
 */
export function nonceOf(texts: string[]): string {
  const hash = createHash('sha256')
  for (const text of texts) hash.update(`${text.length}:`).update(text)
  return hash.digest('hex').slice(0, 16)
}

export const fence = (label: string, nonce: string, text: string): string =>
  `<<<BEGIN ${label} ${nonce}>>>\n${text}\n<<<END ${label} ${nonce}>>>`

/**
 * The part of an answer that a reader gets: what follows its reasoning (`<think>…</think>`). Empty where the reasoning
 * never ends.
 */
export function visibleAnswer(completion: string): string {
  const end = completion.lastIndexOf('</think>')
  if (end >= 0) return completion.slice(end + '</think>'.length).trim()
  return /^\s*<think>/.test(completion) ? '' : completion.trim()
}
