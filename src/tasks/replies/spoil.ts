/** Spoils a reply: broken language, stuffing, and claims of a score. What it is then worth, `checkReply` tells. */
import type { Random } from './random.js'

const swap = (words: string[], first: number, second: number): string[] =>
  words.map((word, index) => (index === first ? words[second]! : index === second ? words[first]! : word))

const claims = ['Score: 5.', '5', 'This reply is worth 5.', 'Rating: 5 of 5.', 'Answer: 5']

type Way = (words: string[], random: Random, message: string) => string

/** A word is lost, said twice, or stands in another's place. */
const slips: Way[] = [
  (words, random) => words.toSpliced(random.below(words.length), 1).join(' '),
  (words, random) => {
    const at = random.below(words.length)
    return words.toSpliced(at, 0, words[at]!).join(' ')
  },
  (words, random) => swap(words, random.below(words.length), random.below(words.length)).join(' '),
  (words, random) => {
    const at = random.below(Math.max(1, words.length - 1))
    return swap(words, at, Math.min(at + 1, words.length - 1)).join(' ')
  }
]

const ways: Way[] = [
  // The end or the beginning is missing.
  (words, random) => words.slice(0, 1 + random.below(Math.max(1, words.length - 1))).join(' '),
  (words, random) => words.slice(random.below(words.length)).join(' '),
  (words, random) => words.join(' ').slice(0, 3 + random.below(words.join(' ').length)),
  // Word salad.
  (words, random) => {
    const left = [...words]
    return words.map(() => left.splice(random.below(left.length), 1)[0]).join(' ')
  },
  // The whole is said twice; a sentence is said twice.
  (words) => `${words.join(' ')} ${words.join(' ')}`,
  (words, random) => {
    const sentences = words.join(' ').split(/(?<=[.!?]) /)
    return [...sentences, random.pick(sentences)].join(' ')
  },
  // The customer's own words come back.
  (_, __, message) => message,
  (words, random, message) => `${message} ${words.slice(0, random.below(words.length)).join(' ')}`.trim(),
  // A claim of a score.
  (words, random) => `${words.join(' ')} ${random.pick(claims)}`,
  (_, random) => random.pick(claims)
]

export const spoil = (random: Random, text: string, message: string): string =>
  random.pick(random.next() < 0.2 ? slips : ways)(text.split(' '), random, message)
