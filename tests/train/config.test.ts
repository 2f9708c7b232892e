import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { AdjudgeError } from '../../src/errors.js'
import { algorithmOf, loadConfig, parseConfig } from '../../src/train/config.js'

const folder = mkdtempSync(join(tmpdir(), 'adjudge-config-'))
afterAll(() => rmSync(folder, { recursive: true }))

const least = `model: { path: models/small }
data: { train: train.jsonl }
rewards:
  - { name: short, function: ./short.ts }
`

function problemOf(yaml: string, set: string[] = []): string {
  try {
    parseConfig(yaml, 'run.yaml', set)
  } catch (error) {
    expect(error).toBeInstanceOf(AdjudgeError)
    expect((error as AdjudgeError).code).toBe('CONFIG_INVALID')
    return (error as AdjudgeError).message
  }
  return 'no error'
}

describe('run.yaml', () => {
  it('fills in defaults, makes paths absolute and takes its name from the file', () => {
    const file = join(folder, 'first.yaml')
    writeFileSync(file, least)
    const loaded = loadConfig(file)
    expect(loaded.folder).toBe(folder)
    expect(loaded.config).toMatchObject({
      name: 'first',
      runs: join(folder, 'runs'),
      model: { path: join(folder, 'models/small'), dtype: 'auto' },
      data: { train: join(folder, 'train.jsonl') },
      rollout: { prompts: 16, completions: 8, temperature: 1, stop: [] },
      rewards: [{ name: 'short', weight: 1, function: './short.ts' }],
      algorithm: { preset: 'grpo' },
      optimizer: { learning_rate: 1e-4, schedule: 'constant', clip_norm: 1 },
      training: { steps: 100, seed: 1 },
      evaluation: { every: 0 }
    })
    expect(loaded.config.model.lora).toBeUndefined()
  })

  it('fills in the defaults of a section that is there in part', () => {
    const { config } = parseConfig(`${least}rollout: { prompts: 4 }\n`.replace('small', 'small, lora: { rank: 4 }'))
    expect(config.rollout).toMatchObject({ prompts: 4, completions: 8 })
    expect(config.model.lora).toEqual({ rank: 4, alpha: 32, target_modules: 'all-linear' })
  })

  it('reads the example of the design', () => {
    const { config } = parseConfig(`
model: { path: m, dtype: auto, lora: { rank: 16, alpha: 32, target_modules: all-linear } }
data: { train: reviews.jsonl, test: heldout.jsonl, prompt: "Positive?\\n\\n{{ item.text }}", max_prompt_tokens: 256 }
rollout: { prompts: 16, completions: 8, max_tokens: 64, temperature: 1.0 }
rewards:
  - { name: helpful, weight: 1.0, judge: { provider: openai, model: gpt-5-mini, rubric: rubric.yaml } }
  - { name: right, weight: 0.5, grader: { type: string_check, operation: ilike, input: "{{ sample.output_text }}", reference: "{{ item.label }}" } }
  - { name: short, weight: 0.1, function: ./short.ts }
algorithm: { preset: grpo, baseline: group, kl: { kind: k3, coefficient: 0.0 } }
optimizer: { learning_rate: 1e-4, schedule: constant, clip_norm: 1.0 }
training: { steps: 100, seed: 1 }
evaluation: { every: 20, items: 300 }
budget: { money: 5.00, tokens: 2e6 }
`)
    expect(config.rewards.map(({ weight }) => weight)).toEqual([1, 0.5, 0.1])
    expect(config.rewards[1].grader).toMatchObject({ operation: 'ilike' })
  })

  it('changes a preset by keys with and without their section', () => {
    const short =
      '{ preset: reinforce, baseline: batch, clip_low: 0.1, loss: { dual_clip: 3 }, kl: { coefficient: 0.1 } }'
    expect(algorithmOf(parseConfig(`${least}algorithm: ${short}\n`).config)).toMatchObject({
      preset: 'reinforce',
      advantage: { baseline: 'batch', scale: 'none' },
      loss: { kind: 'policy_gradient', clipLow: 0.1, dualClip: 3 },
      kl: { coefficient: 0.1 }
    })
  })

  it('takes the parameters of a loss', () => {
    const yaml = `${least}algorithm:
  preset: vespo
  loss: { gamma_weight: { shape_positive: 1.5 } }
  entropy: { top_quantile: 0.2 }
`
    expect(algorithmOf(parseConfig(yaml).config)).toMatchObject({
      loss: { kind: 'vespo', gammaWeight: { shapePositive: 1.5, ratePositive: 3 } },
      entropy: { topQuantile: 0.2 }
    })
    expect(problemOf(`${least}algorithm: { preset: kl_cov, loss: { covariance: { share: 2 } } }\n`)).toMatch(
      /^run\.yaml:\d: algorithm: "loss\.covariance\.share" is 2/
    )
  })

  it.each([
    [`${least}rolout: { prompts: 4 }\n`, /^run\.yaml:5: unknown key rolout; did you mean rollout\?$/],
    [`${least}rollout:\n  promts: 4\n`, /^run\.yaml:6: unknown key promts; did you mean prompts\?$/],
    [
      `${least}rollout:\n  prompts: four\n`,
      /^run\.yaml:6: rollout\.prompts is "four"; expected an integer, at least 1$/
    ],
    [`${least}optimizer:\n  schedule: cosin\n`, /^run\.yaml:6: optimizer\.schedule is "cosin"; expected .*"cosine"/],
    [
      `${least}evaluation: { every: 5 }\n`,
      /^run\.yaml:5: evaluation\.every needs held-out items; expected data\.test$/
    ],
    [
      least.replace('function: ./short.ts', 'weight: 2'),
      /^run\.yaml:4: reward short has nothing that scores; expected/
    ],
    [`${least}  - { name: short, function: b.ts }\n`, /^run\.yaml:5: reward name short is there twice$/],
    ['data: { train: a.jsonl }\nrewards: []\n', /model is missing; expected an object/],
    ['model: { path: a }\ndata: { train: a.jsonl }\n', /rewards is missing; expected at least one judge/],
    [
      `${least}algorithm: grpo\n`,
      /^run\.yaml:5: algorithm is "grpo"; expected an object \(such as \{ preset: grpo \}\)$/
    ],
    [`${least}algorithm: { preset: sft }\n`, /^run\.yaml:3: sft learns from the answers/],
    [`${least}algorithm:\n  preset: grop\n`, /^run\.yaml:\d: algorithm: unknown preset "grop"; did you mean "grpo"\?/],
    [
      `${least}algorithm:\n  preset: grpo\n  kll: {}\n`,
      /^run\.yaml:7: algorithm: unknown key "kll"; did you mean "kl"\?/
    ],
    [`${least}algorithm:\n  kl:\n    kind: k9\n`, /^run\.yaml:7: algorithm: "kl\.kind" is "k9", expected one of k1/],
    [`${least}algorithm: { preset: sft, kl: {} }\n`, /sft has no kl; expected preset alone/],
    [
      `${least.replace('function: ./short.ts', 'judge: { provider: openai, model: mine, base_url: "http://a", rubric: r }')}budget: { money: 2 }\n`,
      /^run\.yaml:5: budget\.money cannot be kept: the price of reward short's model mine is unknown; expected its price/
    ],
    ['model: { path: a\n', /^run\.yaml:\d+: /],
    ['', /model is missing/]
  ])('answers what is wrong with file, line and what was expected: %j', (yaml, message) => {
    expect(problemOf(yaml)).toMatch(message)
  })

  it('tells of all problems at once', () => {
    expect(problemOf(`${least}rollout: { promts: 4, completions: 0 }\n`).split('\n')).toHaveLength(2)
  })

  it('takes values from --set, into sections and lists that are there or not', () => {
    const set = ['training.steps=7', 'model.lora.rank=4', 'rewards.0.weight=0.5', 'data.prompt="{{ item.text }}"']
    const { config } = parseConfig(least, 'run.yaml', set)
    expect(config.training).toMatchObject({ steps: 7, seed: 1 })
    expect(config.model.lora).toMatchObject({ rank: 4, alpha: 32 })
    expect(config.rewards[0]).toMatchObject({ name: 'short', weight: 0.5 })
    expect(config.data.prompt).toBe('{{ item.text }}')
  })

  it.each([
    ['training.stps=7', /^--set training\.stps: unknown key stps; did you mean steps\?$/],
    ['training.steps=many', /^--set training\.steps: training\.steps is "many"; expected an integer/],
    ['training', /^--set training: cannot be read; expected key\.path=value/],
    ['training.seed=[', /^--set training\.seed: the value is no YAML/],
    ['model.path.x=1', /^--set model\.path\.x: cannot be set/]
  ])('names a wrong --set %s', (set, message) => {
    expect(problemOf(least, [set])).toMatch(message)
  })

  it('refuses a file that is not there', () => {
    expect(() => loadConfig(join(folder, 'none.yaml'))).toThrow(expect.objectContaining({ code: 'FILE_NOT_FOUND' }))
  })
})
