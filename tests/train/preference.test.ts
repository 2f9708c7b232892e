import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { loadConfig, train, type Metrics } from '../../src/train/index.js'

const model = fileURLToPath(new URL('../../assets/policy', import.meta.url))
let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'adjudge-preference-'))
  const prompts = Array.from({ length: 10 }, (_, index) => JSON.stringify({ prompt: `Where is order ${index}?` }))
  writeFileSync(join(folder, 'train.jsonl'), prompts.join('\n'))
  writeFileSync(
    join(folder, 'vowels.mjs'),
    'export default ({ completion }) => (completion.text.match(/e/g) ?? []).length'
  )
  writeFileSync(join(folder, 'same.mjs'), 'export default () => 1')
})
afterEach(() => rmSync(folder, { recursive: true }))

function configure(algorithm: object, more: object = {}): string {
  const config = {
    model: { path: model },
    data: { train: 'train.jsonl' },
    rollout: { prompts: 4, completions: 8, max_tokens: 12 },
    rewards: [{ name: 'vowels', function: './vowels.mjs' }],
    algorithm,
    optimizer: { learning_rate: 1e-3 },
    training: { steps: 25, save_every: 100 },
    ...more
  }
  const path = join(folder, 'run.yaml')
  writeFileSync(path, JSON.stringify(config))
  return path
}

async function run(algorithm: object, more: object = {}, resume = false): Promise<Metrics[]> {
  const metrics: Metrics[] = []
  for await (const event of train(loadConfig(configure(algorithm, more)), { resume })) {
    if (event.type === 'step') metrics.push(event.metrics)
  }
  return metrics
}

const mean = (values: number[]): number => values.reduce((a, b) => a + b, 0) / values.length
const rise = (metrics: Metrics[]): number => {
  const rewards = metrics.map(({ reward }) => reward!)
  return mean(rewards.slice(-5)) - mean(rewards.slice(0, 5))
}

describe('a run that learns from judged pairs', () => {
  it.each([
    ['dpo', { preset: 'dpo' }],
    ['dpo on all pairs', { preset: 'dpo', pairs: 'all' }],
    ['ipo', { preset: 'ipo', pairs: 'adjacent' }],
    ['simpo', { preset: 'simpo' }],
    ['orpo', { preset: 'orpo', beta: 1 }],
    ['kto', { preset: 'kto', beta: 0.5 }]
  ])('raises what the judge prefers: %s', async (_, algorithm) => {
    const metrics = await run(algorithm)
    expect(rise(metrics)).toBeGreaterThan(0.4)
    expect(metrics[0]).toMatchObject({
      loss: expect.any(Number),
      'rewards/chosen': expect.any(Number),
      'rewards/rejected': expect.any(Number),
      'rewards/margins': expect.any(Number),
      'logps/chosen': expect.any(Number)
    })
  })

  it('starts at the reference: the loss is log 2, all rewards are 0, with all weights and with an adapter', async () => {
    for (const lora of [{}, { lora: { rank: 4 } }]) {
      const more = { name: 'lora' in lora ? 'a' : 'b', model: { path: model, ...lora }, training: { steps: 3 } }
      const metrics = await run({ preset: 'dpo' }, { ...more, optimizer: { learning_rate: 0.01 } })
      expect(metrics[0]!['loss']).toBeCloseTo(Math.LN2, 5)
      expect(metrics[0]).toMatchObject({ pairs: expect.any(Number), ties: expect.any(Number), unscored: 0 })
      expect(metrics[0]!['rewards/chosen']).toBeCloseTo(0, 5)
      // The reference stays where it was.
      expect(Math.abs(metrics[2]!['rewards/chosen']!)).toBeGreaterThan(1e-3)
    }
  })

  it('resumed, goes on from the same reference', async () => {
    const more = { model: { path: model, lora: { rank: 4 } }, training: { steps: 4, save_every: 2 } }
    const whole = await run({ preset: 'dpo' }, { ...more, name: 'whole' })
    await run({ preset: 'dpo' }, { ...more, name: 'parts', training: { steps: 2, save_every: 2 } })
    const rest = await run({ preset: 'dpo' }, { ...more, name: 'parts' }, true)
    const numbers = (metrics: Metrics[]) => metrics.map((one) => [one['loss'], one['rewards/margins']])
    expect(numbers(rest)).toEqual(numbers(whole.slice(2)))
  })

  it('where nothing can be compared, says so and learns nothing', async () => {
    const same = { rewards: [{ name: 'same', function: './same.mjs' }], training: { steps: 2 } }
    const metrics = await run({ preset: 'dpo' }, same)
    expect(metrics[1]).toMatchObject({ loss: null, pairs: 0, ties: 4, frac_reward_zero_std: 1, grad_norm: 0 })
  })

  it('names the key that is wrong', () => {
    const load =
      (algorithm: object, more: object = {}) =>
      () =>
        loadConfig(configure(algorithm, more))
    expect(load({ preset: 'dpo', bata: 1 })).toThrow(/unknown key "bata"; did you mean "beta"/)
    expect(load({ preset: 'simpoo' })).toThrow(/unknown preset "simpoo"; did you mean "simpo"/)
    expect(load({ preset: 'dpo', pairs: 'worst' })).toThrow(/"pairs" is "worst", expected one of best_worst/)
    expect(load({ preset: 'dpo', min_margin: -1 })).toThrow(/"min_margin" is -1/)
    expect(load({ preset: 'kto', threshold: 'high' })).toThrow(/"threshold" is "high"/)
    expect(load({ preset: 'bradley_terry' })).toThrow(/trains a reward model/)
    expect(load({ preset: 'dpo' }, { rollout: { completions: 1 } })).toThrow(/rollout.completions of at least 2/)
    expect(load({ preset: 'kto' }, { rollout: { prompts: 1 } })).toThrow(/rollout.prompts of at least 2/)
    expect(load({ preset: 'dpo' }, { rollout: { choices: ['a', 'b'] } })).toThrow(/compares samples/)
    expect(load({ preset: 'dpo' }, { rewards: [] })).toThrow(/rewards is missing/)
  })
})
