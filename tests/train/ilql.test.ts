import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Policy } from '../../src/policy/index.js'
import { loadConfig, train, type Metrics } from '../../src/train/index.js'

const model = fileURLToPath(new URL('../../assets/policy', import.meta.url))
let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'adjudge-ilql-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

const write = (records: object[]) =>
  writeFileSync(join(folder, 'judged.jsonl'), records.map((record) => JSON.stringify(record)).join('\n'))
const question = (index: number) => `Where is order ${index}?`

function configure(algorithm: object = {}, more: object = {}): string {
  const config = {
    model: { path: model, dtype: 'float32' },
    data: { train: 'judged.jsonl' },
    rollout: { prompts: 4, max_tokens: 12 },
    algorithm: { preset: 'ilql', ...algorithm },
    training: { steps: 4, save_every: 100 },
    ...more
  }
  const path = join(folder, 'run.yaml')
  writeFileSync(path, JSON.stringify(config))
  return path
}

async function run(algorithm?: object, more?: object, resume = false): Promise<Metrics[]> {
  const metrics: Metrics[] = []
  for await (const event of train(loadConfig(configure(algorithm, more)), { resume })) {
    if (event.type === 'step') metrics.push(event.metrics)
  }
  return metrics
}

const checkpoint = (name: string, step: number) =>
  join(folder, 'runs', name, 'checkpoints', `step-${String(step).padStart(6, '0')}`, 'model')
const vowels = (text: string): number => (text.match(/e/g) ?? []).length
const mean = (values: number[]): number => values.reduce((a, b) => a + b, 0) / values.length

/** Answers of the carried policy, judged by a program: four to each of some questions. */
async function judgedAnswers(count: number): Promise<object[]> {
  using policy = await Policy.load(model, { dtype: 'float32', trainable: false })
  const prompts = Array.from({ length: count }, (_, index) => ({
    messages: [{ role: 'user' as const, content: question(index) }]
  }))
  const groups = await policy.generate(prompts, { n: 8, maxTokens: 12, seed: 1 })
  return groups.flatMap(({ completions }, index) =>
    completions.map(({ text, finishReason }) => ({
      prompt: question(index),
      completion: text,
      finish_reason: finishReason,
      score: vowels(text)
    }))
  )
}

describe('a run of ilql', () => {
  it('begins with the losses that its formulas give', async () => {
    const scores = [3, -1, null]
    const texts = ['Thank you.', 'No.', 'Hm.']
    write([{ prompt: 'Hi', completions: texts.map((text, index) => ({ text, score: scores[index] })) }])
    const more = { rollout: { prompts: 1 }, training: { steps: 1 } }
    const [step] = await run({ scale_rewards: false, gamma: 1 }, more)
    using policy = await Policy.load(model, { dtype: 'float32', trainable: false })
    const opened = policy.renderChat([{ role: 'user', content: 'Hi' }])
    const closing = policy.tokenizer
      .renderChat(
        [
          { role: 'user', content: 'Hi' },
          { role: 'assistant', content: 'No.' }
        ],
        false
      )
      .slice(opened.length + 'No.'.length)
      .trimEnd()
    const sequences = texts.slice(0, 2).map((text) => ({
      promptTokens: policy.tokenizer.encode(opened),
      tokens: policy.tokenizer.encode(text + closing)
    }))
    const logProbs = (await policy.logProbs(sequences)).flatMap((values) => Array.from(values))
    // V is 0 and both Qs nearly so: what is left of the targets is the score at each answer's last token.
    expect(step!['losses/q']).toBeCloseTo((2 * (9 + 1)) / logProbs.length, 0)
    expect(step!['losses/cql']).toBeCloseTo(2 * Math.log(policy.description.vocabulary), 1)
    expect(step!['losses/value']).toBeLessThan(0.01)
    expect(step!['losses/awac']).toBeCloseTo(-mean(logProbs), 4)
    const { 'losses/q': q, 'losses/cql': cql, 'losses/value': v, 'losses/awac': awac, loss } = step!
    expect(loss).toBeCloseTo(q! + 0.1 * cql! + v! + awac!, 5)
    expect(step).toMatchObject({ unscored: 1, reward: 1 })
  })

  it('learns what an answer is worth, and of the state the expectile over its answers', async () => {
    const answers = [
      { text: 'We', score: 2, finish_reason: 'length' },
      { text: 'No', score: -1, finish_reason: 'length' }
    ]
    write([{ prompt: 'Hi', completions: answers }])
    const algorithm = { scale_rewards: false, cql_scale: 0, awac_scale: 0, alpha: 1, steps_for_target_q_sync: 1 }
    await run(
      { ...algorithm, stop_gradient: true, tau: 0.7, head_learning_rate: 0.01 },
      { rollout: { prompts: 1 }, optimizer: { schedule: 'cosine' }, training: { steps: 120 } }
    )
    using policy = await Policy.load(checkpoint('run', 120), { dtype: 'float32', trainable: false })
    await policy.loadHeads(checkpoint('run', 120))
    const promptTokens = policy.tokenizer.encode(policy.renderChat([{ role: 'user', content: 'Hi' }]))
    const sequences = answers.map(({ text }) => ({ promptTokens, tokens: policy.tokenizer.encode(text) }))
    const last = async (head: string) => (await policy.headValues(head, sequences)).map((values) => values.at(-1)!)
    for (const head of ['q', 'twin_q', 'target_q']) {
      const [we, no] = await last(head)
      expect(we).toBeCloseTo(2, 2)
      expect(no).toBeCloseTo(-1, 2)
    }
    // 0.7 · (2 − v) = 0.3 · (v + 1)
    expect((await last('value'))[0]).toBeCloseTo(1.1, 2)
  })

  it('decodes to what the judge prefers, more than the policy did', async () => {
    write(await judgedAnswers(30))
    await run(
      { alpha: 0.2, steps_for_target_q_sync: 1, head_learning_rate: 0.02 },
      { rollout: { prompts: 6 }, training: { steps: 40 } }
    )
    const at = checkpoint('run', 40)
    expect(existsSync(join(at, 'heads', 'heads.safetensors'))).toBe(true)
    using policy = await Policy.load(at, { dtype: 'float32', trainable: false })
    await policy.loadHeads(at)
    const score = async (beta: number) => {
      const prompts = Array.from({ length: 40 }, (_, index) => ({
        messages: [{ role: 'user' as const, content: question(100 + index) }]
      }))
      const groups = await policy.generate(prompts, { n: 4, maxTokens: 12, seed: 9, decoding: { beta } })
      return mean(groups.flatMap(({ completions }) => completions.map(({ text }) => vowels(text))))
    }
    expect(await score(4)).toBeGreaterThan((await score(0)) + 0.5)
  })

  it('resumed, goes on to the same bits, heads and targets included', async () => {
    write(await judgedAnswers(6))
    const more = { model: { path: model, dtype: 'float32', lora: { rank: 4 } } }
    const algorithm = { alpha: 0.5, steps_for_target_q_sync: 2 }
    const whole = await run(algorithm, { ...more, name: 'whole', training: { steps: 4, save_every: 2 } })
    await run(algorithm, { ...more, name: 'parts', training: { steps: 2, save_every: 2 } })
    const rest = await run(algorithm, { ...more, name: 'parts', training: { steps: 4, save_every: 2 } }, true)
    const numbers = (metrics: Metrics[]) =>
      metrics.map((one) => [one['loss'], one['values/q'], one['grad_norm/twin_q']])
    expect(numbers(rest)).toEqual(numbers(whole).slice(2))
    const weights = (name: string) => readFileSync(join(checkpoint(name, 4), 'heads', 'heads.safetensors'))
    expect(weights('parts').equals(weights('whole'))).toBe(true)
  })

  it('takes a reward for each token, and one Q head', async () => {
    const given = { text: 'No.', score: 5, token_rewards: [1, 0, 0, 0] }
    write([{ prompt: 'Hi', completions: [given] }])
    const more = { rollout: { prompts: 1 }, training: { steps: 1 } }
    const tokens = /has 4 numbers; the answer has (\d+) tokens/
    const error = await run({}, more).then(
      () => undefined,
      (reason: Error) => reason
    )
    const length = error ? Number(tokens.exec(error.message)![1]) : 4
    write([{ prompt: 'Hi', completions: [{ ...given, token_rewards: Array.from({ length }, () => 2) }] }])
    const [step] = await run({ two_qs: false, gamma: 0 }, { ...more, name: 'each' })
    // Without a second head, and with no reward to come: (0 − 2)² at every token.
    expect(step!['losses/q']).toBeCloseTo(4, 0)
    expect(step!['losses/cql']).toBeCloseTo(Math.log(1024), 1)
    expect(step).not.toHaveProperty('grad_norm/twin_q')
  })

  it('learns nothing where nothing is scored', async () => {
    write([{ prompt: 'Hi', completion: 'No.', score: null }])
    const [step] = await run({}, { rollout: { prompts: 1 }, training: { steps: 1 } })
    expect(step).toMatchObject({ loss: null, unscored: 1, grad_norm: 0 })
  })

  it('decays the weights of the heads as those of the policy', async () => {
    write([
      {
        prompt: 'Hi',
        completions: [
          { text: 'No.', score: 1 },
          { text: 'Yes.', score: 0 }
        ]
      }
    ])
    const more = (weight_decay: number) => ({
      name: `decay-${weight_decay}`,
      rollout: { prompts: 1 },
      training: { steps: 2 },
      // The policy itself stays where it is.
      optimizer: { learning_rate: 1e-9, weight_decay }
    })
    const [free, held] = [await run({}, more(0)), await run({}, more(300))]
    expect(held[0]!['values/q']).toBe(free[0]!['values/q'])
    expect(Math.abs(held[1]!['values/q']!)).toBeLessThan(Math.abs(free[1]!['values/q']!))
  })

  it('names the key that is wrong', () => {
    const load = (algorithm: object, more?: object) => () => loadConfig(configure(algorithm, more))
    expect(load({ tau: 2 })).toThrow(/expectile/)
    expect(load({ taau: 0.7 })).toThrow(/unknown key "taau"/)
    expect(load({ two_qs: 'yes' })).toThrow(/"two_qs" is "yes", expected true or false/)
    expect(load({ head_learning_rate: 0 })).toThrow(/"head_learning_rate" is 0/)
    expect(load({ targets: { bootstrap: 'max' } })).toThrow(/expected value/)
    expect(load({}, { rollout: { choices: ['a', 'b'] } })).toThrow(/rollout.choices/)
    expect(load({}, { value: { learning_rate: 1e-3 } })).toThrow(/value has no effect: ilql learns from judged answers/)
    expect(load({}, { data: { train: 'judged.jsonl', completions: 'sampled' } })).toThrow(
      /ilql learns from judged answers/
    )
    expect(load({ preset: 'grpo' }, { rollout: { decoding_beta: 1 } })).toThrow(/decoding_beta is for ilql/)
    expect(load({ preset: 'sft' }, { rollout: { decoding_beta: 1 } })).toThrow(/remove rollout.decoding_beta/)
  })
})
