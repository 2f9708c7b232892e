/** Makes untrusted text harmless inside a prompt: fenced with a nonce, forged markers and hidden characters undone. */
import { hash } from 'node:crypto'

export interface Neutralised {
  text: string
  /** True where something looked like a marker of ours or of a chat template, a verdict, or an order to the judge. */
  injected: boolean
}

/**
 * Never seen by a reader, but read by a model: zero-width, bidirectional controls, fillers, tag characters, variation
 * selectors of the supplement, soft hyphen, controls.
 */
const invisible =
  // eslint-disable-next-line no-control-regex, no-misleading-character-class -- these characters are what is removed
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb\u{1bca0}-\u{1bca3}\u{1d173}-\u{1d17a}\u{e0000}-\u{e01ef}]/gu

/** Joiners and variation selectors have a use in emoji, keycaps and some scripts, none next to plain ASCII letters. */
const joinerByAscii =
  // eslint-disable-next-line no-misleading-character-class -- these characters are what is removed
  /(?<=[\u0020-\u007e])[\u200c\u200d\ufe00-\ufe0e]+|[\u200c\u200d\ufe00-\ufe0e]+(?=[\u0020-\u007e])|(?<=[A-Za-z<>|])\ufe0f|\ufe0f(?=[A-Za-z<>|])/g

/** What a reader takes for our marks, in whatever alphabet: two or three angles and BEGIN or END. */
const angle = '[<＜‹〈⟨❮❬˂ᐸ《≪«⟪]'
const letters = (word: string): string => [...word].map((letter) => lookalikes[letter]).join(String.raw`[ \t._-]?`)
const lookalikes: Record<string, string> = {
  B: '[BbＢｂΒВᏴ]',
  E: '[EeＥｅΕЕе]',
  G: '[GgＧｇԌɡ]',
  I: '[IiＩｉΙІіıl1|]',
  N: '[NnＮｎΝո]',
  D: '[DdＤｄᎠԁ]'
}
const forgedFence = new RegExp(
  String.raw`(?:${angle}\s*){2,}(?=(?:${letters('BEGIN')}|${letters('END')})(?![A-Za-z]))`,
  'g'
)

/** Special tokens of the chat templates in use: broken by a space, so that no tokenizer takes them for the real one. */
const templateTokens = new RegExp(
  [
    String.raw`<(?=[|｜][^\s<>]{1,40}[|｜]>)`,
    String.raw`<(?=\/?(?:s|bos|eos|pad|unk|mask|cls|sep|sop|eop|eoh|eoa|eod|start_of_turn|end_of_turn|start_of_image|begin_of_text|end_of_text|begin_of_image|end_of_image|image_soft_token|BOS_TOKEN|EOS_TOKEN|system|think|reasoning|tool_call|tool_response|function_call|seed:\w{1,20}|extra_id_\d{1,3}|unused\d{1,3}|reserved_\w{1,20})>)`,
    String.raw`\[(?=\/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|TOOL_CONTENT|MODEL_SETTINGS|THINK|ARGS|CALL_ID|IMG|IMG_BREAK|IMG_END|PREFIX|SUFFIX|MIDDLE|gMASK|sMASK|BOS|EOS|CLS|SEP|PAD|UNK|MASK)\])`,
    String.raw`<(?=<\/?SYS>>)`,
    // MiniMax
    String.raw`\](?=~!?b(?:\[|\]))|\[(?=e~\[)`
  ].join('|'),
  'g'
)

/**
 * What looks like a verdict: told (`injected`), and left as it is, for an honest answer may be JSON or speak of scores.
 * It has no power, as only the judge's own reply is read (parse.ts).
 */
const verdictMarker =
  /\[\[\s*(?:\d|[A-C]\]\])|["'“](?:score|rating|grade|better|verdict)["'”]\s*:\s*(?:["'“]?\d|["'“][A-C]["'”]|true\b)|^\W{0,6}(?:score|rating|grade|verdict)\W{0,6}[:=]\W{0,6}\d|\bfinal\s+(?:verdict|score|rating|judge?ment)\b/im

/** Orders to whoever reads: told too. */
const order =
  /\b(?:ignore|disregard|forget|override)\b[^.\n]{0,40}\b(?:rubric|instructions?|criteria|rules|prompt|above)\b|\b(?:give|award|assign|output|return|respond with)\b[^.\n]{0,40}\b(?:highest|maximum|full|perfect|top|best)\b[^.\n]{0,20}\b(?:score|marks?|rating|grade|points)\b/i

/** Printable ASCII without angles and square brackets: nothing in it can be removed or broken. */
const ordinary = /^[\t\n -;=-Z\\^-~]*$/

export function neutralise(text: string): Neutralised {
  if (ordinary.test(text)) return { text, injected: verdictMarker.test(text) || order.test(text) }
  const visible = text
    .replace(/\r\n?|[\u2028\u2029]/g, '\n')
    .replace(invisible, '')
    .replace(joinerByAscii, '')
  const safe = visible.replace(forgedFence, '< < < ').replace(templateTokens, (mark) => `${mark} `)
  return { text: safe, injected: safe !== visible || verdictMarker.test(visible) || order.test(visible) }
}

/**
 * 64 bits drawn from all the untrusted text: the same input has the same prompt (so that it can be cached), and a text
 * that carries its own nonce cannot be found.
 */
export function nonceOf(texts: string[]): string {
  const all = texts.map((text) => `${text.length}:${text}`).join('')
  return hash('sha256', all, 'hex').slice(0, 16)
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
