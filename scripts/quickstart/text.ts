/** What the two models are trained on: the generator's text, in the shares that each needs. */
import {
  checkReply,
  manners,
  Random,
  richStock,
  spoil,
  writeMessage,
  writeReply,
  type CustomerMessage,
  type Manner,
  type Split
} from '../../src/tasks/replies/index.js'
import { tokenizerJson, trainBpe } from './bpe.js'

/** Token 0 ends a reply. */
export const specials = ['<|end|>', '<|user|>', '<|assistant|>', '<|score|>']
export const vocabulary = 1024

export function tokenizerText(seed: number): string {
  const random = new Random(seed)
  const texts: string[] = ['1 2 3 4 5']
  for (let count = 0; count < 4000; count++) {
    const message = writeMessage(random, 'train')
    texts.push(message.text, writeReply(random, message, random.pick(manners), 'train').text)
  }
  return tokenizerJson(trainBpe(texts, specials, vocabulary))
}

export interface Judged {
  message: CustomerMessage
  text: string
  /** The truth: 1 to 5. */
  score: number
  /** How the reply came about. */
  kind: Manner | 'spoiled' | 'sampled'
}

/** A message with a reply. Helpful ones and those beside the subject are oftener there: they are hardest to tell apart. */
export function judged(random: Random, split: Split): Judged {
  const message = writeMessage(random, split, richStock)
  const draw = random.next()
  const manner = draw < 0.25 ? 'helpful' : draw < 0.35 ? 'bare' : draw < 0.7 ? 'wrong_subject' : random.pick(manners)
  const { text, truth } = writeReply(random, message, manner, split, richStock)
  if (random.next() < 0.85) return { message, text, score: truth.score, kind: manner }
  const spoiled = spoil(random, text, message.text)
  return { message, text: spoiled, score: checkReply(message, spoiled).score, kind: 'spoiled' }
}
