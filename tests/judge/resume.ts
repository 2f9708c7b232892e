/** Run by ledger.test.ts in a process of its own, which is then killed: scores answers and prints each as it is scored. */
import { createJudge } from '../../src/judge/index.js'

const [url, ledger, count] = process.argv.slice(2)
const judge = await createJudge({
  provider: 'openai',
  model: 'test',
  baseURL: url,
  rubric: { aim: 'Replies', scale: { low: 1, high: 5 } },
  concurrency: 4,
  ledger: ledger
})
await Promise.all(
  Array.from({ length: Number(count) }, async (_, index) => {
    const verdict = await judge.scoreOne({
      messages: [{ role: 'user', content: 'Hello?' }],
      completion: `answer ${index}`
    })
    process.stdout.write(`${index} ${verdict.score}\n`)
  })
)
await judge.close()
