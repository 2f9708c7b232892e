import { existsSync, readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { Policy } from 'adjudge'
import { temporaryFolder, tinyConfig, writeTinyModel } from './tinyModel.js'

const folder = writeTinyModel()
const text = 'how are you'

async function logitsOf(policy: Policy): Promise<Float32Array> {
  return (await policy.logits(policy.tokenizer.encode(text))).data
}

async function train(policy: Policy): Promise<void> {
  const tokens = policy.tokenizer.encode(text)
  const sequences = [{ promptTokens: tokens.slice(0, 2), tokens: tokens.slice(2) }]
  for (let step = 0; step < 3; step++) {
    await policy.backward({ sequences, logProbGradients: [Array.from(tokens.slice(2), () => -1)] })
    await policy.step({ learningRate: 1e-2 })
  }
}

describe('saving and loading', () => {
  it('gives full weights back with the same bits, tokenizer and template', async () => {
    const policy = await Policy.load(folder)
    await train(policy)
    const saved = join(temporaryFolder(), 'saved')
    await policy.save(saved)
    const again = await Policy.load(saved)
    expect(await logitsOf(again)).toEqual(await logitsOf(policy))
    const messages = [{ role: 'user' as const, content: 'hi' }]
    expect(again.renderChat(messages)).toBe('<|start|>user:hi<|end|><|start|>assistant:')
    policy.dispose()
    again.dispose()
  })

  it('gives an adapter back with the same bits, and merges it', async () => {
    // In bfloat16 a merged weight is rounded as a whole, and the two differ by that.
    const dtype = 'float32'
    const policy = await Policy.load(folder, {
      dtype,
      lora: { rank: 3, alpha: 5, targetModules: ['q_proj', 'down_proj'] }
    })
    await train(policy)
    const root = temporaryFolder()
    await policy.save(join(root, 'adapter'), { format: 'peft' })
    const config = JSON.parse(readFileSync(join(root, 'adapter', 'adapter_config.json'), 'utf8')) as Record<
      string,
      unknown
    >
    expect(config).toMatchObject({ peft_type: 'LORA', r: 3, lora_alpha: 5 })
    await policy.save(join(root, 'merged'))
    await policy.save(join(root, 'base'), { merged: false })
    const logits = await logitsOf(policy)
    const adapted = await Policy.load(folder, { dtype, adapter: join(root, 'adapter') })
    const merged = await Policy.load(join(root, 'merged'), { dtype })
    const base = await Policy.load(join(root, 'base'), { dtype })
    const original = await Policy.load(folder, { dtype })
    expect(await logitsOf(adapted)).toEqual(logits)
    expect(await logitsOf(base)).toEqual(await logitsOf(original))
    const difference = (await logitsOf(merged)).map((value, index) => Math.abs(value - logits[index]!))
    expect(Math.max(...difference)).toBeLessThan(1e-4)
    expect(await logitsOf(base)).not.toEqual(logits)
    for (const one of [policy, adapted, merged, base, original]) one.dispose()
  })

  it('goes on from a saved optimizer to the same bits', async () => {
    const policy = await Policy.load(folder)
    await train(policy)
    const root = temporaryFolder()
    await policy.save(join(root, 'model'))
    await policy.saveOptimizer(join(root, 'optimizer.safetensors'))
    const resumed = await Policy.load(join(root, 'model'))
    await resumed.loadOptimizer(join(root, 'optimizer.safetensors'))
    await train(policy)
    await train(resumed)
    expect(await logitsOf(resumed)).toEqual(await logitsOf(policy))
    const adapted = await Policy.load(folder, { lora: {} })
    await expect(adapted.loadOptimizer(join(root, 'optimizer.safetensors'))).rejects.toMatchObject({
      code: 'CHECKPOINT_INVALID'
    })
    for (const one of [policy, resumed, adapted]) one.dispose()
  })
})

describe('errors', () => {
  const load = async (change: (folder: string) => void) => {
    const copy = writeTinyModel()
    change(copy)
    return Policy.load(copy)
  }

  it('name what is missing, unknown or cut off', async () => {
    await expect(Policy.load('/nowhere/at/all')).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' })
    await expect(
      load((at) => writeFileSync(join(at, 'config.json'), JSON.stringify({ ...tinyConfig, model_type: 'mamba' })))
    ).rejects.toMatchObject({ code: 'UNSUPPORTED_FAMILY', message: expect.stringContaining('mamba') as string })
    await expect(
      load((at) => writeFileSync(join(at, 'config.json'), JSON.stringify({ ...tinyConfig, intermediate_size: 32 })))
    ).rejects.toMatchObject({ message: expect.stringContaining('mlp') as string })
    await expect(load((at) => truncateSync(join(at, 'model.safetensors'), 5000))).rejects.toMatchObject({
      code: 'SAFETENSORS_INVALID'
    })
    await expect(load((at) => writeFileSync(join(at, 'tokenizer.json'), '{"model": 1}'))).rejects.toMatchObject({
      code: 'TOKENIZER_INVALID'
    })
    await expect(Policy.load(folder, { dtype: 'float16' as 'float32' })).rejects.toMatchObject({
      code: 'ARGUMENT_INVALID',
      message: expect.stringContaining('"auto", "float32" or "bfloat16"') as string
    })
    await expect(Policy.load(folder, { lora: { targetModules: ['w_proj'] } })).rejects.toMatchObject({
      code: 'ARGUMENT_INVALID'
    })
  })

  it('answer calls that cannot be met', async () => {
    const policy = await Policy.load(folder, { trainable: false })
    const long = Array.from({ length: 65 }, () => 1)
    await expect(policy.generate([{ tokens: long }])).rejects.toMatchObject({ code: 'CONTEXT_EXCEEDED' })
    await expect(policy.logProbs([{ promptTokens: [1], tokens: long }])).rejects.toMatchObject({
      code: 'CONTEXT_EXCEEDED'
    })
    await expect(policy.logits([259])).rejects.toMatchObject({ code: 'ARGUMENT_INVALID' })
    await expect(policy.generate([{ text: 'a' }], { temperature: -1 })).rejects.toMatchObject({
      code: 'ARGUMENT_INVALID'
    })
    await expect(policy.step()).rejects.toMatchObject({ code: 'NOT_TRAINABLE' })
    await expect(policy.save(join(temporaryFolder(), 'x'), { format: 'peft' })).rejects.toMatchObject({
      code: 'ARGUMENT_INVALID'
    })
    const file = join(temporaryFolder(), 'file')
    writeFileSync(file, '')
    await expect(policy.save(join(file, 'under'))).rejects.toMatchObject({ code: 'FILE_UNWRITABLE' })
    expect(existsSync(join(file, 'under'))).toBe(false)
    policy.dispose()
    policy.dispose()
    await expect(policy.logits([1])).rejects.toMatchObject({ code: 'DISPOSED' })
  })
})
