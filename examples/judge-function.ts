/** A reward function as a judge: `npx jiti examples/judge-function.ts` */
import { createJudge, type JudgeFunction } from 'adjudge'

/** A number is a score, null is unscored; what throws is unscored as well, never 0. */
const polite: JudgeFunction = ({ completion, item }) => {
  if (typeof item.customer !== 'string') return null
  const words = ['please', 'thank', 'sorry', item.customer.toLowerCase()]
  return words.filter((word) => completion.text.toLowerCase().includes(word)).length / words.length
}

const judge = await createJudge({ provider: 'function', function: polite })
const messages = [{ role: 'user' as const, content: 'Where is my parcel?' }]
const verdicts = await judge.scoreAll([
  { messages, completion: 'Sorry, Ann. Please send your order number, thank you.', item: { customer: 'Ann' } },
  { messages, completion: 'No idea.', item: { customer: 'Ann' } },
  { messages, completion: 'Who are you?' }
])
for (const { score, detail } of verdicts) console.log(score ?? `unscored: ${detail}`)
