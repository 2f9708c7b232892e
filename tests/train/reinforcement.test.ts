import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { presetNames } from '../../src/index.js'
import type { RunState } from '../../src/train/checkpoint.js'
import { loadConfig, parseConfig, train, type TrainEvent } from '../../src/train/index.js'

const model = fileURLToPath(new URL('../../assets/policy', import.meta.url))

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'adjudge-reinforcement-'))
  const prompts = Array.from({ length: 10 }, (_, index) => JSON.stringify({ prompt: `Where is order ${index}?` }))
  writeFileSync(file('train.jsonl'), prompts.join('\n'))
  writeFileSync(file('vowels.mjs'), 'export default ({ completion }) => (completion.text.match(/e/g) ?? []).length')
  writeFileSync(file('long.mjs'), 'export default ({ completion }) => completion.text.length / 10')
})
afterEach(() => rmSync(folder, { recursive: true }))

const file = (name: string): string => join(folder, name)

interface Sections {
  [section: string]: unknown
}

function configure(more: Sections = {}, name = 'run'): void {
  const config = {
    name,
    model: { path: model, lora: { rank: 2 } },
    data: { train: 'train.jsonl' },
    rollout: { prompts: 2, completions: 4, max_tokens: 8 },
    rewards: [{ name: 'vowels', function: './vowels.mjs' }],
    optimizer: { learning_rate: 1e-3 },
    training: { steps: 2 },
    ...more
  }
  writeFileSync(file('run.yaml'), JSON.stringify(config))
}

async function run(options: { resume?: boolean; stopAt?: number } = {}): Promise<TrainEvent[]> {
  const stop = new AbortController()
  const seen: TrainEvent[] = []
  for await (const event of train(loadConfig(file('run.yaml')), { ...options, signal: stop.signal })) {
    seen.push(event)
    if (event.type === 'step' && event.step === options.stopAt) stop.abort()
  }
  return seen
}

async function metricsOf(more: Sections, name = 'run'): Promise<Record<string, number | null>[]> {
  configure(more, name)
  return (await run()).flatMap((event) => (event.type === 'step' ? [event.metrics] : []))
}

const checkpoint = (name: string, step: number, path: string): string =>
  file(`runs/${name}/checkpoints/step-${String(step).padStart(6, '0')}/${path}`)
const state = (name: string, step: number): RunState =>
  JSON.parse(readFileSync(checkpoint(name, step, 'state.json'), 'utf8')) as RunState

const vowels = { name: 'vowels', function: './vowels.mjs' }
const long = { name: 'long', function: './long.mjs' }

describe('presets in a run', () => {
  const sampled = presetNames.filter((name) => name !== 'exact')

  it(
    'all that sample learn, with old log-probs that differ from the policy’s in the second pass',
    { timeout: 60_000 },
    async () => {
      const runOf = async (preset: string): Promise<string | undefined> => {
        const [metrics] = await metricsOf(
          {
            rewards: preset.includes('gdpo') ? [vowels, long] : [long],
            algorithm: { preset },
            training: { steps: 1, iterations: 2, seed: 3 }
          },
          preset
        )
        const learned = metrics!['grad_norm']! > 0 && metrics!['loss'] !== null
        return learned ? undefined : preset
      }
      const failed: unknown[] = []
      for (let first = 0; first < sampled.length; first += 8) {
        failed.push(...(await Promise.all(sampled.slice(first, first + 8).map(runOf))))
      }
      expect(failed.filter((preset) => preset !== undefined)).toEqual([])
      expect(failed).toHaveLength(presetNames.length - 1)
    }
  )
})

describe('a run with a critic', () => {
  const ppo: Sections = {
    algorithm: { preset: 'ppo', kl: { coefficient: 0.02 } },
    value: { learning_rate: 0.02 },
    reward: { scale: { center: true, limit: 5 }, adaptive_kl: { target: 0.01, horizon: 100 } },
    training: { steps: 4, save_every: 2, iterations: 2, mini_batches: 2 }
  }

  it('resumed, comes to the same bits: policy, head, optimizers, running statistics and KL coefficient', async () => {
    configure(ppo)
    await run()
    cpSync(file('runs/run'), file('whole'), { recursive: true })
    rmSync(file('runs'), { recursive: true })
    await run({ stopAt: 3 })
    await run({ resume: true })
    for (const path of ['model/adapter_model.safetensors', 'model/heads/heads.safetensors', 'optimizer.safetensors']) {
      const whole = readFileSync(file(`whole/checkpoints/step-000004/${path}`))
      expect(readFileSync(checkpoint('run', 4, path)).equals(whole), path).toBe(true)
    }
    const { shaping } = state('run', 4)
    expect(shaping).toEqual(
      (JSON.parse(readFileSync(file('whole/checkpoints/step-000004/state.json'), 'utf8')) as RunState).shaping
    )
    expect(shaping!.statistics!.count).toBe(4 * 8)
    expect(shaping!.klCoefficient).not.toBe(0.02)
  })

  it('learns what the rewards are: the error of its values falls', async () => {
    const steps = await metricsOf({
      rollout: { prompts: 4, completions: 4, max_tokens: 8 },
      algorithm: { preset: 'ppo' },
      optimizer: { learning_rate: 1e-6 },
      value: { learning_rate: 0.05 },
      training: { steps: 12 }
    })
    const errors = steps.map((metrics) => metrics['value_loss']!)
    const mean = (values: number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length
    expect(mean(errors.slice(-3))).toBeLessThan(0.6 * mean(errors.slice(0, 2)))
    expect(steps.at(-1)).toMatchObject({
      value_grad_norm: expect.any(Number) as number,
      vf_clipfrac: expect.any(Number) as number,
      explained_variance: expect.any(Number) as number
    })
  })

  it('leaves the policy alone or not, as stop_gradient says', async () => {
    const adapter = async (name: string, value: object): Promise<Buffer> => {
      await metricsOf({ algorithm: { preset: 'ppo' }, value, training: { steps: 1, iterations: 2 } }, name)
      return readFileSync(checkpoint(name, 1, 'model/adapter_model.safetensors'))
    }
    // The head starts at 0, so that its gradient reaches below it from the second pass on.
    const stopped = await adapter('stopped', { coefficient: 0.5 })
    expect((await adapter('same', { coefficient: 5 })).equals(stopped)).toBe(true)
    expect((await adapter('open', { coefficient: 0.5, stop_gradient: false })).equals(stopped)).toBe(false)
  })

  it('goes on with the head that an earlier run exported', async () => {
    await metricsOf({ model: { path: model }, algorithm: { preset: 'ppo' }, training: { steps: 1 } }, 'first')
    const exported = checkpoint('first', 1, 'model')
    expect(existsSync(join(exported, 'heads', 'heads.json'))).toBe(true)
    const [metrics] = await metricsOf({ model: { path: exported }, algorithm: { preset: 'ppo' } }, 'second')
    expect(metrics!['value']).not.toBe(0)
  })
})

describe('rewards of a run', () => {
  it('remax subtracts the reward of the greedy answer, which is judged and counted', async () => {
    const [metrics] = await metricsOf({ algorithm: { preset: 'remax' }, training: { steps: 1 } })
    const lines = readFileSync(file('runs/run/rollouts/step-000001.jsonl'), 'utf8').trim().split('\n')
    const records = lines.map((line) => JSON.parse(line) as { reward: number; greedy_reward: number })
    const greedy = records.reduce((sum, record) => sum + record.greedy_reward, 0) / records.length
    expect(metrics!['reward/greedy']).toBeCloseTo(greedy, 6)
    expect(metrics!['judge/calls']).toBe(2 * 4 + 2)
  })

  it('a prompt whose greedy answer stays unscored teaches nothing', async () => {
    writeFileSync(
      file('vowels.mjs'),
      'export default ({ completion, group }) => (group.size === 1 ? null : completion.text.length)'
    )
    const [metrics] = await metricsOf({ algorithm: { preset: 'remax' }, training: { steps: 1 } })
    expect(metrics).toMatchObject({ grad_norm: 0, loss: 0 })
  })

  it('are clipped, penalised for length and repetition, and masked where cut', async () => {
    const reward = { clip: [0, 1], length: { free_tokens: 2, per_token: 0.1 }, repetition: { size: 1, factor: 0.5 } }
    const [metrics] = await metricsOf({ reward, training: { steps: 1 } })
    const lines = readFileSync(file('runs/run/rollouts/step-000001.jsonl'), 'utf8').trim().split('\n')
    const records = lines.map((line) => JSON.parse(line) as { reward: number; tokens: number })
    const least = records.map(({ reward, tokens }) => Math.min(1, reward) - 0.1 * Math.max(0, tokens - 2))
    const mean = least.reduce((sum, value) => sum + value, 0) / least.length
    expect(metrics!['reward/shaped']).toBeLessThanOrEqual(mean + 1e-6)
    expect(metrics!['reward/shaped']).toBeGreaterThan(mean - 0.5)
    const rollout = { prompts: 2, completions: 4, max_tokens: 2 }
    const [masked] = await metricsOf({ rollout, reward: { mask_truncated: true }, training: { steps: 1 } }, 'masked')
    expect(masked).toMatchObject({ 'completions/clipped_ratio': 1, grad_norm: 0 })
  })
})

describe('corrections of a run', () => {
  it('weigh what top_p has cut away, and nothing where all was sampled', async () => {
    const offPolicy = { preset: 'verl_decoupled_token_is' }
    const [whole] = await metricsOf({ off_policy: offPolicy, training: { steps: 1 } }, 'whole')
    expect(whole!['mismatch/kl']).toBe(0)
    expect(whole!['rollout_is_mean']).toBeCloseTo(1, 7)
    const rollout = { prompts: 2, completions: 4, max_tokens: 8, top_p: 0.6 }
    const [cut] = await metricsOf({ rollout, off_policy: offPolicy, training: { steps: 1 } }, 'cut')
    // The sampled tokens are likelier in the rollout than in training.
    expect(cut!['rollout_is_mean']).toBeLessThan(1)
    expect(cut!['mismatch/kl']).toBeGreaterThan(0)
    const rejection = [{ statistic: 'ratio', level: 'token', low: 0.9999 }]
    const [rejected] = await metricsOf({ rollout, off_policy: { rejection }, training: { steps: 1 } }, 'rejected')
    expect(rejected!['rollout_rs_masked_fraction']).toBeGreaterThan(0)
    expect(rejected!['grad_norm']).not.toBe(cut!['grad_norm'])
  })

  it('compare with the rollout itself in bypass mode', async () => {
    const rollout = { prompts: 2, completions: 4, max_tokens: 8, top_p: 0.6 }
    const bypass = { preset: 'verl_bypass_ppo_clip' }
    const [metrics] = await metricsOf({ rollout, off_policy: bypass, training: { steps: 1 } })
    expect(metrics!['ratio/mean']).toBeLessThan(1)
  })
})

describe('keys of reinforcement', () => {
  const least = `model: { path: m }
data: { train: train.jsonl }
rewards: [{ name: short, function: ./short.ts }]
`
  const problemOf = (yaml: string): string => {
    try {
      parseConfig(least + yaml)
      return 'no error'
    } catch (error) {
      return (error as Error).message
    }
  }

  it.each([
    ['value: { clip: 0.2 }', /value is for a critic, and grpo has none/],
    ['algorithm: { preset: ppo }\nvalue: { clip: -1 }', /run.yaml:5: value: "clip" is -1/],
    ['algorithm: { preset: ppo }\nvalue: { clipp: 1 }', /unknown key "clipp"; did you mean "clip"/],
    [
      'algorithm: { preset: ppo }\nvalue: { learning_rat: 1 }',
      /unknown key "learning_rat"; did you mean "learning_rate"/
    ],
    ['off_policy: { preset: verl_token_is }', /run.yaml:4: off_policy: unknown preset "verl_token_is"; did you mean/],
    ['reward: { clip: [1, 0] }', /reward.clip: expected the lowest reward, then the highest/],
    ['reward: { overlong: { cache_tokens: 200 } }', /cache_tokens is above the limit of 128 tokens/],
    ['reward: { adaptive_kl: {} }', /expected algorithm.kl: \{ in_reward: true/],
    ['reward: { cliff: 1 }', /cliff/],
    ['algorithm: { preset: gdpo }\nreward: { clip: [0, 1] }', /gdpo normalises each by itself/],
    ['training: { mini_batches: 17 }', /above rollout.prompts \(16\)/],
    ['algorithm: { preset: dpo }\nreward: { clip: [0, 1] }', /reward has no effect: dpo learns from comparisons/],
    ['algorithm: { preset: exact }\nrollout: { choices: [a, b] }\nvalue: {}', /value has no effect: the exact/]
  ])('%s is refused', (yaml, message) => {
    expect(problemOf(yaml + '\n')).toMatch(message)
  })

  it('may stand together', () => {
    expect(
      problemOf(`algorithm: { preset: ppo, kl: { coefficient: 0.05 } }
value: { preset: verl, clip: 0.5, stop_gradient: false }
off_policy: { preset: trl_sequence_mask, importance: { high: 2 } }
reward: { truncated: 0.5, clip: [-1, 1], scale: {}, overlong: { cache_tokens: 16 }, adaptive_kl: {} }
training: { iterations: 4, mini_batches: 4 }
`)
    ).toBe('no error')
  })
})
