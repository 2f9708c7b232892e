import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { RunState } from '../../src/train/checkpoint.js'
import { loadConfig, train, type TrainEvent } from '../../src/train/index.js'

const model = fileURLToPath(new URL('../../assets/policy', import.meta.url))

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'adjudge-run-'))
  const prompts = Array.from({ length: 10 }, (_, index) => JSON.stringify({ prompt: `Where is order ${index}?` }))
  writeFileSync(file('train.jsonl'), prompts.join('\n'))
  writeFileSync(file('vowels.mjs'), 'export default ({ completion }) => (completion.text.match(/e/g) ?? []).length')
})
afterEach(() => rmSync(folder, { recursive: true }))

const file = (name: string): string => join(folder, name)

function configure(more: object = {}): void {
  const config = {
    model: { path: model, lora: { rank: 4 } },
    data: { train: 'train.jsonl', test: 'train.jsonl' },
    rollout: { prompts: 2, completions: 4, max_tokens: 12 },
    rewards: [{ name: 'vowels', function: './vowels.mjs' }],
    algorithm: { preset: 'reinforce' },
    training: { steps: 4, save_every: 2 },
    ...more
  }
  writeFileSync(file('run.yaml'), JSON.stringify(config))
}

async function events(set: string[] = [], options: { resume?: boolean; stopAt?: number } = {}): Promise<TrainEvent[]> {
  const stop = new AbortController()
  const seen: TrainEvent[] = []
  for await (const event of train(loadConfig(file('run.yaml'), set), { ...options, signal: stop.signal })) {
    seen.push(event)
    if (event.type === 'step' && event.step === options.stopAt) stop.abort()
  }
  return seen
}

const kinds = (seen: TrainEvent[]): string[] => seen.map(({ type }) => type)
const lines = (path: string): Record<string, unknown>[] =>
  readFileSync(file(path), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>)
const weights = (path: string): Buffer =>
  readFileSync(file(`${path}/checkpoints/step-000004/model/adapter_model.safetensors`))

describe('a training run', () => {
  it('tells its steps, evaluations and checkpoints, and leaves them in its folder', async () => {
    configure({ evaluation: { every: 4, items: 3 } })
    const seen = await events()
    expect(kinds(seen)).toEqual([
      ...['start', 'evaluation', 'step', 'step', 'checkpoint', 'step', 'step', 'checkpoint', 'evaluation', 'done']
    ])
    expect(seen.at(-1)).toMatchObject({ reason: 'finished', step: 4, folder: file('runs/run') })
    const metrics = lines('runs/run/metrics.jsonl')
    expect(metrics.map(({ step }) => step)).toEqual([0, 1, 2, 3, 4, 4])
    expect(metrics[1]).toMatchObject({
      reward: expect.any(Number),
      frac_reward_zero_std: expect.any(Number),
      'rewards/vowels/mean': expect.any(Number),
      'completions/mean_length': expect.any(Number),
      'ratio/mean': 1
    })
    expect(lines('runs/run/rollouts/step-000001.jsonl')).toHaveLength(8)
    expect(lines('runs/run/evaluations/step-000004.jsonl')).toHaveLength(3)
    expect(readdirSync(file('runs/run/checkpoints'))).toEqual(['step-000002', 'step-000004'])
  })

  it('raises the reward that it is trained on', async () => {
    configure({
      model: { path: model },
      rollout: { prompts: 4, completions: 8, max_tokens: 12 },
      optimizer: { learning_rate: 2e-3 },
      training: { steps: 25, save_every: 100 }
    })
    const rewards = (await events()).flatMap((event) => (event.type === 'step' ? [event.metrics['reward']!] : []))
    const mean = (values: number[]): number => values.reduce((a, b) => a + b, 0) / values.length
    expect(mean(rewards.slice(-5))).toBeGreaterThan(mean(rewards.slice(0, 5)) + 0.5)
  })

  it('resumed, comes to the same bits as one that was not interrupted', async () => {
    configure()
    await events()
    cpSync(file('runs/run'), file('whole'), { recursive: true })
    rmSync(file('runs'), { recursive: true })
    const first = await events([], { stopAt: 3 })
    // What a killed process leaves half-written.
    mkdirSync(file('runs/run/checkpoints/step-000004.partial'))
    writeFileSync(file('runs/run/rollouts/step-000004.jsonl.77.part'), '{')
    expect(kinds(first).slice(-2)).toEqual(['checkpoint', 'done'])
    expect(first.at(-1)).toMatchObject({ reason: 'stopped', step: 3 })
    const second = await events([], { resume: true })
    expect(second[0]).toMatchObject({ type: 'start', step: 3 })
    expect(weights('runs/run').equals(weights('whole'))).toBe(true)
    const left = readdirSync(file('runs/run'), { recursive: true, encoding: 'utf8' })
    expect(left.filter((name) => name.includes('part'))).toEqual([])
    const numbers = (path: string): unknown[] =>
      lines(`${path}/metrics.jsonl`).map(({ step, reward, loss }) => [step, reward, loss])
    expect(numbers('runs/run')).toEqual(numbers('whole'))
  })

  it('resumed on another processor, goes on in the number format it began with', async () => {
    configure({ training: { steps: 2, save_every: 1, keep: 9 } })
    await events()
    cpSync(file('runs/run'), file('first'), { recursive: true })
    // As if the run had begun where auto means the other one.
    const state = JSON.parse(readFileSync(file('first/checkpoints/step-000001/state.json'), 'utf8')) as RunState
    const other = state.dtype === 'float32' ? 'bfloat16' : 'float32'
    const second = async (dtype: string): Promise<Buffer> => {
      rmSync(file('runs/run'), { recursive: true })
      cpSync(file('first'), file('runs/run'), { recursive: true })
      rmSync(file('runs/run/checkpoints/step-000002'), { recursive: true })
      writeFileSync(file('runs/run/checkpoints/step-000001/state.json'), JSON.stringify({ ...state, dtype }))
      await events([], { resume: true })
      return readFileSync(file('runs/run/checkpoints/step-000002/model/adapter_model.safetensors'))
    }
    const expected = readFileSync(file('first/checkpoints/step-000002/model/adapter_model.safetensors'))
    expect((await second(state.dtype)).equals(expected)).toBe(true)
    expect((await second(other)).equals(expected)).toBe(false)
  })

  it('does not go on by accident, nor with another configuration', async () => {
    configure()
    await events(['training.steps=1'])
    await expect(events()).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining('--resume')
    })
    await expect(events(['rollout.temperature=0.5'], { resume: true })).rejects.toMatchObject({
      code: 'CHECKPOINT_INVALID',
      message: expect.stringContaining('other values of rollout')
    })
  })

  it('stops with a message where nothing is scored, before anything is learned', async () => {
    writeFileSync(file('vowels.mjs'), 'export default () => "good"')
    configure()
    await expect(events()).rejects.toMatchObject({
      code: 'ALL_UNSCORED',
      message: expect.stringMatching(/none of the 8 completions[^]*vowels: function_error 8; the first one says/)
    })
    expect(readdirSync(file('runs/run'))).not.toContain('metrics.jsonl')
  })

  it('saves what was learned when a later step fails', async () => {
    writeFileSync(
      file('vowels.mjs'),
      'let calls = 0; export default ({ completion }) => (++calls > 8 ? null : completion.text.length)'
    )
    configure()
    await expect(events()).rejects.toMatchObject({ code: 'ALL_UNSCORED' })
    expect(readdirSync(file('runs/run/checkpoints'))).toEqual(['step-000001'])
  })

  it('names file and line of a prompt that is too long', async () => {
    writeFileSync(file('train.jsonl'), JSON.stringify({ prompt: 'Where is it? '.repeat(300) }))
    configure()
    await expect(events()).rejects.toMatchObject({
      code: 'CONTEXT_EXCEEDED',
      message: expect.stringMatching(/train\.jsonl:1: the prompt has \d+ tokens/)
    })
  })

  it('learns from given answers (sft): the loss on them falls', async () => {
    const turns = [
      { role: 'user', content: 'Where is my order?' },
      { role: 'assistant', content: 'On its way, thank you.' }
    ]
    writeFileSync(file('train.jsonl'), JSON.stringify({ messages: turns }))
    configure({
      model: { path: model },
      rewards: [],
      algorithm: { preset: 'sft' },
      data: { train: 'train.jsonl' },
      rollout: { prompts: 1 },
      optimizer: { learning_rate: 1e-3 },
      training: { steps: 10 }
    })
    const losses = (await events()).flatMap((event) => (event.type === 'step' ? [event.metrics['loss']!] : []))
    expect(losses[9]).toBeLessThan(losses[0]! * 0.5)
  })
})
