import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createJudge, type NativeScorer, type Rubric } from '../../src/judge/index.js'
import { Policy } from '../../src/policy/index.js'
import { writeTinyModel } from '../policy/tinyModel.js'

const rubric: Rubric = { aim: 'Replies', scale: { low: 1, high: 5, anchors: { 1: 'rude', 5: 'polite and complete' } } }
const inputs = ['no', 'thank you, it is on its way', 'why?', 'thank you'].map((completion, index) => ({
  messages: [{ role: 'user' as const, content: `Where is parcel ${index}?` }],
  completion
}))

let policy: Policy
beforeAll(async () => {
  const folder = writeTinyModel()
  const config = join(folder, 'config.json')
  writeFileSync(
    config,
    readFileSync(config, 'utf8').replace('"max_position_embeddings":64', '"max_position_embeddings":4096')
  )
  policy = await Policy.load(folder, { trainable: false })
})
afterAll(() => policy.dispose())

describe('a native judge over a policy', () => {
  it('prefills the rubric once, for the same verdicts to the last bit', async () => {
    const sizes: { prefixes: number[]; given: number } = { prefixes: [], given: 0 }
    const common = { renderChat: policy.renderChat.bind(policy), tokenizer: policy.tokenizer }
    const watched: NativeScorer = {
      ...common,
      prefix: async (tokens) => {
        sizes.prefixes.push(tokens.length)
        return policy.prefix(tokens)
      },
      choiceLogProbs: (prompts, choices, options) => {
        if (options?.prefix) sizes.given += prompts.length
        return policy.choiceLogProbs(prompts, choices, options as object)
      }
    }
    const plain: NativeScorer = {
      ...common,
      choiceLogProbs: (prompts, choices) =>
        policy.choiceLogProbs(
          prompts.map(({ text }) => ({ text })),
          choices
        )
    }
    const verdicts = await Promise.all(
      [watched, plain].map(async (model) => {
        const judge = await createJudge({ provider: 'native', model, rubric })
        const scored = await judge.scoreAll(inputs)
        await judge.close()
        return scored.map(({ score, distribution, mass, usage, detail }) => ({
          score,
          distribution,
          mass,
          usage,
          detail
        }))
      })
    )
    expect(verdicts[0]).toEqual(verdicts[1])
    expect(verdicts[0]!.every(({ score }) => score !== null)).toBe(true)
    // The first prompt goes alone: whether others begin like it is not known yet.
    expect(sizes.given).toBe(inputs.length - 1)
    expect(sizes.prefixes).toHaveLength(1)
    const whole = verdicts[0]![0]!.usage.inputTokens
    expect(sizes.prefixes[0]).toBeGreaterThan(whole / 3)
    expect(sizes.prefixes[0]).toBeLessThan(whole)
  })
})
