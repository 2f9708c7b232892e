import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { Policy } from '../../src/policy/index.js'
import { loadConfig, train, type Metrics } from '../../src/train/index.js'

const model = fileURLToPath(new URL('../../assets/policy', import.meta.url))
let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'adjudge-given-'))
  writeFileSync(join(folder, 'short.mjs'), 'export default ({ completion }) => -completion.text.length')
})
afterEach(() => rmSync(folder, { recursive: true }))

const good = 'Thank you for telling us.'
const bad = 'No refunds at all, go away please.'
const question = (index: number) => `Where is order ${index}?`
const turn = (role: string, content: string) => ({ role, content })
const write = (name: string, records: object[]) =>
  writeFileSync(join(folder, name), records.map((record) => JSON.stringify(record)).join('\n'))
const pairs = (from: number, count = 8) =>
  Array.from({ length: count }, (_, at) => ({ prompt: question(from + at), chosen: good, rejected: bad }))

function configure(more: object = {}, algorithm: object = { preset: 'dpo' }): string {
  const config = {
    model: { path: model },
    data: { train: 'train.jsonl', completions: 'given' },
    rollout: { prompts: 4, max_tokens: 12 },
    algorithm,
    optimizer: { learning_rate: 1e-3 },
    training: { steps: 4, save_every: 100 },
    ...more
  }
  const path = join(folder, 'run.yaml')
  writeFileSync(path, JSON.stringify(config))
  return path
}

interface Run {
  steps: Metrics[]
  evaluations: Metrics[]
}
async function run(more: object = {}, algorithm?: object, resume = false): Promise<Run> {
  const result: Run = { steps: [], evaluations: [] }
  for await (const event of train(loadConfig(configure(more, algorithm)), { resume })) {
    if (event.type === 'step') result.steps.push(event.metrics)
    if (event.type === 'evaluation') result.evaluations.push(event.metrics)
  }
  return result
}
const losses = ({ steps }: Run) => steps.map(({ loss }) => loss)

describe('a run that learns from given answers', () => {
  it.each([['dpo'], ['ipo'], ['orpo'], ['simpo'], ['kto']])(
    'prefers what was chosen, on held-out pairs too: %s',
    async (preset) => {
      write('train.jsonl', pairs(0))
      write('test.jsonl', pairs(100, 4))
      const { steps, evaluations } = await run(
        {
          data: { train: 'train.jsonl', test: 'test.jsonl', completions: 'given' },
          training: { steps: 6 },
          evaluation: { every: 6 }
        },
        { preset }
      )
      expect(steps[5]!['loss']).toBeLessThan(steps[0]!['loss']!)
      expect(evaluations[1]!['eval/loss']).toBeLessThan(evaluations[0]!['eval/loss']!)
      expect(evaluations[1]!['eval/rewards/margins']).toBeGreaterThan(evaluations[0]!['eval/rewards/margins']!)
      if (preset !== 'kto') expect(evaluations[1]!['eval/rewards/accuracies']).toBe(1)
    }
  )

  it('asks the reference about each answer once, however often it is compared', async () => {
    write('train.jsonl', pairs(0, 4))
    write('test.jsonl', pairs(100, 2))
    const spy = vi.spyOn(Policy.prototype, 'logProbs')
    const measured = () =>
      spy.mock.calls.flatMap(([sequences, options]) => (options?.adapter === false ? [sequences.length] : []))
    const more = {
      model: { path: model, lora: { rank: 2 } },
      data: { train: 'train.jsonl', test: 'test.jsonl', completions: 'given' },
      training: { steps: 6 },
      evaluation: { every: 2 }
    }
    try {
      const { steps, evaluations } = await run(more)
      expect(measured()).toEqual([4, 8])
      expect(evaluations).toHaveLength(4)
      expect(new Set(losses({ steps, evaluations })).size).toBe(6)
      // One pass: nothing comes back, nothing is kept.
      spy.mockClear()
      rmSync(join(folder, 'runs'), { recursive: true, force: true })
      write('train.jsonl', pairs(0, 8))
      const once = await run({ ...more, name: 'once', training: { steps: 2 }, evaluation: { every: 0 } })
      expect(measured()).toEqual([8, 8])
      expect(once.steps[0]!['loss']).toBeCloseTo(Math.LN2, 5)
    } finally {
      spy.mockRestore()
    }
  })

  it('starts at the reference, with all weights and with an adapter', async () => {
    write('train.jsonl', pairs(0))
    for (const lora of [{}, { lora: { rank: 4 } }]) {
      const { steps } = await run({ name: 'lora' in lora ? 'a' : 'b', model: { path: model, ...lora } })
      expect(steps[0]!['loss']).toBeCloseTo(Math.LN2, 5)
      expect(steps[0]).toMatchObject({ pairs: 4, ties: 0, unscored: 0 })
      expect(steps[3]!['loss']).toBeLessThan(Math.LN2 - 1e-3)
    }
  })

  it('takes the same comparison in every shape that the field writes', async () => {
    const prompt = [turn('user', question(0))]
    const answers = { chosen: [turn('assistant', good)], rejected: [turn('assistant', bad)] }
    const records: [string, object[]][] = [
      ['texts', [{ prompt: question(0), chosen: good, rejected: bad }]],
      ['messages', [{ prompt, ...answers }]],
      ['an implicit prompt', [{ chosen: [...prompt, ...answers.chosen], rejected: [...prompt, ...answers.rejected] }]],
      [
        'a prompt that the lists repeat',
        [{ prompt: question(0), chosen: [...prompt, ...answers.chosen], rejected: [...prompt, ...answers.rejected] }]
      ],
      ['texts that share their beginning', [{ chosen: `${question(0)}\n${good}`, rejected: `${question(0)}\n${bad}` }]],
      ['a judged group', [{ prompt: question(0), completions: [bad, good].map((text, score) => ({ text, score })) }]],
      [
        'judged lines, as adjudge judge writes them',
        [
          { messages: prompt, completion: bad, score: 2 },
          { messages: prompt, completion: 'Hm.', score: null },
          { messages: prompt, completion: good, score: 4 }
        ]
      ]
    ]
    const seen = []
    for (const [index, [, lines]] of records.entries()) {
      write('train.jsonl', lines)
      seen.push(losses(await run({ name: `shape-${index}`, rollout: { prompts: 1 }, training: { steps: 3 } })))
    }
    for (const [index, [name]] of records.entries()) expect(seen[index], name).toEqual(seen[0])
    expect(seen[0]![2]).toBeLessThan(seen[0]![0]!)
  })

  it('kto takes labels, and pairs as one desirable and one undesirable answer', async () => {
    write('train.jsonl', pairs(0, 4))
    const fromPairs = await run({ name: 'pairs' }, { preset: 'kto' })
    write(
      'train.jsonl',
      pairs(0, 4).flatMap(({ prompt }) => [
        { prompt, completion: good, label: true },
        { prompt, completion: bad, label: false }
      ])
    )
    const fromLabels = await run({ name: 'labels' }, { preset: 'kto' })
    expect(fromLabels.steps[0]).toMatchObject({ desirable: 4, undesirable: 4 })
    expect(losses(fromLabels)).toEqual(losses(fromPairs))
  })

  it('pairs judged groups by rule and margin', async () => {
    const scores = [1, 2, 4, null]
    const completions = ['a b', 'c d e', 'f g', 'h'].map((text, index) => ({ text, score: scores[index] }))
    write('train.jsonl', [{ prompt: question(0), completions }])
    const first = async (name: string, algorithm: object) =>
      (await run({ name, rollout: { prompts: 1 }, training: { steps: 1 } }, { preset: 'dpo', ...algorithm })).steps[0]
    expect(await first('all', { pairs: 'all' })).toMatchObject({ pairs: 3, unscored: 1 })
    expect(await first('margin', { pairs: 'all', min_margin: 1 })).toMatchObject({ pairs: 2, ties: 1 })
    expect(await first('none', { min_margin: 3 })).toMatchObject({ pairs: 0, loss: null })
  })

  it('resumed, goes on to the same bits', async () => {
    write('train.jsonl', pairs(0))
    const more = { model: { path: model, lora: { rank: 4 } } }
    const whole = await run({ ...more, name: 'whole', training: { steps: 4, save_every: 2 } })
    await run({ ...more, name: 'parts', training: { steps: 2, save_every: 2 } })
    const rest = await run({ ...more, name: 'parts', training: { steps: 4, save_every: 2 } }, undefined, true)
    expect(losses(rest)).toEqual(losses(whole).slice(2))
  })

  it('with judges, also judges what the policy says to held-out prompts', async () => {
    write('train.jsonl', pairs(0))
    write('test.jsonl', [{ prompt: question(7) }, { prompt: question(8) }])
    const { steps, evaluations } = await run({
      data: { train: 'train.jsonl', test: 'test.jsonl', completions: 'given' },
      rewards: [{ name: 'short', function: './short.mjs' }],
      training: { steps: 1 },
      evaluation: { every: 1 }
    })
    expect(evaluations[1]).toMatchObject({ 'eval/reward': expect.any(Number) })
    expect(evaluations[1]).not.toHaveProperty('eval/rewards/accuracies')
    expect(steps[0]).toMatchObject({ 'judge/calls': 2 })
    const written = readFileSync(join(folder, 'runs', 'run', 'evaluations', 'step-000001.jsonl'), 'utf8')
    expect(written.trim().split('\n')).toHaveLength(2)
  })

  it.each([
    [[{ prompt: 'a', chosen: 'b' }], /train.jsonl:1: rejected is missing/],
    [[{ prompt: 'a', chosen: 'b', rejected: 'b' }], /train.jsonl:1: chosen and rejected are the same/],
    [[{ prompt: 'a' }], /train.jsonl:1: there are no answers \(fields: prompt\)/],
    [[{ chosen: 'b', rejected: 'c' }], /train.jsonl:1: there is no messages and no prompt/],
    [[{ chosen: [turn('user', 'a'), turn('assistant', 'b')], rejected: [turn('user', 'c')] }], /different messages/],
    [[{ prompt: 'a', completion: 'b', score: 'good' }], /train.jsonl:1: score is "good"; expected a number/],
    [[{ prompt: 'a', completions: [{ text: 'b', score: 1 }, { text: 'c' }] }], /completions\[1\].score is missing/],
    [[{ prompt: 'a', completion: 'b', label: 'maybe' }], /label is "maybe"; expected true/],
    [[{ prompt: 'a', completion: 'b', label: true }], /train.jsonl:1: field label is for the preset kto/],
    [[...pairs(0, 2), { prompt: 'a', completion: 'b', score: 1 }], /train.jsonl:3: the record has scores, those before/]
  ])('names the line and the field that is wrong: %j', async (records, message) => {
    write('train.jsonl', records)
    await expect(run({ rollout: { prompts: 1 } })).rejects.toThrow(message)
  })

  it('is not for an algorithm that needs answers of its own', () => {
    expect(() => loadConfig(configure({}, { preset: 'grpo' }))).toThrow(/grpo learns from answers of its own/)
  })
})
