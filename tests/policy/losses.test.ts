import { describe, expect, it } from 'vitest'
import { Policy, type AlgorithmOptions, type Group } from 'adjudge'
import { writeTinyModel } from './tinyModel.js'

const folder = writeTinyModel()
const prompts = [{ text: 'one two' }, { text: 'a' }, { text: 'another prompt' }]
const isEven = (token: number) => token % 2 === 0
const share = (groups: Group[]) => {
  const tokens = groups.flatMap(({ completions }) => completions.map((completion) => completion.tokens[0]!))
  return tokens.filter(isEven).length / tokens.length
}

/** Trains to answer with even tokens: two updates per rollout, the second off-policy. */
async function learn(algorithm: AlgorithmOptions): Promise<{ before: number; after: number }> {
  const learner = await Policy.load(folder, { lora: { rank: 4, alpha: 8 }, seed: 1 })
  const ask = { n: 32, maxTokens: 1 }
  const before = share(await learner.generate(prompts, { ...ask, seed: 99 }))
  for (let step = 0; step < 10; step++) {
    const groups = await learner.generate(prompts, { ...ask, seed: step })
    const rewards = groups.map(({ completions }) => completions.map(({ tokens }) => (isEven(tokens[0]!) ? 1 : 0)))
    for (let epoch = 0; epoch < 2; epoch++) {
      const { metrics } = await learner.backward({ groups, rewards, algorithm })
      for (const value of Object.values(metrics)) expect(Number.isFinite(value)).toBe(true)
      await learner.step({ learningRate: 2e-2, clipNorm: 1 })
    }
  }
  const after = share(await learner.generate(prompts, { ...ask, seed: 99 }))
  learner.dispose()
  return { before, after }
}

describe('every loss moves answers towards the reward', () => {
  const algorithms: AlgorithmOptions[] = [
    'cispo',
    'cispo_absolute',
    'sapo',
    { preset: 'luspo', loss: { clip_low: 0.2, clip_high: 0.2 } },
    { preset: 'gspo_token', loss: { clip_low: 0.2, clip_high: 0.2 } },
    'vespo',
    'gmpo',
    'dppo',
    'dppo_kl',
    { preset: 'dro', loss: { quadratic_coefficient: 0.1 } },
    { preset: 'clip_cov', loss: { covariance: { share: 0.05, low: 0.1, high: 5 } } },
    { preset: 'kl_cov', loss: { covariance: { share: 0.05, kl_coefficient: 0.1 } } },
    'gpg',
    'verl_bypass_reinforce',
    { preset: 'dapo', entropy: { top_quantile: 0.7, coefficient: 0.001 } }
  ]
  for (const algorithm of algorithms) {
    it(typeof algorithm === 'string' ? algorithm : String(algorithm.preset), async () => {
      const { before, after } = await learn(algorithm)
      expect(after).toBeGreaterThan(before + 0.15)
    })
  }
})
