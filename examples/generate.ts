/** Answers of a model: `npx jiti examples/generate.ts FOLDER_OR_GGUF "a question"`. */
import { Policy } from 'adjudge'

const [path, question = 'What is the capital of France?'] = process.argv.slice(2)
if (!path) throw new Error('usage: generate.ts FOLDER_OR_GGUF [QUESTION]')

const policy = await Policy.load(path, { dtype: 'auto', trainable: false })
const [group] = await policy.generate([{ messages: [{ role: 'user', content: question }] }], {
  n: 2,
  maxTokens: 48,
  temperature: 0.7,
  seed: 1,
  onCompletion: (completion, _prompt, index) => console.log(`${index}: ${completion.text} (${completion.finishReason})`)
})
const { tokens, logProbs } = group!.completions[0]!
console.log(`${tokens.length} tokens, mean log-prob ${logProbs.reduce((a, b) => a + b, 0) / tokens.length}`)
policy.dispose()
