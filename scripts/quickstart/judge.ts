/** Trains the judge to give the true score as one token after adjudge's own prompt. */
import { plainMessages } from '../../src/judge/content.js'
import { renderQuestion } from '../../src/judge/prompt.js'
import { loadRubric, type Rubric } from '../../src/judge/rubric.js'
import type { Policy } from '../../src/policy/policy.js'
import { Random } from '../../src/tasks/replies/index.js'
import { areaUnderCurve, correlation, mean, type Pair } from './agreement.js'
import { sft } from './sft.js'
import { judged, type Judged } from './text.js'

export interface JudgeTraining {
  folder: string
  scratch: string
  rubric: string
  steps: number
  decay: number
  seed: number
  threads: number
  /** Replies that policies gave, with their true scores: a third of the training text where there are any. */
  pool: Judged[]
}

const scores = ['1', '2', '3', '4', '5']

const promptOf = (judge: Policy, rubric: Rubric, { message, text }: Judged): string =>
  judge.renderChat(
    plainMessages(
      renderQuestion(
        rubric,
        { messages: [{ role: 'user', content: message.text }], completion: text },
        { reasoning: 'none' }
      ).choicePrompts![0]!,
      'this judge'
    )
  )

export function trainJudge(options: JudgeTraining): Promise<Policy> {
  const { seed, pool } = options
  const rubric = loadRubric(options.rubric)
  const random = new Random(seed)
  const held = new Random(seed + 1)
  const heldOut = Array.from({ length: 300 }, () => judged(held, 'heldOut'))
  return sft({
    ...options,
    batch: 48,
    learningRate: 2.5e-3,
    log: (line) => console.log(`judge ${line}`),
    draw: () => (pool.length > 0 && random.next() < 0.33 ? random.pick(pool) : judged(random, 'train')),
    encode: (judge, one) => {
      const prompt = judge.tokenizer.encode(promptOf(judge, rubric, one))
      const score = judge.tokenizer.encode(String(one.score))
      // The score counts as much as the whole text before it.
      return {
        sequence: { promptTokens: prompt.slice(0, 1), tokens: [...prompt.slice(1), ...score] },
        weights: [...new Array<number>(prompt.length - 1).fill(0.02), 1]
      }
    },
    look: async (judge) => agreementOf(await scoresOf(judge, rubric, heldOut), heldOut)
  })
}

/** Expected scores, as the provider `native` gives them. */
export async function scoresOf(judge: Policy, rubric: Rubric, samples: Judged[]): Promise<number[]> {
  const found: number[] = []
  for (let start = 0; start < samples.length; start += 50) {
    const prompts = samples.slice(start, start + 50).map((one) => ({ text: promptOf(judge, rubric, one) }))
    for (const logProbs of await judge.choiceLogProbs(prompts, scores)) {
      const mass = Array.from(logProbs, Math.exp)
      const total = mass.reduce((sum, value) => sum + value, 0)
      found.push(mass.reduce((sum, value, index) => sum + (value / total) * (index + 1), 0))
    }
  }
  return found
}

function agreementOf(found: number[], samples: Judged[]): string {
  const pairs: Pair[] = samples.map(({ score }, index) => ({ truth: score, score: found[index]! }))
  const of = (kind: string): string => mean(found.filter((_, index) => samples[index]!.kind === kind)).toFixed(2)
  return (
    `held out: Pearson ${correlation(pairs).toFixed(3)}  AUC ${areaUnderCurve(pairs).toFixed(3)}  ` +
    ['helpful', 'bare', 'rambling', 'wrong_subject', 'off_subject', 'curt', 'spoiled']
      .map((kind) => `${kind} ${of(kind)}`)
      .join('  ')
  )
}
