import { afterAll, describe, expect, it } from 'vitest'
import { Policy, type Completion, type Group } from 'adjudge'
import { writeTinyModel } from './tinyModel.js'

const folder = writeTinyModel()
const policy = await Policy.load(folder, { dtype: 'float32', threads: 2 })
afterAll(() => policy.dispose())

const prompts = [{ text: 'one two' }, { text: 'a' }, { text: 'another prompt' }]
const tokensOf = (groups: Group[]) => groups.map((group) => group.completions.map(({ tokens }) => Array.from(tokens)))

describe('gradients', () => {
  it('agree with finite differences of the loss', async () => {
    const sequences = [
      { tokens: policy.tokenizer.encode('hello there'), mask: [1, 1, 1, 0, 0, 1, 1, 1, 1, 1, 1] },
      { tokens: policy.tokenizer.encode('good') }
    ]
    const { gradients } = await policy.lossAndGradients(sequences)
    for (const name of [
      'model.embed_tokens.weight',
      'model.layers.0.self_attn.k_proj.weight',
      'model.layers.1.mlp.down_proj.weight',
      'model.layers.0.input_layernorm.weight',
      'model.norm.weight'
    ]) {
      const data = await policy.readParameter(name)
      const gradient = gradients[name]!.data
      // Along the gradient itself the slope is its norm, far above rounding.
      const norm = Math.hypot(...gradient)
      const h = 1e-2
      const at = async (step: number) => {
        await policy.writeParameters([{ name, data: data.map((value, i) => value + (step * gradient[i]!) / norm) }])
        return (await policy.lossAndGradients(sequences)).loss
      }
      // Central differences of fourth order.
      const near = (await at(h)) - (await at(-h))
      const far = (await at(2 * h)) - (await at(-2 * h))
      const slope = (8 * near - far) / (12 * h)
      await policy.writeParameters([{ name, data }])
      expect(norm).toBeGreaterThan(1e-3)
      expect(Math.abs(slope - norm) / norm).toBeLessThan(2e-3)
    }
  })

  it('of a foreign loss are those of the same loss, and a masked token has none', async () => {
    const tokens = policy.tokenizer.encode('hello there')
    const expected = await policy.lossAndGradients([{ tokens, mask: Array.from(tokens, (_, i) => (i === 3 ? 0 : 1)) }])
    const mask = Array.from(tokens.slice(1), (_, i) => (i === 2 ? 0 : 1))
    const sequences = [{ promptTokens: tokens.slice(0, 1), tokens: tokens.slice(1), mask }]
    await policy.backward({ sequences, logProbGradients: [mask.map(() => -1 / 9)] })
    const name = 'model.layers.0.mlp.up_proj.weight'
    expect(await policy.readParameter(name, 'gradient')).toEqual(expected.gradients[name]!.data)
    await policy.zeroGradients()
  })
})

describe('generation', () => {
  it('gives log-probs that training gives too, bit for bit', async () => {
    const groups = await policy.generate(prompts, { n: 3, maxTokens: 12, temperature: 0.7, seed: 4 })
    const sequences = groups.flatMap(({ promptTokens, completions }) =>
      completions.map(({ tokens }) => ({ promptTokens, tokens }))
    )
    const scored = await policy.logProbs(sequences, { temperature: 0.7 })
    expect(scored).toEqual(groups.flatMap(({ completions }) => completions.map(({ logProbs }) => logProbs)))
    expect(groups.flatMap(({ completions }) => completions).some(({ tokens }) => tokens.length > 3)).toBe(true)
  })

  it('gives the log-probs of training in bfloat16 too, near those of float32', async () => {
    using rounded = await Policy.load(folder, { dtype: 'bfloat16' })
    expect(rounded.description.dtype).toBe('bfloat16')
    expect(rounded.description.bytes).toBeLessThan(policy.description.bytes)
    const groups = await rounded.generate(prompts, { n: 3, maxTokens: 12, temperature: 0.7, seed: 4 })
    const sequences = groups.flatMap(({ promptTokens, completions }) =>
      completions.map(({ tokens }) => ({ promptTokens, tokens }))
    )
    const rollout = groups.flatMap(({ completions }) => completions.map(({ logProbs }) => logProbs))
    expect(await rounded.logProbs(sequences, { temperature: 0.7 })).toEqual(rollout)
    const exact = await policy.logProbs(sequences, { temperature: 0.7 })
    expect(exact).not.toEqual(rollout)
    exact.forEach((logProbs, c) =>
      logProbs.forEach((value, t) => expect(Math.abs(rollout[c]![t]! - value)).toBeLessThan(0.2))
    )
  })

  it('depends on the seed, not on threads or on what shares the batch', async () => {
    const options = { n: 2, maxTokens: 10, seed: 3 }
    const together = await policy.generate(prompts, options)
    const narrow = await policy.generate(prompts, { ...options, maxBatch: 1 })
    const single = await Policy.load(folder, { dtype: 'float32', threads: 1 })
    const alone = await single.generate(prompts, options)
    const { gradients } = await single.lossAndGradients([{ tokens: policy.tokenizer.encode('threads') }])
    single.dispose()
    const two = await Policy.load(folder, { dtype: 'float32', threads: 2 })
    const other = await two.lossAndGradients([{ tokens: policy.tokenizer.encode('threads') }])
    two.dispose()
    expect(tokensOf(narrow)).toEqual(tokensOf(together))
    expect(alone.map(({ completions }) => completions)).toEqual(together.map(({ completions }) => completions))
    expect(other.gradients).toEqual(gradients)
    expect(tokensOf(await policy.generate(prompts, { ...options, seed: 5 }))).not.toEqual(tokensOf(together))
  })

  it('hands over each completion as it finishes', async () => {
    const seen: [number, number, Completion][] = []
    const groups = await policy.generate(prompts, {
      n: 2,
      maxTokens: 5,
      onCompletion: (completion, prompt, index) => seen.push([prompt, index, completion])
    })
    expect(seen).toHaveLength(6)
    for (const [prompt, index, completion] of seen) expect(groups[prompt]!.completions[index]).toBe(completion)
  })

  it('ends when its signal aborts, and says so', async () => {
    const controller = new AbortController()
    const groups = await policy.generate(prompts, {
      n: 40,
      maxTokens: 50,
      maxBatch: 2,
      signal: controller.signal,
      onCompletion: () => controller.abort()
    })
    const reasons = groups.flatMap(({ completions }) => completions.map(({ finishReason }) => finishReason))
    expect(reasons).toHaveLength(120)
    expect(reasons).toContain('cancelled')
  })

  it('passes on what a callback throws', async () => {
    const failing = policy.generate(prompts, {
      maxTokens: 3,
      onCompletion: () => {
        throw new Error('from the callback')
      }
    })
    await expect(failing).rejects.toThrow('from the callback')
  })

  it('cuts the text before a stop string', async () => {
    const options = { n: 8, maxTokens: 20, seed: 6 }
    const [plain] = await policy.generate([{ text: 'one two' }], options)
    // Token ids are bytes here. A stop that is a printable byte of some answer, not its first.
    const isPrintable = (token: number) => token > 32 && token < 127
    const index = plain!.completions.findIndex(({ tokens }) => tokens.slice(1).some(isPrintable))
    const whole = plain!.completions[index]!.tokens
    const stop = whole.slice(1).find(isPrintable)!
    const first = whole.indexOf(stop)
    const [group] = await policy.generate([{ text: 'one two' }], { ...options, stop: [String.fromCharCode(stop)] })
    const completion = group!.completions[index]!
    expect(completion.finishReason).toBe('stop_string')
    expect(completion.tokens).toEqual(whole.slice(0, first + 1))
    expect(completion.text).toBe(policy.tokenizer.decodeBytes(whole.slice(0, first), first))
  })

  it('lists the most probable tokens', async () => {
    const [group] = await policy.generate([{ text: 'x' }], { temperature: 0, maxTokens: 4, topLogProbs: 3 })
    const { tokens, logProbs, topLogProbs } = group!.completions[0]!
    expect(topLogProbs!.map((top) => top[0]!.token)).toEqual(Array.from(tokens))
    expect(topLogProbs!.map((top) => top[0]!.logProb)).toEqual(Array.from(logProbs))
    for (const top of topLogProbs!) expect(top[1]!.logProb).toBeGreaterThanOrEqual(top[2]!.logProb)
  })
})

describe('scores', () => {
  it('of choices are the sums of their tokens’ log-probs', async () => {
    const choices = ['yes', 'no']
    const [scores] = await policy.choiceLogProbs([{ text: 'is it?' }], choices)
    const promptTokens = policy.tokenizer.encode('is it?')
    const each = await policy.logProbs(choices.map((text) => ({ promptTokens, tokens: policy.tokenizer.encode(text) })))
    each.forEach((values, index) =>
      expect(scores![index]).toBeCloseTo(
        values.reduce((a, b) => a + b, 0),
        5
      )
    )
  })

  it('come from the logits', async () => {
    const tokens = policy.tokenizer.encode('abc')
    const { data, shape } = await policy.logits(tokens)
    expect(shape).toEqual([3, 259])
    const [logProbs] = await policy.logProbs([{ promptTokens: tokens.slice(0, 2), tokens: tokens.slice(2) }])
    const row = data.subarray(259, 518)
    const sum = row.reduce((total, value) => total + Math.exp(value), 0)
    expect(logProbs![0]).toBeCloseTo(row[tokens[2]!]! - Math.log(sum), 4)
  })
})

describe('learning', () => {
  it('moves answers towards the reward, on-policy and off-policy', async () => {
    const learner = await Policy.load(folder, { lora: { rank: 4, alpha: 8 }, seed: 1 })
    const isEven = (token: number) => token % 2 === 0
    const share = (groups: Group[]) => {
      const tokens = groups.flatMap(({ completions }) => completions.map((completion) => completion.tokens[0]!))
      return tokens.filter(isEven).length / tokens.length
    }
    const ask = { n: 32, maxTokens: 1 }
    const before = share(await learner.generate(prompts, { ...ask, seed: 99 }))
    for (let step = 0; step < 15; step++) {
      const groups = await learner.generate(prompts, { ...ask, seed: step })
      const rewards = groups.map(({ completions }) => completions.map(({ tokens }) => (isEven(tokens[0]!) ? 1 : 0)))
      for (let epoch = 0; epoch < 2; epoch++) {
        const { metrics } = await learner.backward({ groups, rewards, algorithm: 'grpo' })
        if (epoch === 0) expect(metrics['ratio/mean']).toBe(1)
        else expect(metrics['ratio/max']).not.toBe(1)
        const { gradNorm } = await learner.step({ learningRate: 2e-2, clipNorm: 1 })
        expect(gradNorm).toBeGreaterThan(0)
      }
    }
    expect(learner.version).toBe(30)
    const after = share(await learner.generate(prompts, { ...ask, seed: 99 }))
    learner.dispose()
    expect(after).toBeGreaterThan(Math.max(0.8, before + 0.2))
  })

  it('without sampling raises the probability of the right choice', async () => {
    const learner = await Policy.load(folder, { lora: { rank: 4 } })
    const choices = ['yes', 'no']
    const chance = async () => {
      const [scores] = await learner.choiceLogProbs([{ text: 'is it?' }], choices)
      return 1 / (1 + Math.exp(scores![1]! - scores![0]!))
    }
    const before = await chance()
    for (let step = 0; step < 10; step++) {
      const groups = await learner.choiceGroups([{ text: 'is it?' }], choices)
      await learner.backward({ groups, rewards: [[0, 1]], algorithm: 'exact' })
      await learner.step({ learningRate: 2e-2 })
    }
    const after = await chance()
    learner.dispose()
    expect(after).toBeLessThan(before / 2)
  })

  it('leaves unscored completions out: they change no gradient', async () => {
    const groups = await policy.generate([{ text: 'q' }], { n: 3, maxTokens: 4, seed: 2 })
    const name = 'model.norm.weight'
    await policy.backward({ groups, rewards: [[1, 0, null]], algorithm: 'reinforce' })
    const gradient = await policy.readParameter(name, 'gradient')
    await policy.zeroGradients()
    expect(gradient.some((value) => value !== 0)).toBe(true)
    await policy.backward({ groups, rewards: [[null, null, null]], algorithm: 'reinforce' })
    const none = await policy.readParameter(name, 'gradient')
    expect(none.every((value) => value === 0)).toBe(true)
  })
})
