/** Writes customer messages and replies in mixed manners from a seed, and knows how good each reply is. */
import { scoreOf, type Truth } from './check.js'
import { write, type Divided, type Split, type Words } from './grammar.js'
import { matters, type Matter } from './matters.js'
import {
  asides,
  closings,
  courtesiesAfter,
  courtesiesBefore,
  curt,
  moreCourtesiesAfter,
  moreCourtesiesBefore,
  moreCurt,
  moreOffSubject,
  moreRambles,
  offSubject,
  openings,
  rambles
} from './phrases.js'
import type { Random } from './random.js'
import { allWords, items, otherItem, words } from './words.js'

export interface CustomerMessage {
  text: string
  /** What it is about: one of the matters' names. */
  matter: string
  item: string
}

export const manners = ['helpful', 'bare', 'curt', 'rambling', 'rude_rambling', 'off_subject', 'wrong_subject'] as const
export type Manner = (typeof manners)[number]

export interface Reply {
  text: string
  manner: Manner
  truth: Truth
}

const matterOf = (name: string): Matter => matters.find((matter) => matter.name === name)!

/** Which words and sentences a text is made of. */
export interface Stock {
  words: Words
  answers: (matter: Matter, split: Split) => readonly string[]
  before: Divided<string>
  after: Divided<string>
  curt: Divided<string>
  rambles: Divided<string>
  offSubject: Divided<string>
}

/** What the policy learns, and what it meets. */
export const plainStock: Stock = {
  words,
  answers: ({ answers }, split) => answers[split],
  before: courtesiesBefore,
  after: courtesiesAfter,
  curt,
  rambles,
  offSubject
}

const withMore = ({ train, heldOut }: Divided<string>, more: readonly string[]): Divided<string> => ({
  train: [...train, ...more],
  heldOut
})

/** What the judge learns: more words and sentences in the training split, and the same held-out ones. */
export const richStock: Stock = {
  words: allWords,
  answers: ({ answers, more }, split) => (split === 'train' ? [...answers.train, ...more] : answers.heldOut),
  before: withMore(courtesiesBefore, moreCourtesiesBefore),
  after: withMore(courtesiesAfter, moreCourtesiesAfter),
  curt: withMore(curt, moreCurt),
  rambles: withMore(rambles, moreRambles),
  offSubject: withMore(offSubject, moreOffSubject)
}

export function writeMessage(random: Random, split: Split, { words } = plainStock): CustomerMessage {
  const item = random.pick(items[split])
  const matter = random.pick(matters)
  const body = write(random.pick(matter.messages[split]), words, split, random, item)
  const say = (list: Divided<string>): string => write(random.pick(list[split]), words, split, random)
  const opened =
    random.next() < 0.6
      ? `${say(openings)} ${body.startsWith('I ') ? body : body.slice(0, 1).toLowerCase() + body.slice(1)}`
      : body
  const aside = random.next() < 0.3 ? ` ${say(asides)}` : ''
  const closing = random.next() < 0.6 ? ` ${say(closings)}` : ''
  return { text: opened + aside + closing, matter: matter.name, item }
}

export function writeReply(
  random: Random,
  message: CustomerMessage,
  manner: Manner,
  split: Split,
  stock = plainStock
): Reply {
  const { curt, rambles, offSubject } = stock
  const pick = (templates: readonly string[], item = ''): string =>
    write(random.pick(templates), stock.words, split, random, item)
  const say = (list: Divided<string>): string => pick(list[split])
  const answer = (matter = message.matter, item = message.item): string =>
    pick(stock.answers(matterOf(matter), split), item)
  const before = (): string => say(stock.before)
  const after = (): string => say(stock.after)
  const courteous = (text: string): string => {
    const draw = random.next()
    return draw < 0.4 ? `${before()} ${text}` : draw < 0.7 ? `${text} ${after()}` : `${before()} ${text} ${after()}`
  }
  const reply = (text: string, helpful: boolean, polite: boolean, short: boolean): Reply => ({
    text,
    manner,
    truth: { whole: true, helpful, polite, short, score: scoreOf({ helpful, polite, short }) }
  })
  switch (manner) {
    case 'helpful':
      return reply(courteous(answer()), true, true, true)
    case 'bare':
      return reply(answer(), true, false, true)
    case 'curt':
      return reply(say(curt), false, false, true)
    case 'rambling': {
      const draw = random.next()
      const text =
        draw < 0.5
          ? `${before()} ${say(rambles)} ${answer()}`
          : draw < 0.75
            ? `${before()} ${answer()} ${say(rambles)}`
            : `${answer()} ${say(rambles)} ${after()}`
      return reply(text, true, true, false)
    }
    case 'rude_rambling': {
      const helpful = random.next() < 0.5
      const text = helpful ? `${answer()} ${say(rambles)}` : `${say(curt)} ${say(rambles)} ${say(offSubject)}`
      return reply(text, helpful, false, false)
    }
    case 'off_subject': {
      const polite = random.next() < 0.6
      const text = say(offSubject)
      return reply(polite ? courteous(text) : text, false, polite, true)
    }
    case 'wrong_subject': {
      const otherMatter = random.pick(matters.filter(({ name }) => name !== message.matter)).name
      const other = otherItem(random, message.item, split)
      const draw = random.next()
      const text =
        draw < 0.4 ? answer(otherMatter) : draw < 0.8 ? answer(message.matter, other) : answer(otherMatter, other)
      const polite = random.next() < 0.8
      return reply(polite ? courteous(text) : text, false, polite, true)
    }
  }
}
