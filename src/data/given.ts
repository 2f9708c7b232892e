/** Records that bring their answers: pairs of a chosen and a rejected one, labelled ones, or judged ones. */
import type { Message } from '../policy/types.js'
import { checkMessages, ownMessages } from './prompt.js'

export interface GivenCompletion {
  text: string
  /** Of its judge; null = unscored. Of a pair and of labels, 1 or 0. */
  score: number | null
  /** Of each token, the end included; absent: the score comes with the last. */
  tokenRewards?: number[]
  /** False where it was cut at its token limit: no end of turn follows. */
  finished: boolean
}

/** What a record compares: `pair`, the first completion is preferred to the second; `label`, 1 is desirable. */
export type GivenKind = 'pair' | 'label' | 'scores'

export interface GivenAnswers {
  kind: GivenKind
  /** Absent: the record has them elsewhere, or a template makes them. */
  messages?: Message[]
  completions: GivenCompletion[]
}

const shapes =
  'chosen and rejected, completion and label (true or false), completion and score (a number or null), or ' +
  'completions (a list of { text, score })'

/** Fields that hold answers: neither judges nor templates see them. */
export const answerFields = [
  'chosen',
  'rejected',
  'completion',
  'completions',
  'label',
  'score',
  'reward',
  'token_rewards'
]

/**
 * The answers of a record, and its prompt where they carry it: the beginning that `chosen` and `rejected` share, as
 * messages or as text. Throws a plain Error that names the field.
 */
export function givenAnswers(fields: Record<string, unknown>): GivenAnswers {
  if (fields['chosen'] !== undefined || fields['rejected'] !== undefined) return pairOf(fields)
  const { completions, completion } = fields
  if (completions !== undefined) {
    if (!Array.isArray(completions) || completions.length === 0) throw new Error(`completions is no list; ${entry}`)
    return { kind: 'scores', completions: completions.map((one, at) => scored(one, `completions[${at}]`)) }
  }
  if (completion === undefined) {
    const found = Object.keys(fields).join(', ') || 'none'
    throw new Error(`there are no answers (fields: ${found}); expected ${shapes}`)
  }
  const text = answerOf(completion, 'completion')
  const finished = fields['finish_reason'] !== 'length'
  if (fields['label'] !== undefined && fields['score'] === undefined) {
    return { kind: 'label', completions: [{ text, score: labelOf(fields['label']), finished }] }
  }
  const name = fields['score'] === undefined && fields['reward'] !== undefined ? 'reward' : 'score'
  const rewards = tokenRewards(fields['token_rewards'], 'token_rewards')
  return { kind: 'scores', completions: [{ text, score: scoreOf(fields[name], name), finished, ...rewards }] }
}

const entry = 'expected a list of { text, score } with at least one entry'

function scored(value: unknown, name: string): GivenCompletion {
  if (typeof value !== 'object' || value === null) throw new Error(`${name} is no object; ${entry}`)
  const { text, score, finish_reason: reason, token_rewards: rewards } = value as Record<string, unknown>
  return {
    text: answerOf(text, `${name}.text`),
    score: scoreOf(score, `${name}.score`),
    finished: reason !== 'length',
    ...tokenRewards(rewards, `${name}.token_rewards`)
  }
}

function tokenRewards(value: unknown, name: string): { tokenRewards?: number[] } {
  if (value === undefined) return {}
  if (Array.isArray(value) && value.every((one) => Number.isFinite(one))) return { tokenRewards: value as number[] }
  throw new Error(`${name} is no list of numbers; expected one for each token of the answer`)
}

/** In CSV a number is a text, and an empty one is unscored. */
function scoreOf(value: unknown, name: string): number | null {
  if (value === null || value === '') return null
  const number = typeof value === 'string' ? Number(value) : value
  if (typeof number === 'number' && Number.isFinite(number)) return number
  throw new Error(`${name} is ${JSON.stringify(value) ?? 'missing'}; expected a number, or null for unscored`)
}

function labelOf(value: unknown): number {
  const known = [true, 1, 'true', '1'].includes(value as never)
    ? 1
    : [false, 0, 'false', '0'].includes(value as never)
      ? 0
      : undefined
  if (known === undefined) throw new Error(`label is ${JSON.stringify(value)}; expected true (desirable) or false`)
  return known
}

/** A text, or messages that are one assistant turn. */
function answerOf(value: unknown, name: string): string {
  if (typeof value === 'string' && value !== '') return value
  if (Array.isArray(value)) {
    const messages = checkMessages(value, name)
    if (messages.length === 1 && messages[0]!.role === 'assistant' && messages[0]!.content !== '') {
      return messages[0]!.content
    }
    throw new Error(`${name} has ${messages.length} messages; expected one assistant turn that is not empty`)
  }
  const found = value === undefined ? 'missing' : value === '' ? 'empty' : 'no text'
  throw new Error(`${name} is ${found}; expected the answer: a text, or a list with one assistant message`)
}

function pairOf(fields: Record<string, unknown>): GivenAnswers {
  const sides = ['chosen', 'rejected'] as const
  const [chosen, rejected] = sides.map((name) => listOf(fields[name]))
  const both = (texts: string[], messages?: Message[]): GivenAnswers => ({
    kind: 'pair',
    ...(messages ? { messages } : {}),
    completions: texts.map((text, side) => ({ text, score: side === 0 ? 1 : 0, finished: true }))
  })
  if (Array.isArray(chosen) && Array.isArray(rejected) && (chosen.length > 1 || rejected.length > 1)) {
    const lists = [checkMessages(chosen, 'chosen'), checkMessages(rejected, 'rejected')] as const
    let shared = 0
    while (same(lists[0][shared], lists[1][shared])) shared++
    const prompt = lists[0].slice(0, shared)
    if (shared === 0) throw new Error('chosen and rejected begin with different messages; expected one prompt for both')
    return both(
      lists.map((list, side) => answerOf(list.slice(shared), `${sides[side]} after the ${shared} messages they share`)),
      prompt
    )
  }
  const texts = [answerOf(chosen, 'chosen'), answerOf(rejected, 'rejected')]
  if (texts[0] === texts[1]) throw new Error('chosen and rejected are the same text; expected two different answers')
  if (fields['prompt'] !== undefined || fields['messages'] !== undefined) return both(texts)
  return { ...both(texts), ...implicitPrompt(texts as [string, string]) }
}

/** CSV holds a list as JSON. */
function listOf(value: unknown): unknown {
  if (typeof value !== 'string' || !value.startsWith('[{')) return value
  try {
    return JSON.parse(value) as unknown
  } catch {
    return value
  }
}

const same = (left: Message | undefined, right: Message | undefined): boolean =>
  left !== undefined && left.role === right?.role && left.content === right.content

/** Texts without a prompt of their own: what both begin with, up to a word's beginning. Nothing where they share nothing. */
function implicitPrompt([chosen, rejected]: [string, string]): Partial<GivenAnswers> {
  let shared = 0
  while (shared < chosen.length && chosen[shared] === rejected[shared]) shared++
  while (shared > 0 && !/\s/.test(chosen[shared - 1]!)) shared--
  if (shared === 0 || shared === chosen.length || shared === rejected.length) return {}
  return {
    messages: ownMessages({ prompt: chosen.slice(0, shared).trimEnd() }),
    completions: [chosen, rejected].map((text, side) => ({
      text: text.slice(shared),
      score: side === 0 ? 1 : 0,
      finished: true
    }))
  }
}
