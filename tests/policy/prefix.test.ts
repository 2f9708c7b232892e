import { afterAll, describe, expect, it } from 'vitest'
import { Policy, type Sequence } from 'adjudge'
import { writeTinyModel } from './tinyModel.js'

const folder = writeTinyModel()
const loaded: Policy[] = []
afterAll(() => loaded.forEach((policy) => policy.dispose()))

async function load(dtype: 'float32' | 'bfloat16', lora = false): Promise<Policy> {
  const policy = await Policy.load(folder, { dtype, threads: 2, ...(lora ? { lora: { rank: 2 } } : {}) })
  loaded.push(policy)
  return policy
}

const beginning = 'judge whether it is polite: '
const rests = ['a', 'short text', 'a text longer than that']

/** Prompts with the beginning, one of them twice, and one without. */
function sequencesOf(policy: Policy): Sequence[] {
  const encode = (text: string) => policy.tokenizer.encode(text)
  const prompts = [...rests.map((rest) => beginning + rest), 'something else', beginning + rests[0]!]
  return prompts.map((text, index) => ({ promptTokens: encode(text), tokens: encode(`reply ${index}`) }))
}

describe.each(['float32', 'bfloat16'] as const)('a prefilled prefix in %s', (dtype) => {
  it('changes no bit of what is scored', async () => {
    const policy = await load(dtype)
    const sequences = sequencesOf(policy)
    const prefix = await policy.prefix(policy.tokenizer.encode(beginning))
    expect(sequences.map(({ promptTokens }) => prefix.begins(promptTokens))).toEqual([true, true, true, false, true])
    const options = { entropies: true, sumPiSquared: true, temperature: 0.7 }
    expect(await policy.score(sequences, { ...options, prefix })).toEqual(await policy.score(sequences, options))
    const prompts = sequences.map(({ promptTokens }) => ({ tokens: promptTokens }))
    const choices = ['1', '2', 'ten']
    expect(await policy.choiceLogProbs(prompts, choices, { prefix })).toEqual(
      await policy.choiceLogProbs(prompts, choices)
    )
  })

  it('changes no token of what is generated', async () => {
    const policy = await load(dtype)
    const prompts = rests.map((rest) => ({ text: beginning + rest }))
    const prefix = await policy.prefix(policy.tokenizer.encode(beginning))
    const options = { n: 2, maxTokens: 10, seed: 3, repetitionPenalty: 1.2 }
    expect(await policy.generate(prompts, { ...options, prefix })).toEqual(await policy.generate(prompts, options))
  })
})

describe('a prefilled prefix', () => {
  it('is prefilled anew once the weights have changed', async () => {
    const policy = await load('float32')
    const sequences = sequencesOf(policy)
    const prefix = await policy.prefix(policy.tokenizer.encode(beginning))
    const before = await policy.logProbs(sequences, { prefix })
    const name = 'model.layers.0.self_attn.k_proj.weight'
    const data = await policy.readParameter(name)
    await policy.writeParameters([{ name, data: data.map((value) => value * 1.5) }])
    const after = await policy.logProbs(sequences, { prefix })
    expect(after).not.toEqual(before)
    expect(after).toEqual(await policy.logProbs(sequences))
  })

  it('belongs to one model and one side of its adapter', async () => {
    const policy = await load('float32', true)
    const sequences = sequencesOf(policy)
    const tokens = policy.tokenizer.encode(beginning)
    const base = await policy.prefix(tokens, { adapter: false })
    const wrong = expect.objectContaining({ code: 'ARGUMENT_INVALID' }) as Error
    await expect(policy.logProbs(sequences, { prefix: base })).rejects.toEqual(wrong)
    expect(await policy.logProbs(sequences, { prefix: base, adapter: false })).toEqual(
      await policy.logProbs(sequences, { adapter: false })
    )
    const foreign = await (await load('float32')).prefix(tokens)
    await expect(policy.logProbs(sequences, { prefix: foreign })).rejects.toEqual(wrong)
  })

  it('refuses no tokens, and prompts to answer that do not begin with it', async () => {
    const policy = await load('float32')
    await expect(policy.prefix([])).rejects.toMatchObject({ code: 'ARGUMENT_INVALID' })
    await expect(policy.prefix([1e6])).rejects.toMatchObject({ code: 'ARGUMENT_INVALID' })
    const prefix = await policy.prefix(policy.tokenizer.encode(beginning))
    await expect(policy.generate([{ text: 'something else' }], { prefix })).rejects.toThrow(/prompts\[0\].*prefix/)
    await expect(policy.generate([{ text: beginning }], { prefix })).rejects.toMatchObject({ code: 'ARGUMENT_INVALID' })
  })
})
