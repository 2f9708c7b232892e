import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { createJudge, type Judge, type Verdict } from '../../src/judge/index.js'

const folder = mkdtempSync(join(tmpdir(), 'adjudge-thread-'))
afterAll(() => rmSync(folder, { recursive: true }))

let files = 0
async function using<T>(source: string, timeout: number, use: (judge: Judge) => Promise<T>): Promise<T> {
  const file = join(folder, `f${files++}.mjs`)
  writeFileSync(file, source)
  const judge = await createJudge({ provider: 'function', function: file, timeout })
  try {
    return await use(judge)
  } finally {
    await judge.close()
  }
}
const inputsOf = (texts: string[]) =>
  texts.map((completion, index) => ({
    id: `${index}`,
    messages: [{ role: 'user' as const, content: 'q' }],
    completion
  }))
const outcomes = (verdicts: Verdict[]) => verdicts.map(({ score, reason }) => score ?? reason)

describe('a function from a file', () => {
  it('that never ends is ended, and the others of its batch are scored', async () => {
    const source = 'export default ({ completion: { text } }) => { while (text === "loop"); return text.length }'
    const texts = ['a', 'bb', 'loop', 'ccc']
    const verdicts = await using(source, 150, (judge) => judge.scoreAll(inputsOf(texts)))
    expect(outcomes(verdicts)).toEqual([1, 2, 'timeout', 3])
    expect(verdicts.map(({ id }) => id)).toEqual(texts.map((_, index) => `${index}`))
  })

  it('that blocks after a promise is found among its batch', async () => {
    const source =
      'export default async ({ completion: { text } }) => { await null; while (text === "loop"); return text.length }'
    const verdicts = await using(source, 100, (judge) => judge.scoreAll(inputsOf(['a', 'loop', 'bb'])))
    expect(outcomes(verdicts)).toEqual([1, 'timeout', 2])
  })

  it('waits for promises side by side, and ends those that never come', async () => {
    const source = `export default ({ completion: { text } }) =>
      new Promise((resolve) => text === 'never' || setTimeout(() => resolve(text.length), 100))`
    const texts = [...Array.from({ length: 40 }, () => 'abc'), 'never']
    const verdicts = await using(source, 1500, (judge) => judge.scoreAll(inputsOf(texts)))
    expect(outcomes(verdicts)).toEqual([...Array.from({ length: 40 }, () => 3), 'timeout'])
  })

  it('leaves the event loop free', async () => {
    const source = 'export default () => { const end = Date.now() + 300; while (Date.now() < end); return 1 }'
    await using(source, 5_000, async (judge) => {
      let turns = 0
      const timer = setInterval(() => turns++, 5)
      const verdicts = await judge.scoreAll(inputsOf(['a', 'b']))
      clearInterval(timer)
      expect(outcomes(verdicts)).toEqual([1, 1])
      expect(turns).toBeGreaterThan(5)
    })
  })

  it('that ends its thread is unscored, and the others are not', async () => {
    const source = 'export default ({ completion: { text } }) => { if (text === "exit") process.exit(3); return 1 }'
    const verdicts = await using(source, 5_000, (judge) => judge.scoreAll(inputsOf(['a', 'exit', 'b'])))
    expect(outcomes(verdicts)).toEqual([1, 'function_error', 1])
  })

  it('is cancelled at once', async () => {
    await using('export default () => { for (;;); }', 300, async (judge) => {
      const controller = new AbortController()
      const verdict = judge.scoreOne(inputsOf(['a'])[0]!, { signal: controller.signal })
      setTimeout(() => controller.abort(), 20)
      expect(await verdict).toMatchObject({ score: null, reason: 'cancelled' })
    })
  })

  it('is refused where it cannot be loaded', async () => {
    await expect(using('export default 5', 100, () => Promise.resolve())).rejects.toMatchObject({
      code: 'FUNCTION_INVALID',
      message: expect.stringContaining('default export is a number')
    })
  })
})
