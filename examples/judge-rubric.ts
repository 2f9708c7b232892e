/**
 * Scores answers by a rubric with any OpenAI-compatible server.
 *
 *     JUDGE_URL=http://127.0.0.1:8080/v1 JUDGE_MODEL=my-model npx jiti examples/judge-rubric.ts
 *
 * Without JUDGE_URL it asks OpenAI itself, with the key in OPENAI_API_KEY. Run it twice: the second run finds its
 * verdicts in the ledger and asks for nothing.
 */
import { createJudge } from '../src/judge/index.js'

const judge = await createJudge({
  provider: 'openai',
  model: process.env.JUDGE_MODEL ?? 'gpt-5-mini',
  ...(process.env.JUDGE_URL ? { baseURL: process.env.JUDGE_URL } : {}),
  rubric: {
    aim: 'Replies to customers',
    scale: {
      low: 1,
      high: 5,
      anchors: {
        1: 'rude or off the subject',
        3: 'polite but incomplete',
        5: 'polite, complete, at most two sentences'
      }
    }
  },
  ledger: 'runs/judge-rubric/ledger'
})

const messages = [{ role: 'user' as const, content: 'My parcel has not arrived. Where is it?' }]
const answers = [
  'I am sorry for the delay. Please send me your order number and I will trace the parcel today.',
  'Parcels get lost. Not our problem.',
  'Our company was founded in 1973 and has won several awards for its packaging.'
]

// Verdicts come in the order of the answers, each as soon as it and all before it are there.
let index = 0
for await (const verdict of judge.score(answers.map((completion) => ({ messages, completion })))) {
  const score = verdict.score === null ? `unscored (${verdict.reason}: ${verdict.detail})` : verdict.score.toFixed(2)
  console.log(`${score}  ${answers[index++]}`)
}
console.log(judge.metrics)
await judge.close()
