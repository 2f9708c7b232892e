import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { preferencePresetNames, presetNames } from '../../src/index.js'
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

describe('presets in a run', () => {
  const sampled = presetNames.filter((name) => name !== 'exact')
  it.each(sampled)('%s takes two steps', { timeout: 30_000 }, async (preset) => {
    const two = [
      { name: 'vowels', function: './vowels.mjs' },
      { name: 'long', function: './long.mjs' }
    ]
    const steps = await metricsOf({
      rewards: preset.includes('gdpo') ? two : two.slice(0, 1),
      algorithm: { preset },
      training: { steps: 2, iterations: 2 }
    })
    expect(steps).toHaveLength(2)
    for (const metrics of steps) {
      expect(metrics['loss']).toEqual(expect.any(Number))
      expect(metrics['grad_norm']).toBeGreaterThanOrEqual(0)
    }
    expect(steps.some((metrics) => metrics['grad_norm']! > 0)).toBe(true)
  })

  it('every other one is of comparisons, or exact', () => {
    expect(sampled.filter((name) => preferencePresetNames.includes(name))).toEqual([])
    expect(presetNames).toHaveLength(sampled.length + 1)
  })
})
