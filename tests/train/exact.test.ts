import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Policy } from '../../src/policy/policy.js'
import { loadConfig, train, type Metrics } from '../../src/train/index.js'
import { score, startServer, answerIn, type TestServer } from '../judge/server.js'
import { writeTinyModel } from '../policy/tinyModel.js'

let folder: string
let server: TestServer | undefined
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'adjudge-exact-'))
  writeTinyModel(file('model'))
  const lines = ['good', 'bad', 'fine', 'poor'].map((text, index) =>
    JSON.stringify({ text, label: index % 2 === 0 ? 'yes' : 'no', choices: ['yes', 'no', 'maybe'] })
  )
  writeFileSync(file('items.jsonl'), lines.join('\n'))
  writeFileSync(file('items.csv'), 'text,label,choices\ngood,yes,"[""yes"",""no"",""maybe""]"\n')
})
afterEach(async () => {
  await server?.close()
  server = undefined
  rmSync(folder, { recursive: true })
})

const file = (name: string): string => join(folder, name)
const right = {
  name: 'right',
  grader: {
    type: 'string_check',
    operation: 'eq',
    input: '{{ sample.output_text }}',
    reference: '{{ item.label }}'
  }
}

function configure(more: Record<string, object> = {}): void {
  const config = {
    model: { path: 'model' },
    data: { train: 'items.jsonl', test: 'items.jsonl', prompt: '{{ item.text }}' },
    rollout: { prompts: 4, choices: ['yes', 'no'] },
    rewards: [right],
    algorithm: { preset: 'exact' },
    optimizer: { learning_rate: 0.01 },
    training: { steps: 30, save_every: 100 },
    ...more
  }
  writeFileSync(file('run.yaml'), JSON.stringify(config))
}

async function run(set: string[] = []): Promise<{ steps: Metrics[]; evaluations: Metrics[]; warnings: string[] }> {
  const steps: Metrics[] = []
  const warnings: string[] = []
  const evaluations: Metrics[] = []
  for await (const event of train(loadConfig(file('run.yaml'), set))) {
    if (event.type === 'step') steps.push(event.metrics)
    if (event.type === 'evaluation') evaluations.push(event.metrics)
    if (event.type === 'warning') warnings.push(event.message)
  }
  return { steps, evaluations, warnings }
}

const rollout = (step: number): Record<string, unknown>[] =>
  readFileSync(file(`runs/run/rollouts/step-${String(step).padStart(6, '0')}.jsonl`), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>)

describe('a run over a closed set of answers', () => {
  it('raises the expected reward, which its first step states as the probabilities give it', async () => {
    configure({ evaluation: { every: 30, items: 4 } })
    const { steps, evaluations, warnings } = await run()
    expect(warnings).toEqual([expect.stringMatching(/choices together a probability of \d\.\de-\d.*Cures:/)])
    expect(steps.at(-1)!['reward']).toBeGreaterThan(0.95)
    expect(steps[0]!['reward']).toBeLessThan(0.8)
    expect(evaluations.map((metrics) => metrics['eval/reward'])).toEqual([expect.any(Number), 1])
    const rows = rollout(1)
    expect(rows).toHaveLength(8)
    const expected = rows.reduce((sum, row) => sum + (row['probability'] as number) * (row['reward'] as number), 0) / 4
    expect(steps[0]!['reward']).toBeCloseTo(expected, 6)
    const entropy = -rows.reduce(
      (sum, { probability }) => sum + Math.log(probability as number) * Number(probability),
      0
    )
    expect(steps[0]!['entropy']).toBeCloseTo(entropy / 4, 5)
    expect(steps[0]).not.toHaveProperty('kl')
    expect(steps[0]).toMatchObject({ frac_reward_zero_std: 0, unscored: 0, choice_mass: expect.any(Number) })
  })

  it('counts a whole turn as an answer: its probability is that of generating exactly this', async () => {
    configure({ rollout: { prompts: 4, choices: ['y', 'yes'] } })
    await run(['training.steps=1'])
    const row = rollout(1)[0]!
    using policy = await Policy.load(file('model'), { trainable: false })
    const [whole] = await policy
      .logProbs(
        ['y', 'yes'].map((text) => ({
          promptTokens: policy.tokenizer.encode(
            policy.renderChat(row['messages'] as { role: 'user'; content: string }[])
          ),
          tokens: policy.tokenizer.encode(`${text}<|end|>`)
        }))
      )
      .then((logProbs) => {
        const [y, yes] = logProbs.map((values) => values.reduce((a, b) => a + b, 0))
        return [1 / (1 + Math.exp(yes! - y!))]
      })
    expect(row['probability']).toBeCloseTo(whole!, 5)
  })

  it('takes the answers from a field of the item, in JSONL and in CSV', async () => {
    configure({ rollout: { prompts: 2, choices: '{{ item.choices }}' as unknown as object } })
    const { steps } = await run()
    expect(rollout(1)).toHaveLength(6)
    expect(steps.at(-1)!['reward']).toBeGreaterThan(steps[0]!['reward']!)
    await run(['name=csv', `data.train=${file('items.csv')}`, 'rollout.prompts=1', 'training.steps=1'])
    await expect(run(['name=other', 'rollout.choices="{{ item.label }}"'])).rejects.toMatchObject({
      code: 'DATA_INVALID',
      message: expect.stringMatching(/items\.jsonl:\d: rollout\.choices: "(yes|no)" is no list; expected a list/)
    })
  })

  it('asks a judge once for each answer, in all epochs, and leaves out what it cannot score', async () => {
    server = await startServer((body) => ({
      content: answerIn(body) === 'maybe' ? 'no idea' : score(answerIn(body).length)
    }))
    const judge = {
      provider: 'openai',
      model: 'test',
      base_url: server.url,
      rubric: { aim: 'Short answers', scale: { low: 1, high: 5 } }
    }
    configure({
      rollout: { prompts: 4, choices: ['yes', 'no', 'maybe'] },
      rewards: [{ name: 'judge', judge }] as unknown as object,
      training: { steps: 10 }
    })
    const { steps } = await run()
    const asked = server.requests.map((body) => body.messages.map(({ content }) => content).join('\n'))
    const scored = asked.filter((text) => !text.includes('\nmaybe\n'))
    // Four prompts, two answers that it can score.
    expect(scored).toHaveLength(8)
    expect(new Set(scored).size).toBe(8)
    expect(steps[0]).toMatchObject({ unscored: 4, 'rewards/judge/unscored': 4 })
    expect(steps[9]!['reward']).toBeGreaterThan(steps[0]!['reward']!)
    expect(steps[0]!['reward']).toBeGreaterThan(2)
    expect(steps[0]!['reward']).toBeLessThan(3)
  })

  it('measures its KL exactly, to the untrained model', async () => {
    configure({ algorithm: { preset: 'exact', kl: { coefficient: 0.1 } } })
    const { steps } = await run(['training.steps=5'])
    expect(steps[0]!['kl']).toBeCloseTo(0, 6)
    expect(steps[4]!['kl']).toBeGreaterThan(1e-4)
  })

  it('draws an answer by the probabilities where the evaluation has a temperature', async () => {
    configure({ evaluation: { every: 1, items: 4, temperature: 1 } })
    const first = await run(['training.steps=1', 'name=a'])
    const second = await run(['training.steps=1', 'name=b'])
    expect(second.evaluations).toEqual(first.evaluations)
    expect(first.evaluations).toHaveLength(2)
  })

  it('needs answers, and they need it', () => {
    configure({ rollout: { prompts: 4 } })
    expect(() => loadConfig(file('run.yaml'))).toThrow(/exact estimator needs a closed set .* rollout\.choices/)
    configure({ algorithm: { preset: 'grpo' } })
    expect(() => loadConfig(file('run.yaml'))).toThrow(/rollout\.choices is for the exact estimator/)
    configure({ rollout: { choices: ['a', 'a'] } })
    expect(() => loadConfig(file('run.yaml'))).toThrow(/"a" is empty, no text, or there twice/)
    configure({ rollout: { choices: 'yes, no' as unknown as object } })
    expect(() => loadConfig(file('run.yaml'))).toThrow(/rollout\.choices is "yes, no"; expected a list of answers/)
  })
})
