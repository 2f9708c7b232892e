/**
 * Scores answers by a rubric. The judge is a language model, wherever it runs:
 *
 *     npx jiti examples/judge-rubric.ts                                    the tiny judge that the package carries
 *     npx jiti examples/judge-rubric.ts native FOLDER_OR_GGUF              another model, in this process
 *     npx jiti examples/judge-rubric.ts openai MODEL [URL]                 OpenAI (OPENAI_API_KEY), or any server like it
 *     npx jiti examples/judge-rubric.ts anthropic MODEL [URL]              Anthropic (ANTHROPIC_API_KEY)
 *     npx jiti examples/judge-rubric.ts ollama MODEL [URL]                 Ollama
 *
 * Run it twice: the second run finds its verdicts in the ledger and asks for nothing.
 */
import { createJudge, providerNames } from 'adjudge'

const [name = 'native', model = 'assets/judge', baseURL] = process.argv.slice(2)
const provider = providerNames.find((one) => one === name)
if (!provider) throw new Error(`${name}: expected one of ${providerNames.join(', ')}`)

const judge = await createJudge({
  provider,
  model,
  ...(baseURL ? { baseURL } : {}),
  // A file, or the same as an object: { aim, scale: { low, high, anchors }, criteria }.
  rubric: 'assets/rubric.yaml',
  concurrency: 4,
  timeout: 60_000,
  ledger: 'runs/judge-rubric/ledger'
})

const messages = [{ role: 'user' as const, content: 'I ordered my garden chair by mistake, please cancel it.' }]
const answers = [
  'Thank you for writing. Your garden chair is canceled.',
  'Whatever.',
  'Your kitchen lamp arrives tomorrow.'
]

// Verdicts come in the order of the answers, each as soon as it and all before it are there.
let index = 0
for await (const verdict of judge.score(answers.map((completion) => ({ messages, completion })))) {
  const score = verdict.score === null ? `unscored (${verdict.reason}: ${verdict.detail})` : verdict.score.toFixed(2)
  console.log(`${score}  ${answers[index++]}  ${JSON.stringify(verdict.distribution ?? {})}`)
}
console.log(judge.metrics)
await judge.close()
