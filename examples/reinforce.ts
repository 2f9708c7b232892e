/**
 * The loop by hand: sample, reward, backward, step. A LoRA adapter learns to answer briefly; it is saved, and loaded again.
 *
 *     npx jiti examples/reinforce.ts [FOLDER_OR_GGUF [FOLDER_FOR_THE_ADAPTER]]
 */
import { Policy } from 'adjudge'

const [path = 'assets/policy', folder = 'runs/reinforce/adapter'] = process.argv.slice(2)
const prompts = [
  'where is my garden chair?',
  'please refund my travel kettle.',
  'the radio broke after a day.',
  'my chair is the wrong size.'
].map((content) => ({ messages: [{ role: 'user' as const, content }] }))
/** Any number will do, and null for what could not be scored. */
const reward = (text: string) => (text.trim() === '' ? null : -text.split(' ').length)

const policy = await Policy.load(path, { lora: { rank: 8, alpha: 16, targetModules: 'all-linear' } })
for (let step = 1; step <= 10; step++) {
  const groups = await policy.generate(prompts, { n: 8, maxTokens: 48, temperature: 1, seed: step })
  const rewards = groups.map(({ completions }) => completions.map(({ text }) => reward(text)))
  const { metrics } = await policy.backward({
    groups,
    rewards,
    // A preset's name is enough ('grpo'); a record changes what it names. The KL is to the model without its adapter.
    algorithm: { preset: 'grpo', kl: { coefficient: 0.01 } }
  })
  const { gradNorm } = await policy.step({ learningRate: 2e-3, clipNorm: 1 })
  const words = rewards.flat().filter((value) => value !== null)
  const mean = -words.reduce((sum, value) => sum + value, 0) / words.length
  console.log(
    `step ${step}: ${mean.toFixed(1)} words, kl ${metrics.kl?.toFixed(4)}, gradient norm ${gradNorm.toFixed(2)}`
  )
}
await policy.save(folder, { format: 'peft' })
policy.dispose()

using again = await Policy.load(path, { adapter: folder, trainable: false })
const [group] = await again.generate(prompts.slice(0, 1), { temperature: 0, maxTokens: 48 })
console.log(`${folder}: ${group!.completions[0]!.text}`)
// Without `format: 'peft'` the whole model is saved as a Transformers folder, the adapter merged into it.
await again.save(`${folder}-merged`)
