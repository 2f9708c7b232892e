import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createJudge, loadFunction, type NativeScorer, type Rubric } from '../../src/judge/index.js'

const rubric: Rubric = { aim: 'Replies', scale: { low: 1, high: 5 } }
const messages = [{ role: 'user' as const, content: 'Hello?' }]

/** A model whose opinion grows with the length of the answer. */
function scorer(mass = 0.9): NativeScorer & { calls: number[] } {
  const calls: number[] = []
  return {
    calls,
    renderChat: (messages) => messages.map(({ content }) => content).join('\n'),
    choiceLogProbs: (prompts, choices) => {
      calls.push(prompts.length)
      return Promise.resolve(
        prompts.map(({ text }) => {
          const good = text.includes('thank you') ? 0.8 : 0.1
          return Float32Array.from(
            choices.map((_, i) =>
              Math.log(mass * (i === choices.length - 1 ? good : (1 - good) / (choices.length - 1)))
            )
          )
        })
      )
    }
  }
}

describe('a native judge', () => {
  it('gives the exact expectation, in one call for all that wait', async () => {
    const model = scorer()
    const judge = await createJudge({ provider: 'native', model, rubric })
    const [bad, good] = await judge.scoreAll([
      { messages, completion: 'no' },
      { messages, completion: 'thank you' }
    ])
    expect(good.score).toBeCloseTo(5 * 0.8 + (1 + 2 + 3 + 4) * 0.05, 5)
    expect(bad.score).toBeCloseTo(5 * 0.1 + (1 + 2 + 3 + 4) * 0.225, 5)
    expect(good.mass).toBeCloseTo(0.9, 5)
    expect(good.cost).toBe(0)
    expect(model.calls).toEqual([2])
  })

  it('flags little mass, and has no score without any', async () => {
    const low = await createJudge({ provider: 'native', model: scorer(0.2), rubric })
    expect(await low.scoreOne({ messages, completion: 'x' })).toMatchObject({ flags: ['low_mass'] })
    const none = await createJudge({ provider: 'native', model: scorer(1e-7), rubric })
    expect(await none.scoreOne({ messages, completion: 'x' })).toMatchObject({ score: null, reason: 'low_mass' })
  })

  it('asks for each criterion', async () => {
    const criteria = [{ name: 'polite' }, { name: 'honest', veto: true }]
    const judge = await createJudge({ provider: 'native', model: scorer(), rubric: { ...rubric, criteria } })
    const verdict = await judge.scoreOne({ messages, completion: 'thank you' })
    // The last choice of a veto is false, which this model favours: the whole score is the lowest.
    expect(verdict).toMatchObject({ score: 1, criteria: { honest: 0 } })
  })

  it('turns a failing model into unscored verdicts', async () => {
    const model: NativeScorer = { ...scorer(), choiceLogProbs: () => Promise.reject(new Error('out of memory')) }
    const judge = await createJudge({ provider: 'native', model, rubric })
    expect(await judge.scoreOne({ messages, completion: 'x' })).toMatchObject({ score: null, detail: 'out of memory' })
  })

  it('refuses what it cannot do', async () => {
    await expect(createJudge({ provider: 'native', model: scorer(), rubric, reasoning: 'before' })).rejects.toThrow(
      /reasoning: none/
    )
    const fine: Rubric = { aim: 'x', scale: { low: 0, high: 100 } }
    await expect(createJudge({ provider: 'native', model: scorer(), rubric: fine })).rejects.toThrow(/whole numbers/)
  })
})

describe('a function as judge', () => {
  let folder: string
  beforeAll(() => (folder = mkdtempSync(join(tmpdir(), 'adjudge-function-'))))
  afterAll(() => rmSync(folder, { recursive: true }))

  it('is loaded from TypeScript', async () => {
    const file = join(folder, 'short.ts')
    writeFileSync(
      file,
      'export default ({ completion }: { completion: { text: string } }): number => completion.text.length < 5 ? 1 : 0\n'
    )
    const judge = await createJudge({ provider: 'function', function: file })
    const verdicts = await judge.scoreAll([
      { messages, completion: 'yes' },
      { messages, completion: 'certainly' }
    ])
    expect(verdicts.map(({ score }) => score)).toEqual([1, 0])
  })

  it('leaves an answer unscored where it throws or returns no number', async () => {
    const results: unknown[] = [null, NaN, 'high', undefined, { score: 'x' }]
    for (const result of results) {
      const judge = await createJudge({ provider: 'function', function: () => result as number })
      expect(await judge.scoreOne({ messages, completion: 'x' })).toMatchObject({
        score: null,
        reason: 'function_error'
      })
    }
    const hangs = await createJudge({ provider: 'function', function: () => new Promise(() => undefined), timeout: 30 })
    expect(await hangs.scoreOne({ messages, completion: 'x' })).toMatchObject({ score: null, reason: 'timeout' })
    const throws = await createJudge({
      provider: 'function',
      function: () => {
        throw new Error('boom')
      }
    })
    expect(await throws.scoreOne({ messages, completion: 'x' })).toMatchObject({ score: null, detail: 'boom' })
  })

  it('is refused where it is absent or no function', async () => {
    await expect(loadFunction(join(folder, 'absent.js'))).rejects.toMatchObject({ code: 'FUNCTION_INVALID' })
    writeFileSync(join(folder, 'five.mjs'), 'export default 5\n')
    await expect(loadFunction('five.mjs', folder)).rejects.toThrow(/default export is a number/)
  })
})
