/**
 * Makes what the quickstart carries: `assets/policy` and `assets/judge`, with this engine, from text of our generator.
 * Run it with `npx jiti scripts/quickstart/make.ts [policy|judge|sheet]`; needs the built addon. `sheet` only measures.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { packageRoot } from '../../src/binding/load.js'
import { renderQuestion } from '../../src/judge/prompt.js'
import { loadRubric } from '../../src/judge/rubric.js'
import { Policy } from '../../src/policy/policy.js'
import {
  manners,
  Random,
  writeMessage,
  writeReply,
  type CustomerMessage,
  type Manner,
  type Reply,
  type Split
} from '../../src/tasks/replies/index.js'
import { tokenizerJson, trainBpe } from './bpe.js'
import { measure } from './measure.js'
import { endToken, writeRandomModel } from './model.js'
import { sft } from './sft.js'

const assets = join(packageRoot, 'assets')
const seeds = { tokenizer: 1, policyWeights: 2, policyText: 3, judgeWeights: 4, judgeText: 5, sheet: 6 }
const specials = ['<|end|>', '<|user|>', '<|assistant|>', '<|reply|>']
const vocabulary = 768

/** The untrained policy's manners: what reinforcement learning finds it with. */
const policyManners: Record<Manner, number> = {
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
    left -= policyManners[manner]
    if (left < 0) return manner
  }
  return 'helpful'
}

const policyTemplate =
  "{%- for message in messages -%}{{ '<|' + message.role + '|>' + message.content }}" +
  "{%- if message.role == 'assistant' -%}{{ '<|end|>' }}{%- endif -%}{%- endfor -%}" +
  "{%- if add_generation_prompt -%}{{ '<|assistant|>' }}{%- endif -%}"

/**
 * The judge reads adjudge's own prompt, but this tiny one knows one rubric by heart: of the prompt its template keeps
 * the customer's text and the reply.
 */
const judgeTemplate =
  '{%- set text = messages[-1].content -%}' +
  "{%- set conversation = text.split('<<<BEGIN CONVERSATION ')[1].split('\\n<<<END CONVERSATION')[0] -%}" +
  "{%- set answer = text.split('<<<BEGIN ANSWER ')[1].split('\\n<<<END ANSWER')[0] -%}" +
  "{{ '<|user|>' + conversation.split('user: ')[1] + '<|reply|>' + answer.split('>>>\\n')[1] + '<|assistant|>' }}"

function tokenizerText(): string {
  const random = new Random(seeds.tokenizer)
  const texts: string[] = ['1 2 3 4 5']
  for (let count = 0; count < 3000; count++) {
    const message = writeMessage(random, 'train')
    texts.push(message.text, writeReply(random, message, random.pick(manners), 'train').text)
  }
  return tokenizerJson(trainBpe(texts, specials, vocabulary))
}

async function makePolicy(): Promise<void> {
  const folder = join(assets, 'policy')
  const tokenizer = tokenizerText()
  await writeRandomModel(
    folder,
    { tokenizer, chatTemplate: policyTemplate, vocabulary, endToken: specials[0]! },
    seeds.policyWeights
  )
  const policy = await Policy.load(folder)
  const random = new Random(seeds.policyText)
  await sft(policy, {
    steps: 550,
    batch: 48,
    learningRate: 4e-3,
    log: (line) => console.log(`policy ${line}`),
    next: () => {
      const message = writeMessage(random, 'train')
      const reply = writeReply(random, message, drawManner(random), 'train')
      const prompt = policy.tokenizer.encode(policy.renderChat([{ role: 'user', content: message.text }]))
      const answer = [...policy.tokenizer.encode(reply.text), endToken]
      // The customer's words are learned too, at a tenth: they tell the subjects apart.
      return {
        sequence: { promptTokens: prompt.slice(0, 1), tokens: [...prompt.slice(1), ...answer] },
        weights: [...new Array<number>(prompt.length - 1).fill(0.1), ...new Array<number>(answer.length).fill(1)]
      }
    }
  })
  await policy.save(folder)
  policy.dispose()
}

/** A message with a reply; helpful ones oftener than others, as the policy's will be at the end. */
function judged(random: Random, split: Split): { message: CustomerMessage; reply: Reply } {
  const message = writeMessage(random, split)
  const manner: Manner = random.next() < 0.3 ? 'helpful' : random.pick(manners)
  return { message, reply: writeReply(random, message, manner, split) }
}

async function makeJudge(): Promise<void> {
  const folder = join(assets, 'judge')
  const tokenizer = readFileSync(join(assets, 'policy', 'tokenizer.json'), 'utf8')
  await writeRandomModel(
    folder,
    { tokenizer, chatTemplate: judgeTemplate, vocabulary, endToken: specials[0]! },
    seeds.judgeWeights
  )
  const judge = await Policy.load(folder)
  const rubric = loadRubric(join(assets, 'rubric.yaml'))
  const random = new Random(seeds.judgeText)
  await sft(judge, {
    steps: 700,
    batch: 48,
    learningRate: 4e-3,
    log: (line) => console.log(`judge ${line}`),
    next: () => {
      const { message, reply } = judged(random, 'train')
      const messages = [{ role: 'user' as const, content: message.text }]
      const question = renderQuestion(rubric, { messages, completion: reply.text }, { reasoning: 'none' })
      const prompt = judge.tokenizer.encode(judge.renderChat(question.choicePrompts![0]!))
      const score = judge.tokenizer.encode(String(reply.truth.score))
      // The score counts as much as the whole text before it.
      return {
        sequence: { promptTokens: prompt.slice(0, 1), tokens: [...prompt.slice(1), ...score] },
        weights: [...new Array<number>(prompt.length - 1).fill(0.02), 1]
      }
    }
  })
  await judge.save(folder)
  judge.dispose()
}

const part = process.argv[2]
if (part === undefined || part === 'policy') await makePolicy()
if (part === undefined || part === 'judge') await makeJudge()
if (part === undefined || part === 'sheet') {
  const sheet = join(assets, 'README.md')
  const measured = await measure(assets, (random) => judged(random, 'heldOut'), new Random(seeds.sheet))
  const text = readFileSync(sheet, 'utf8')
  const [before, rest] = text.split('<!-- measured -->\n')
  const after = rest?.split('<!-- /measured -->\n')[1] ?? ''
  writeFileSync(sheet, `${before}<!-- measured -->\n${measured}<!-- /measured -->\n${after}`)
  console.log(measured)
}
