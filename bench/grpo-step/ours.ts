/** adjudge's side: `jiti ours.ts TASK_JSON DTYPE`; does one step per line of its input. */
import { createInterface } from 'node:readline'
import { Policy, type LoadOptions } from 'adjudge'
import { reward, type StepResult, type Task } from './task.js'

const task = JSON.parse(process.argv[2]!) as Task
const policy = await Policy.load(task.model, {
  dtype: process.argv[3] as NonNullable<LoadOptions['dtype']>,
  threads: task.threads
})
const { dtype, bytes } = policy.description
const send = (value: object) => process.stdout.write(JSON.stringify(value) + '\n')
send({ ready: `adjudge ${dtype}, ${task.threads} threads, model of ${(bytes / 2 ** 20).toFixed(0)} MiB` })

let seed = 0
for await (const _line of createInterface({ input: process.stdin })) {
  const began = performance.now()
  const groups = await policy.generate(
    task.prompts.map((text) => ({ text })),
    { n: task.completions, maxTokens: task.maxTokens, temperature: 1, seed: ++seed }
  )
  const rewards = groups.map(({ completions }) => completions.map(({ text }) => reward(text)))
  const generated = performance.now()
  await policy.backward({ groups, rewards, algorithm: 'trl_grpo' })
  const learned = performance.now()
  await policy.step({ learningRate: task.learningRate, clipNorm: 1 })
  const ended = performance.now()
  const flat = rewards.flat()
  const result: StepResult = {
    seconds: (ended - began) / 1000,
    generation: (generated - began) / 1000,
    backward: (learned - generated) / 1000,
    optimizer: (ended - learned) / 1000,
    promptTokens: groups.reduce((sum, { promptTokens }) => sum + promptTokens.length, 0),
    completionTokens: groups
      .flatMap(({ completions }) => completions)
      .reduce((sum, { tokens }) => sum + tokens.length, 0),
    reward: flat.reduce((sum, value) => sum + value, 0) / flat.length
  }
  send(result)
}
policy.dispose()
