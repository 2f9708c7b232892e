import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { createJudge, judgeOptionsFrom, onnxEmbedder, type Judge, type OnnxOptions } from '../../src/judge/index.js'

const folder = (name: string): string => fileURLToPath(new URL(`./onnx/${name}`, import.meta.url))
/** Made by onnx/make.py: what Transformers says. */
const golden = JSON.parse(readFileSync(folder('golden.json'), 'utf8')) as {
  pairs: [string, string][]
  classifier: number[][]
  reward: number[][]
  embedder: number[][][]
}
const inputs = golden.pairs.map(([prompt, completion]) => ({
  messages: [{ role: 'user' as const, content: prompt }],
  completion
}))

async function using<T>(model: string, onnx: OnnxOptions, use: (judge: Judge) => Promise<T>): Promise<T> {
  const judge = await createJudge({ provider: 'onnx', model: folder(model), onnx })
  try {
    return await use(judge)
  } finally {
    await judge.close()
  }
}

const softmax = (logits: number[]): number[] => {
  const weights = logits.map(Math.exp)
  const sum = weights.reduce((a, b) => a + b, 0)
  return weights.map((weight) => weight / sum)
}
const near = (value: number) => expect.closeTo(value, 5) as number
/** To 1e-5. */
const same = (value: number | null | undefined, expected: number): void =>
  expect(Math.abs(value! - expected)).toBeLessThan(1e-5)

describe('an ONNX model', () => {
  it('that classifies gives the expectation over its labels, as Transformers has them', async () => {
    const verdicts = await using('classifier', {}, (judge) => judge.scoreAll(inputs))
    for (const [index, logits] of golden.classifier.entries()) {
      const [one, two, three] = softmax(logits)
      expect(verdicts[index]).toMatchObject({
        score: near(one! + 2 * two! + 3 * three!),
        distribution: { '1 star': near(one!), '2 stars': near(two!), '3 stars': near(three!) },
        cost: 0
      })
      expect(verdicts[index]!.usage.inputTokens).toBeGreaterThan(3)
    }
  })

  it('that classifies takes the worth of each label', async () => {
    const score = { '1 star': -1, '2 stars': 0, '3 stars': 1 }
    const verdicts = await using('classifier', { score }, (judge) => judge.scoreAll(inputs))
    golden.classifier.forEach((logits, index) => {
      const [one, , three] = softmax(logits)
      same(verdicts[index]!.score, three! - one!)
    })
  })

  it('that rewards gives its output, or the sigmoid of it, and compares by the difference', async () => {
    const plain = await using('reward', {}, (judge) => judge.scoreAll(inputs))
    const squashed = await using('reward', { score: 'sigmoid' }, (judge) => judge.scoreAll(inputs))
    golden.reward.forEach(([logit], index) => {
      same(plain[index]!.score, logit!)
      same(squashed[index]!.score, 1 / (1 + Math.exp(-logit!)))
    })
    const [first, second] = golden.reward.map(([logit]) => logit!)
    const { winner } = await using('reward', {}, (judge) => judge.compare(inputs[0]!, inputs[1]!))
    expect(winner).toBe(first! > second! ? 'first' : 'second')
  })

  it('gives the same whatever stands beside it in a batch', async () => {
    const many = Array.from({ length: 70 }, (_, index) => ({
      ...inputs[index % 3]!,
      completion: Array.from({ length: 1 + (index % 7) }, (_, at) => inputs[(index + at) % 3]!.completion).join(' ')
    }))
    await using('reward', {}, async (judge) => {
      const together = await judge.scoreAll(many)
      for (const [index, input] of many.entries()) {
        const alone = await judge.scoreOne(input)
        expect(alone.attempts).toBe(1)
        same(together[index]!.score, alone.score!)
        expect(together[index]!.flags.includes('truncated')).toBe(alone.flags.includes('truncated'))
      }
    })
  })

  it('flags an input that is too long, which loses the beginning of its prompt first', async () => {
    const long = { ...inputs[0]!, messages: [{ role: 'user' as const, content: 'where '.repeat(60) + 'is it' }] }
    const fits = { ...inputs[0]!, messages: [{ role: 'user' as const, content: 'where '.repeat(30) + 'is it' }] }
    await using('reward', { maxTokens: 30 }, async (judge) => {
      const [cut, alike, whole] = await judge.scoreAll([long, fits, inputs[0]!])
      expect(cut).toMatchObject({ flags: ['truncated'], usage: { inputTokens: 30 } })
      same(cut!.score, alike!.score!)
      expect(whole!.flags).toEqual([])
    })
  })

  it('takes its texts by a template', async () => {
    const swapped = golden.pairs.map(([prompt, answer]) => ({
      messages: [{ role: 'user' as const, content: answer }],
      completion: prompt || 'x'
    }))
    const template = { first: '{{ answer }}', second: '{{ prompt }}' }
    const verdicts = await using('reward', { template }, (judge) => judge.scoreAll(swapped))
    same(verdicts[0]!.score, golden.reward[0]![0]!)
    same(verdicts[1]!.score, golden.reward[1]![0]!)
  })

  it.each(['mean', 'cls'] as const)('embeds with %s pooling', async (pooling) => {
    const embedder = await onnxEmbedder({ model: folder('embedder'), pooling })
    const vectors = await embedder.embed(golden.pairs.map(([, text]) => text))
    await embedder.close()
    golden.embedder.forEach((expected, index) => {
      const wanted = expected[pooling === 'mean' ? 0 : 1]!
      vectors[index]!.forEach((value, at) => same(value, wanted[at]!))
    })
  })

  it('is refused where it cannot be used, with what to do', async () => {
    const make = (model: string, onnx: OnnxOptions = {}) =>
      createJudge({ provider: 'onnx', model: folder(model), onnx })
    await expect(make('absent')).rejects.toMatchObject({ code: 'JUDGE_INVALID' })
    await expect(make('classifier', { score: 'sigmoid' })).rejects.toThrow(/one output/)
    await expect(make('classifier', { score: { '1 star': 1 } })).rejects.toThrow(/2 stars/)
  })

  it('stands in a configuration file', () => {
    const onnx = { score: { good: 1 }, max_tokens: 128 }
    expect(judgeOptionsFrom({ provider: 'onnx', model: 'reward', onnx }, '/models')).toEqual({
      provider: 'onnx',
      model: '/models/reward',
      onnx: { score: { good: 1 }, maxTokens: 128 }
    })
  })
})
