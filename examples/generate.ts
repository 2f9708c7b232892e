/**
 * Answers of a model, each printed as it finishes; Ctrl-C ends it early.
 *
 *     npx jiti examples/generate.ts [FOLDER_OR_GGUF [QUESTION]]
 */
import { Policy } from 'adjudge'

const [path = 'assets/policy', question = 'where is my lamp? I have waited a week.'] = process.argv.slice(2)
const controller = new AbortController()
process.once('SIGINT', () => controller.abort())

// `using` frees the model's memory at the end of the block; policy.dispose() does it by hand.
using policy = await Policy.load(path, { dtype: 'auto', trainable: false })
const [group] = await policy.generate([{ messages: [{ role: 'user', content: question }] }], {
  n: 4,
  maxTokens: 64,
  temperature: 0.8,
  seed: 1,
  signal: controller.signal,
  onCompletion: (completion, _prompt, index) => console.log(`${index}: ${completion.text} (${completion.finishReason})`)
})
for (const { tokens, logProbs, samplingLogProbs } of group!.completions) {
  const mean = (values: Float32Array) => (values.reduce((sum, value) => sum + value, 0) / values.length).toFixed(3)
  console.log(`${tokens.length} tokens, mean log-prob ${mean(logProbs)}, as sampled ${mean(samplingLogProbs)}`)
}
