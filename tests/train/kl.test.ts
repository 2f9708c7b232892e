import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { loadConfig, train, type Metrics } from '../../src/train/index.js'

const model = fileURLToPath(new URL('../../assets/policy', import.meta.url))
let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'adjudge-kl-'))
  const prompts = Array.from({ length: 6 }, (_, index) => JSON.stringify({ prompt: `Where is order ${index}?` }))
  writeFileSync(join(folder, 'train.jsonl'), prompts.join('\n'))
  writeFileSync(
    join(folder, 'vowels.mjs'),
    'export default ({ completion }) => (completion.text.match(/e/g) ?? []).length'
  )
})
afterEach(() => rmSync(folder, { recursive: true }))

async function run(name: string, coefficient: number, lora: object, resume = false, steps = 6): Promise<Metrics[]> {
  const config = {
    name,
    model: { path: model, ...lora },
    data: { train: 'train.jsonl' },
    rollout: { prompts: 2, completions: 6, max_tokens: 10 },
    rewards: [{ name: 'vowels', function: './vowels.mjs' }],
    algorithm: { preset: 'reinforce', kl: { kind: 'k3', coefficient } },
    optimizer: { learning_rate: 'lora' in lora ? 0.01 : 2e-3 },
    training: { steps, save_every: 3 }
  }
  writeFileSync(join(folder, 'run.yaml'), JSON.stringify(config))
  const metrics: Metrics[] = []
  for await (const event of train(loadConfig(join(folder, 'run.yaml')), { resume })) {
    if (event.type === 'step') metrics.push(event.metrics)
  }
  return metrics
}

describe.each([
  ['all weights, against a frozen copy', {}],
  ['an adapter, against the model without it', { lora: { rank: 4 } }]
])('KL to the reference: %s', (_, lora) => {
  it('is 0 before the first step, grows with training, and a large coefficient holds the policy near', async () => {
    const free = await run('free', 1e-6, lora)
    const held = await run('held', 10, lora)
    expect(free[0]!['kl']).toBeCloseTo(0, 6)
    expect(free[5]!['kl']).toBeGreaterThan(0.02)
    expect(held[0]!['kl']).toBeCloseTo(0, 6)
    expect(held[5]!['kl']).toBeLessThan(free[5]!['kl']! / 2)
  })

  it('is measured against the same reference after a resume', async () => {
    const whole = await run('whole', 0.1, lora)
    await run('parts', 0.1, lora, false, 3)
    const rest = await run('parts', 0.1, lora, true)
    expect(rest.map(({ kl }) => kl)).toEqual(whole.slice(3).map(({ kl }) => kl))
  })
})
