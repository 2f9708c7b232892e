/** Trains the policy on replies in mixed manners: what reinforcement learning begins with. */
import { type Policy } from '../../src/policy/policy.js'
import {
  checkReply,
  manners,
  Random,
  writeMessage,
  writeReply,
  type CustomerMessage,
  type Manner
} from '../../src/tasks/replies/index.js'
import { mean } from './agreement.js'
import { endToken } from './model.js'
import { sft, type Example } from './sft.js'

export interface PolicyTraining {
  folder: string
  scratch: string
  steps: number
  decay: number
  seed: number
  threads: number
}

const shares: Record<Manner, number> = {
  helpful: 0.15,
  bare: 0.1,
  curt: 0.2,
  rambling: 0.2,
  rude_rambling: 0.1,
  off_subject: 0.1,
  wrong_subject: 0.15
}

function drawManner(random: Random): Manner {
  let left = random.next()
  for (const manner of manners) {
    left -= shares[manner]
    if (left < 0) return manner
  }
  return 'helpful'
}

export function trainPolicy(options: PolicyTraining): Promise<Policy> {
  const random = new Random(options.seed)
  return sft({
    ...options,
    batch: 24,
    learningRate: 2.5e-3,
    log: (line) => console.log(`policy ${line}`),
    draw: () => {
      const message = writeMessage(random, 'train')
      return { message, reply: writeReply(random, message, drawManner(random), 'train').text }
    },
    encode,
    look
  })
}

interface Lesson {
  message: CustomerMessage
  reply: string
}

/** Weight of a token of the message, of the reply, and of the product that the reply takes over from the message. */
const weight = { message: 0.1, reply: 1, product: 4 }

function encode(policy: Policy, { message, reply }: Lesson): Example {
  const { tokenizer } = policy
  const prompt = tokenizer.encode(policy.renderChat([{ role: 'user', content: message.text }]))
  const answer = [...tokenizer.encode(reply), endToken]
  const weights = new Array<number>(answer.length).fill(weight.reply)
  const at = reply.indexOf(` ${message.item}`)
  if (at >= 0) {
    // Tokens never reach over a space, so that the length of the text before tells where the product begins.
    const start = tokenizer.encode(reply.slice(0, at)).length
    weights.fill(weight.product, start, start + tokenizer.encode(` ${message.item}`).length)
  }
  return {
    sequence: { promptTokens: prompt.slice(0, 1), tokens: [...prompt.slice(1), ...answer] },
    weights: [...new Array<number>(prompt.length - 1).fill(weight.message), ...weights]
  }
}

/** The program's score of sampled replies to held-out messages, and some of them. */
async function look(policy: Policy): Promise<string> {
  const random = new Random(99)
  const messages = Array.from({ length: 100 }, () => writeMessage(random, 'heldOut'))
  const groups = await policy.generate(
    messages.map(({ text }) => ({ messages: [{ role: 'user', content: text }] })),
    { n: 1, maxTokens: 96, seed: 1 }
  )
  const texts = groups.map(({ completions }) => completions[0]!.text)
  const checks = messages.map((message, index) => checkReply(message, texts[index]!))
  const share = (name: 'whole' | 'helpful' | 'polite' | 'short'): string =>
    `${name} ${(100 * mean(checks.map((check) => Number(check[name])))).toFixed(0)} %`
  const examples = texts.slice(0, 3).map((text, index) => `\n    ${messages[index]!.text} -> ${text}`)
  return (
    `held out: check ${mean(checks.map(({ score }) => score)).toFixed(2)}  ` +
    `${share('whole')}  ${share('helpful')}  ${share('polite')}  ${share('short')}${examples.join('')}`
  )
}
