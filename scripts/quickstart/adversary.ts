/**
 * Replies of policies that learn from the judge as it is, with their true scores. A policy finds what its judge wrongly
 * likes; trained on that too, the judge is not fooled by it again.
 */
import { join } from 'node:path'
import { createJudge } from '../../src/judge/index.js'
import { Policy } from '../../src/policy/policy.js'
import { checkReply, Random, writeMessage } from '../../src/tasks/replies/index.js'
import { mean } from './agreement.js'
import type { Judged } from './text.js'

export interface AdversaryOptions {
  assets: string
  seeds: number[]
  steps: number
  threads: number
}

export async function adversaries({ assets, seeds, steps, threads }: AdversaryOptions): Promise<Judged[]> {
  const pool: Judged[] = []
  const judge = await createJudge({
    provider: 'native',
    model: join(assets, 'judge'),
    rubric: join(assets, 'rubric.yaml')
  })
  try {
    for (const seed of seeds) {
      using policy = await Policy.load(join(assets, 'policy'), { threads })
      const random = new Random(seed)
      for (let step = 1; step <= steps; step++) {
        const messages = Array.from({ length: 8 }, () => writeMessage(random, 'train'))
        const conversations = messages.map(({ text }) => [{ role: 'user' as const, content: text }])
        const groups = await policy.generate(
          conversations.map((messages) => ({ messages })),
          { n: 8, maxTokens: 96, seed: seed * 1000 + step }
        )
        const rewards = await Promise.all(
          groups.map(async ({ completions }, group) => {
            const inputs = completions.map(({ text }) => ({ messages: conversations[group]!, completion: text }))
            return (await judge.scoreAll(inputs)).map(({ score }) => score)
          })
        )
        await policy.backward({ groups, rewards, algorithm: 'grpo' })
        await policy.step({ learningRate: 4e-4 * Math.min(1, step / 3), clipNorm: 1 })
        const sampled = groups.flatMap(({ completions }, group) =>
          completions.map(({ text }): Judged => {
            const message = messages[group]!
            return { message, text, score: checkReply(message, text).score, kind: 'sampled' }
          })
        )
        pool.push(...sampled)
        if (step % 10 === 0) {
          const judged = mean(rewards.flat().map((score) => score ?? 1))
          const truth = mean(sampled.map(({ score }) => score))
          console.log(`adversary ${seed}  step ${step}/${steps}  judge ${judged.toFixed(2)}  truth ${truth.toFixed(2)}`)
        }
      }
    }
  } finally {
    await judge.close()
  }
  return pool
}
