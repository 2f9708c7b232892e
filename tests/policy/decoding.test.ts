import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Policy, type GenerateOptions } from '../../src/policy/index.js'

const path = fileURLToPath(new URL('../../assets/policy', import.meta.url))
const prompts = ['Where is my lamp?', 'I want my money back.', 'Hello'].map((content) => ({
  messages: [{ role: 'user' as const, content }]
}))
const sampling: GenerateOptions = { n: 2, maxTokens: 10, seed: 3 }
let policy: Policy
beforeAll(async () => {
  policy = await Policy.load(path, { dtype: 'float32', trainable: false })
  for (const [seed, name] of ['target_q', 'twin_target_q'].entries()) {
    await policy.addHead(name, { outputs: 'vocabulary', init: 'uniform', seed })
  }
  await policy.addHead('value', { init: 'uniform', seed: 7 })
})
afterAll(() => policy.dispose())

/** log softmax((logits + beta · (min Q − V)) / temperature) of every token after a text, from other calls alone. */
async function shifted(tokens: number[], beta: number, temperature: number): Promise<number[]> {
  const { vocabulary } = policy.description
  const logits = (await policy.logits(tokens)).data.slice(-vocabulary)
  const next = Array.from({ length: vocabulary }, (_, token) => ({ promptTokens: tokens, tokens: [token] }))
  const [q, twin, value] = await Promise.all(
    ['target_q', 'twin_target_q', 'value'].map((name) => policy.headValues(name, next))
  )
  const scaled = Array.from(
    logits,
    (logit, token) => (logit + beta * (Math.min(q![token]![0]!, twin![token]![0]!) - value![token]![0]!)) / temperature
  )
  const largest = Math.max(...scaled)
  const sum = scaled.reduce((total, one) => total + Math.exp(one - largest), 0)
  return scaled.map((one) => one - largest - Math.log(sum))
}

describe('decoding with Q heads', () => {
  it.each([
    [1, 1],
    [3, 0.7],
    [-2, 1]
  ])('samples from logits + beta · (min Q − V): beta %d, temperature %d', async (beta, temperature) => {
    const [group] = await policy.generate(prompts.slice(0, 1), { ...sampling, temperature, decoding: { beta } })
    const { tokens, logProbs, samplingLogProbs } = group!.completions[0]!
    expect(samplingLogProbs).toEqual(logProbs)
    for (const at of [0, tokens.length - 1]) {
      const expected = await shifted([...group!.promptTokens, ...tokens.slice(0, at)], beta, temperature)
      expect(logProbs[at]).toBeCloseTo(expected[tokens[at]!]!, 4)
    }
    expect(group!.version).not.toBe(policy.version)
  })

  it('greedy takes the largest, top-k what is left of the shifted', async () => {
    for (const options of [{ temperature: 0 }, { temperature: 1, topK: 1 }]) {
      const [group] = await policy.generate(prompts.slice(0, 1), { ...sampling, ...options, decoding: { beta: 5 } })
      const { tokens } = group!.completions[0]!
      const expected = await shifted([...group!.promptTokens, ...tokens.slice(0, 2)], 5, 1)
      expect(tokens[2]).toBe(expected.indexOf(Math.max(...expected)))
    }
  })

  it('does not depend on the batch, and beta 0 is the policy alone', async () => {
    const all = async (options: GenerateOptions) =>
      (await policy.generate(prompts, { ...sampling, ...options })).map(({ completions }) => completions)
    const decoding = { beta: 2 }
    expect(await all({ decoding, maxBatch: 1 })).toEqual(await all({ decoding, maxBatch: 64 }))
    expect(await all({ decoding: { beta: 0 } })).toEqual(await all({}))
    expect(await all({ decoding })).not.toEqual(await all({}))
  })

  it('takes other heads by name; of one Q alone, that one', async () => {
    const [one] = await policy.generate(prompts, { ...sampling, decoding: { qHeads: ['twin_target_q'] } })
    const [both] = await policy.generate(prompts, { ...sampling, decoding: {} })
    expect(one!.completions[0]!.logProbs).not.toEqual(both!.completions[0]!.logProbs)
  })

  it('says which head is missing or of the wrong kind', async () => {
    const refused = (decoding: object, message: RegExp) =>
      expect(policy.generate(prompts, { decoding })).rejects.toThrow(message)
    await refused({ valueHead: 'v' }, /decoding: the policy has no head v \(heads: target_q, twin_target_q, value\)/)
    await refused({ qHeads: ['value'] }, /head value has outputs 1, expected vocabulary/)
    await refused({ qHeads: [] }, /decoding.qHeads: expected at least one/)
    await refused({ beta: Infinity }, /decoding.beta: expected a finite number/)
  })
})
