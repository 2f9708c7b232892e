/**
 * A closed set of answers: each is judged once, and the gradient is the exact one over the set; nothing is sampled.
 *
 *     npx jiti examples/exact.ts [FOLDER_OR_GGUF]
 */
import { Policy } from 'adjudge'

const [path = 'assets/policy'] = process.argv.slice(2)
using policy = await Policy.load(path)
const prompts = [
  { messages: [{ role: 'user' as const, content: 'I ordered my garden chair by mistake, please cancel it.' }] }
]
const answers = ['The garden chair is canceled.', 'Not our problem.', 'You get a refund for your garden chair.']
const rewards = [[1, 0, 0]]

for (let step = 1; step <= 8; step++) {
  const groups = await policy.choiceGroups(prompts, answers)
  const { loss } = await policy.backward({ groups, rewards, algorithm: 'exact' })
  await policy.step({ learningRate: 5e-4 })
  const logs = groups[0]!.completions.map(({ logProbs }) => logProbs.reduce((sum, value) => sum + value, 0))
  const total = logs.reduce((sum, value) => sum + Math.exp(value), 0)
  const shares = logs.map((value, index) => `${((100 * Math.exp(value)) / total).toFixed(1)} % ${answers[index]}`)
  console.log(`step ${step}, loss ${loss.toFixed(3)}: ${shares.join('  ')}`)
}
