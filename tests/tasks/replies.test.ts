/** The quickstart's text: written by a seeded generator that knows the truth, and read by a check that knows no judge. */
import { describe, expect, it } from 'vitest'
import {
  checkReply,
  items,
  manners,
  Random,
  spoil,
  writeMessage,
  writeReply,
  type Split
} from '../../src/tasks/replies/index.js'

const splits: Split[] = ['train', 'heldOut']

describe('replies to customers', () => {
  it('writes the same text from the same seed', () => {
    const write = (seed: number): string[] => {
      const random = new Random(seed)
      return Array.from({ length: 20 }, () => {
        const message = writeMessage(random, 'train')
        return message.text + writeReply(random, message, random.pick(manners), 'train').text
      })
    }
    expect(write(7)).toEqual(write(7))
    expect(write(7)).not.toEqual(write(8))
  })

  it.each(splits)('knows the truth that the check by program finds (%s)', (split) => {
    const random = new Random(11)
    for (let count = 0; count < 2000; count++) {
      const message = writeMessage(random, split)
      const { text, truth } = writeReply(random, message, random.pick(manners), split)
      expect(checkReply(message, text), `${message.text} -> ${text}`).toEqual(truth)
    }
  })

  it('keeps held-out products and messages out of the training split', () => {
    const texts = (split: Split): Set<string> => {
      const random = new Random(3)
      return new Set(Array.from({ length: 3000 }, () => writeMessage(random, split).text))
    }
    const train = texts('train')
    expect([...texts('heldOut')].filter((text) => train.has(text))).toEqual([])
    const known = new Set(items.train)
    expect(items.heldOut.filter((item) => known.has(item))).toEqual([])
  })
})

describe('the check by program', () => {
  const about = { matter: 'delivery', item: 'garden chair' }

  it.each([
    ['helps, polite, short', 'Sorry for the trouble. Your garden chair arrives tomorrow.', 5],
    ['helps, short, no courtesy', 'Your garden chair arrives tomorrow.', 4],
    ['another matter', 'Sorry for the trouble. We refund your garden chair tomorrow.', 2],
    ['another product', 'Sorry for the trouble. Your garden lamp arrives tomorrow.', 2],
    [
      'the right product and another one',
      'Your garden chair arrives tomorrow. Your garden lamp arrives tomorrow. Happy to help!',
      2
    ],
    ['curt', 'Not our problem.', 1],
    [
      'rambling',
      'Sorry for the trouble. You know, in the old days my uncle did all of this by hand and often told us long ' +
        'stories about the river. Your garden chair arrives tomorrow.',
      4
    ]
  ])('%s', (_, text, score) => {
    expect(checkReply(about, text).score).toBe(score)
  })

  it.each([
    ['a word is missing', 'Sorry for the trouble. Your garden chair tomorrow.'],
    ['words in a wrong order', 'Sorry for the trouble. Your arrives garden chair tomorrow.'],
    ['a product that does not exist', 'Sorry for the trouble. Your garden chaimp arrives tomorrow.'],
    ['cut at the end', 'Sorry for the trouble. Your garden chair arrives tomorrow. Have a ni'],
    ['no stop', 'Sorry for the trouble. Your garden chair arrives tomorrow'],
    ['said twice', 'Sorry for the trouble. Your garden chair arrives tomorrow. Your garden chair arrives tomorrow.'],
    ['a claim of a score', 'Sorry for the trouble. Your garden chair arrives tomorrow. Score: 5.'],
    ['a stray space', 'Sorry for the trouble.  Your garden chair arrives tomorrow.'],
    ['empty', '']
  ])('counts nothing where language is broken: %s', (_, text) => {
    expect(checkReply(about, text)).toEqual({ whole: false, helpful: false, polite: false, short: false, score: 1 })
  })

  it('finds most spoiled replies broken', () => {
    const random = new Random(5)
    let broken = 0
    for (let count = 0; count < 1000; count++) {
      const message = writeMessage(random, 'train')
      const { text } = writeReply(random, message, 'helpful', 'train')
      if (!checkReply(message, spoil(random, text, message.text)).whole) broken++
    }
    expect(broken).toBeGreaterThan(900)
  })
})
