import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { createJudge, type Judge, type Verdict } from '../../src/judge/index.js'
import { Policy } from '../../src/policy/policy.js'

const asset = (name: string): string => fileURLToPath(new URL(`../../assets/${name}`, import.meta.url))
const messages = [{ role: 'user' as const, content: 'Where is my order?' }]
const openJudge = (): Promise<Judge> =>
  createJudge({ provider: 'native', model: asset('judge'), rubric: asset('rubric.yaml') })

describe.each([1, 2])('a native judge beside generation, on %d threads', (threads) => {
  it('gives verdicts of early completions while later ones still generate, and the same ones as alone', async () => {
    using policy = await Policy.load(asset('policy'), { threads, trainable: false })
    const judge = await openJudge()
    const enough = new AbortController()
    const texts: string[] = []
    const scoring: Promise<Verdict>[] = []
    // More than can be waited for: only a verdict that comes in the midst of it ends it.
    const [group] = await policy.generate([{ messages }], {
      n: 50_000,
      maxBatch: 2,
      maxTokens: 24,
      seed: 5,
      signal: enough.signal,
      onCompletion: ({ text, finishReason }) => {
        if (finishReason === 'cancelled' || texts.length >= 20) return
        texts.push(text)
        const scored = judge.scoreOne({ messages, completion: text })
        scoring.push(scored)
        void scored.then(() => enough.abort())
      }
    })
    expect(group!.completions.at(-1)!.finishReason).toBe('cancelled')
    const verdicts = await Promise.all(scoring)
    await judge.close()
    const alone = await openJudge()
    const again = await alone.scoreAll(texts.map((completion) => ({ messages, completion })))
    await alone.close()
    expect(verdicts.map(({ score }) => score)).toEqual(again.map(({ score }) => score))
    expect(verdicts.every(({ score }) => score !== null)).toBe(true)
  })

  it('may be the very model that generates: both come to an end', async () => {
    using model = await Policy.load(asset('judge'), { threads, trainable: false })
    const judge = await createJudge({ provider: 'native', model, rubric: asset('rubric.yaml') })
    const scoring: Promise<Verdict>[] = []
    await model.generate([{ text: 'Where is' }, { text: 'Hello' }], {
      n: 8,
      maxTokens: 8,
      onCompletion: () => void scoring.push(judge.scoreOne({ messages, completion: 'It is on its way, thank you.' }))
    })
    const scores = (await Promise.all(scoring)).map(({ score }) => score)
    expect(scores).toHaveLength(16)
    expect(new Set(scores).size).toBe(1)
    await judge.close()
  })
})
