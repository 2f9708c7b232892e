/**
 * What a model thinks of given text: log-probs, a closed set of answers, logits, loss and gradients.
 *
 *     npx jiti examples/log-probs.ts [FOLDER_OR_GGUF]
 */
import { Policy } from 'adjudge'

const [path = 'assets/policy'] = process.argv.slice(2)
using policy = await Policy.load(path, { threads: 2 })
const messages = [{ role: 'user' as const, content: 'where is my lamp? I have waited a week.' }]
const answers = ['It arrives tomorrow.', 'We open at nine.']

// The chat template's text ends where the assistant's turn begins; encode() adds no special tokens of its own.
const text = policy.renderChat(messages)
const promptTokens = policy.tokenizer.encode(text)
console.log(JSON.stringify(text), `is ${promptTokens.length} tokens`)

// One log-prob per token of the answer.
const tokens = policy.tokenizer.encode(answers[0]!)
const [logProbs] = await policy.logProbs([{ promptTokens, tokens }], { temperature: 1 })
tokens.forEach((token, at) =>
  console.log(`${logProbs![at]!.toFixed(3).padStart(8)}  ${JSON.stringify(policy.tokenizer.decode([token]))}`)
)

// Whole answers against each other: one number per prompt and answer.
const [choices] = await policy.choiceLogProbs([{ messages }], answers)
answers.forEach((answer, index) => console.log(`log P = ${choices![index]!.toFixed(2).padStart(7)}  ${answer}`))

// Logits after every token: the last row says what may come first.
const { data, shape } = await policy.logits(promptTokens)
const last = data.subarray((shape[0] - 1) * shape[1])
const best = last.reduce((top, value, token) => (value > last[top]! ? token : top), 0)
console.log(`logits ${shape.join(' x ')}; the answer most probably begins with "${policy.tokenizer.decode([best])}"`)

// The mean next-token loss where the mask is 1, and its gradients by the parameters' names.
const all = [...promptTokens, ...tokens]
const mask = all.map((_, at) => (at < promptTokens.length ? 0 : 1))
const { loss, gradients } = await policy.lossAndGradients([{ tokens: all, mask }])
console.log(`loss ${loss.toFixed(4)}`)
for (const [name, { data, shape }] of Object.entries(gradients).slice(0, 3)) {
  console.log(`${name} [${shape.join(', ')}]: gradient of norm ${Math.hypot(...data).toExponential(2)}`)
}
