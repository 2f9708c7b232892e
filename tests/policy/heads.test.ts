import { mkdtempSync, readdirSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { Policy, type HeadOptions, type Sequence } from '../../src/index.js'
import { writeTinyModel } from './tinyModel.js'

const model = writeTinyModel()
const load = (options: object = {}) => Policy.load(model, { dtype: 'float32', ...options })
const sequences: Sequence[] = [
  { promptTokens: [257, 10, 20], tokens: [30, 40, 50, 258] },
  { promptTokens: [257, 10, 20], tokens: [31, 7] },
  { promptTokens: [257, 99], tokens: [64, 32, 16] }
]
const weights = sequences.map(({ tokens }, row) => Float32Array.from(tokens, (_, at) => ((row * 3 + at) % 5) / 4 - 0.4))
const others = sequences.map(({ tokens }, row) => Float32Array.from(tokens, (_, at) => ((row + at * 2) % 3) / 2 - 0.3))
const dot = (left: Float32Array[], right: Float32Array[]): number =>
  left.reduce((sum, row, index) => sum + row.reduce((inner, value, at) => inner + value * right[index]![at]!, 0), 0)

async function withHead(options: HeadOptions, load_: object = {}): Promise<Policy> {
  const policy = await load(load_)
  await policy.addHead('value', { init: 'uniform', seed: 3, ...options })
  return policy
}

/** Σ weights · log-prob + Σ others · value (+ Σ others · log-sum-exp). */
async function objective(policy: Policy, logSumExps: boolean): Promise<number> {
  const scores = await policy.score(sequences, { heads: { value: { logSumExps } } })
  const head = scores.heads['value']!
  return dot(weights, scores.logProbs!) + dot(others, head.values) + (logSumExps ? dot(weights, head.logSumExps!) : 0)
}

const backward = (policy: Policy, logSumExps: boolean) =>
  policy.backward({
    sequences,
    logProbGradients: weights,
    heads: { value: { valueGradients: others, ...(logSumExps ? { logSumExpGradients: weights } : {}) } }
  })

describe('heads on the last hidden state', () => {
  it.each([
    ['one output', { outputs: 1 as const }, false],
    ['one per token', { outputs: 'vocabulary' as const }, true]
  ])('%s: gradients are those of central differences', async (_, options, logSumExps) => {
    using policy = await withHead(options)
    await backward(policy, logSumExps)
    for (const [name, picked] of [
      ['heads.value.weight', [0, 5, 31 * 16 + 2, 64 * 16 + 9]],
      ['heads.value.bias', [0, 31]],
      ['model.norm.weight', [1, 7]],
      ['model.layers.0.self_attn.q_proj.weight', [3, 77]],
      ['model.embed_tokens.weight', [10 * 16 + 1, 257 * 16 + 4]]
    ] as const) {
      const gradient = await policy.readParameter(name, 'gradient')
      const value = await policy.readParameter(name)
      for (const at of picked.filter((index) => index < value.length)) {
        const at_ = async (change: number) => {
          const data = value.slice()
          data[at]! += change
          await policy.writeParameters([{ name, data }])
          return objective(policy, logSumExps)
        }
        const step = 4e-3
        const expected = ((await at_(step)) - (await at_(-step))) / (2 * step)
        await policy.writeParameters([{ name, data: value }])
        expect(Math.abs(gradient[at]! - expected), `${name}[${at}]`).toBeLessThan(2e-3 * (1 + Math.abs(expected)))
      }
    }
  })

  it('the value of a token of the vocabulary is that of its row, and the log-sum-exp that over all', async () => {
    using policy = await withHead({ outputs: 'vocabulary' })
    const weight = await policy.readParameter('heads.value.weight')
    const each = await Promise.all(
      [30, 0, 258].map((token) => policy.headValues('value', [{ promptTokens: [257, 10, 20], tokens: [token] }]))
    )
    const all = await Promise.all(
      Array.from({ length: 259 }, (_, token) =>
        policy.headValues('value', [{ promptTokens: [257, 10, 20], tokens: [token] }])
      )
    )
    const { heads } = await policy.score(sequences, { logProbs: false, heads: { value: { logSumExps: true } } })
    expect(weight.length).toBe(259 * 16)
    expect(heads['value']!.values[0]![0]).toBe(each[0]![0]![0])
    const sum = all.reduce((total, [row]) => total + Math.exp(row![0]!), 0)
    expect(heads['value']!.logSumExps![0]![0]).toBeCloseTo(Math.log(sum), 5)
  })

  it('a value does not depend on the batch, nor on what else is asked for', async () => {
    using policy = await withHead({ outputs: 'vocabulary' })
    const together = await policy.score(sequences, { heads: { value: { logSumExps: true } } })
    for (const [row, sequence] of sequences.entries()) {
      expect(await policy.headValues('value', [sequence])).toEqual([together.heads['value']!.values[row]])
      const alone = await policy.score([sequence], { logProbs: false, heads: { value: { logSumExps: true } } })
      expect(alone.heads['value']!.logSumExps).toEqual([together.heads['value']!.logSumExps![row]])
    }
    expect(together.logProbs).toEqual(await policy.logProbs(sequences))
  })

  it('the summed squared probabilities are those of the logits', async () => {
    using policy = await load()
    const { sumPiSquared } = await policy.score(sequences, { sumPiSquared: true, temperature: 0.7 })
    const { data } = await policy.logits([257, 10, 20, 30])
    const row = Array.from(data.subarray(3 * 259, 4 * 259), (logit) => Math.exp(logit / 0.7))
    const total = row.reduce((sum, value) => sum + value, 0)
    const expected = row.reduce((sum, value) => sum + (value / total) ** 2, 0)
    expect(sumPiSquared![0]![1]).toBeCloseTo(expected, 6)
  })

  it('with stopGradient the trunk learns from log-probs alone, and the head as before', async () => {
    using open = await withHead({})
    using stopped = await withHead({ stopGradient: true })
    using without = await load()
    await backward(open, false)
    await backward(stopped, false)
    await without.backward({ sequences, logProbGradients: weights })
    const gradient = (policy: Policy, name: string) => policy.readParameter(name, 'gradient')
    const trunk = 'model.layers.1.mlp.down_proj.weight'
    expect(await gradient(stopped, trunk)).toEqual(await gradient(without, trunk))
    expect(await gradient(open, trunk)).not.toEqual(await gradient(without, trunk))
    expect(await gradient(stopped, 'heads.value.weight')).toEqual(await gradient(open, 'heads.value.weight'))
  })

  it('masked tokens give a head nothing, whatever their derivative', async () => {
    using policy = await withHead({})
    const masked = sequences.map((one) => ({ ...one, mask: Uint8Array.from(one.tokens, () => 0) }))
    const bad = sequences.map(({ tokens }) => new Float32Array(tokens.length).fill(NaN))
    await policy.backward({ sequences: masked, logProbGradients: bad, heads: { value: { valueGradients: bad } } })
    expect((await policy.readParameter('heads.value.weight', 'gradient')).every((value) => value === 0)).toBe(true)
  })

  it('stepHead learns a value alone: the trunk stays, and the error falls', async () => {
    using policy = await withHead({ init: 'zero', stopGradient: true })
    const trunk = await policy.readParameter('model.norm.weight')
    const zero = sequences.map(({ tokens }) => new Float32Array(tokens.length))
    let error = Infinity
    for (let step = 0; step < 200; step++) {
      const values = await policy.headValues('value', sequences)
      const differences = values.map((row, index) => row.map((value, at) => value - others[index]![at]!))
      error = dot(differences, differences)
      await policy.backward({ sequences, logProbGradients: zero, heads: { value: { valueGradients: differences } } })
      await policy.stepHead('value', { learningRate: 0.05 })
    }
    // Two completions begin in the same state with targets that lie 0.5 apart: their mean is the best there is.
    expect(error).toBeCloseTo(0.5 ** 2 / 2, 4)
    expect(await policy.readParameter('model.norm.weight')).toEqual(trunk)
    expect(policy.version).toBe(0)
  })

  it('blendHead moves a target towards its source', async () => {
    using policy = await withHead({})
    await policy.addHead('target', { trainable: false })
    await policy.blendHead('target', 'value', 0.25)
    const [source, target] = [
      await policy.readParameter('heads.value.weight'),
      await policy.readParameter('heads.target.weight')
    ]
    expect(Array.from(target)).toEqual(Array.from(source, (value) => Math.fround(0.25 * value)))
    await policy.addHead('actions', { outputs: 'vocabulary' })
    await expect(policy.blendHead('actions', 'value', 1)).rejects.toMatchObject({ code: 'ARGUMENT_INVALID' })
  })

  it.each([{}, { lora: { rank: 2 } }])(
    'saved and loaded, learning goes on with the same bits (%j)',
    async (options) => {
      const folder = join(mkdtempSync(join(tmpdir(), 'adjudge-heads-')), 'saved')
      const learn = async (policy: Policy) => {
        await backward(policy, true)
        await policy.stepHead('value', { learningRate: 0.01 })
        await policy.step({ learningRate: 0.01 })
      }
      using policy = await withHead({ outputs: 'vocabulary' }, options)
      await learn(policy)
      await policy.save(folder, { format: policy.hasAdapter ? 'peft' : 'transformers' })
      await policy.saveOptimizer(join(folder, 'optimizer.safetensors'))
      expect(readdirSync(join(folder, 'heads')).sort()).toEqual(['heads.json', 'heads.safetensors'])
      using other = policy.hasAdapter
        ? await load({ adapter: folder })
        : await Policy.load(folder, { dtype: 'float32' })
      await other.loadHeads(folder)
      await other.loadOptimizer(join(folder, 'optimizer.safetensors'))
      expect(other.heads).toEqual([{ name: 'value', outputs: 'vocabulary', stopGradient: false }])
      await learn(policy)
      await learn(other)
      for (const { name } of policy.parameters()) {
        expect(await other.readParameter(name), name).toEqual(await policy.readParameter(name))
      }
      const definitions = JSON.parse(readFileSync(join(folder, 'heads', 'heads.json'), 'utf8')) as { format: number }
      expect(definitions.format).toBe(1)
    }
  )

  it('what does not fit is refused with what to do', async () => {
    using policy = await withHead({})
    const refused = (promise: Promise<unknown>, text: string) =>
      expect(promise).rejects.toMatchObject({
        code: 'ARGUMENT_INVALID',
        message: expect.stringContaining(text) as string
      })
    await refused(policy.addHead('value'), 'already')
    await refused(policy.addHead('a/b'), 'letters')
    await refused(policy.addHead('two', { outputs: 2 as never }), 'outputs')
    await refused(policy.headValues('critic', sequences), 'known: value')
    await refused(policy.score(sequences, { heads: { value: { logSumExps: true } } }), 'no log-sum-exp')
    await refused(policy.blendHead('value', 'value', 2), 'rate')
    await expect(policy.loadHeads(model)).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' })
  })
})
