/** Writes customer messages and replies in mixed manners from a seed, and knows how good each reply is. */
import {
  asides,
  closings,
  courtesiesAfter,
  courtesiesBefore,
  curt,
  heldOutItems,
  items,
  offSubject,
  openings,
  rambles,
  subjects,
  type Subject
} from './phrases.js'
import type { Random } from './random.js'

/** `heldOut` draws from phrases and items that `train` never uses. */
export type Split = 'train' | 'heldOut'

export interface CustomerMessage {
  text: string
  subject: Subject
}

export const manners = ['helpful', 'bare', 'curt', 'rambling', 'rude_rambling', 'off_subject', 'wrong_subject'] as const
export type Manner = (typeof manners)[number]

/** What the rubric asks for. `score` is on its scale, 1 to 5. */
export interface Truth {
  helpful: boolean
  polite: boolean
  short: boolean
  score: number
}

export interface Reply {
  text: string
  manner: Manner
  truth: Truth
}

/** The rubric's scale in one formula: a reply that does not help is 1, or 2 if polite and short; one that does, 3 to 5. */
export function scoreOf({ helpful, polite, short }: Omit<Truth, 'score'>): number {
  if (!helpful) return polite && short ? 2 : 1
  return 3 + Number(polite) + Number(short)
}

/** The part of a list that belongs to a split: its last `held` entries are held out. */
const part = <Item>(list: readonly Item[], split: Split, held: number): readonly Item[] =>
  split === 'train' ? list.slice(0, -held) : list.slice(-held)

const upperFirst = (text: string): string => text[0]!.toUpperCase() + text.slice(1)

export function writeMessage(random: Random, split: Split): CustomerMessage {
  const subject = random.pick(subjects)
  const item = random.pick(split === 'train' ? items : heldOutItems)
  const body = random.pick(part(subject.messages, split, 2)).replace('{item}', item)
  const opened = random.next() < 0.6 ? `${random.pick(openings)} ${body}` : upperFirst(body)
  const aside = random.next() < 0.3 ? ` ${random.pick(part(asides, split, 2))}` : ''
  return { text: `${opened}${aside} ${random.pick(closings)}`.trim(), subject }
}

export function writeReply(random: Random, message: CustomerMessage, manner: Manner, split: Split): Reply {
  const answerOn = (subject: Subject): string => random.pick(part(subject.answers, split, 1))
  const before = (): string => random.pick(part(courtesiesBefore, split, 1))
  const after = (): string => random.pick(part(courtesiesAfter, split, 1))
  const ramble = (): string => random.pick(part(rambles, split, 1))
  const courteous = (text: string): string => {
    const draw = random.next()
    return draw < 0.4 ? `${before()} ${text}` : draw < 0.7 ? `${text} ${after()}` : `${before()} ${text} ${after()}`
  }
  const reply = (text: string, helpful: boolean, polite: boolean, short: boolean): Reply => ({
    text,
    manner,
    truth: { helpful, polite, short, score: scoreOf({ helpful, polite, short }) }
  })
  switch (manner) {
    case 'helpful':
      return reply(courteous(answerOn(message.subject)), true, true, true)
    case 'bare':
      return random.next() < 0.5
        ? reply(random.pick(part(message.subject.bare, split, 1)), true, false, true)
        : reply(answerOn(message.subject), true, false, true)
    case 'curt':
      return reply(random.pick(part(curt, split, 1)), false, false, true)
    case 'rambling': {
      const answer = answerOn(message.subject)
      const draw = random.next()
      const text =
        draw < 0.5
          ? `${before()} ${ramble()} ${answer}`
          : draw < 0.75
            ? `${before()} ${answer} ${ramble()}`
            : `${answer} ${ramble()} ${after()}`
      return reply(text, true, true, false)
    }
    case 'rude_rambling': {
      const answer = answerOn(message.subject)
      const helpful = random.next() < 0.5
      return reply(
        helpful
          ? `${answer} ${ramble()}`
          : `${random.pick(part(curt, split, 1))} ${ramble()} ${random.pick(part(offSubject, split, 1))}`,
        helpful,
        false,
        false
      )
    }
    case 'off_subject': {
      const polite = random.next() < 0.6
      const text = random.pick(part(offSubject, split, 1))
      return reply(polite ? courteous(text) : text, false, polite, true)
    }
    case 'wrong_subject': {
      const other = random.pick(subjects.filter((subject) => subject !== message.subject))
      const polite = random.next() < 0.8
      return reply(polite ? courteous(answerOn(other)) : answerOn(other), false, polite, true)
    }
  }
}
