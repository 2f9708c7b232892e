import { describe, expect, it } from 'vitest'
import { createGrader, type Grader, type GraderSpec, type GraderVerdict } from '../../src/graders/index.js'

const code = (source: string, more: Partial<GraderSpec> = {}): GraderSpec => ({ type: 'javascript', source, ...more })
const grade = (grader: Grader, completion: string): Promise<GraderVerdict> => grader.grade({ messages: [], completion })

describe('javascript on a worker thread', () => {
  it('does not hold up this thread, and grades on after code that ran away', async () => {
    const grader = await createGrader(
      code('function grade(sample) { if (sample.output_text === "run") for (;;); return 1 }', { timeout: 300 })
    )
    let ticks = 0
    const timer = setInterval(() => ticks++, 10)
    const verdict = await grade(grader, 'run')
    clearInterval(timer)
    expect(verdict).toMatchObject({ score: null, reason: 'function_error' })
    expect(verdict.errors?.python_grader_runtime_error).toMatch(/timed out after 300ms/)
    expect(ticks).toBeGreaterThan(5)
    expect(await grade(grader, 'walk')).toMatchObject({ score: 1 })
    await grader.close()
  })

  it('counts what a promise goes on with into the time limit', async () => {
    const grader = await createGrader(
      code('function grade() { Promise.resolve().then(() => { for (;;); }); return 1 }', { timeout: 100 })
    )
    expect(await grade(grader, 'x')).toMatchObject({ score: null })
    await grader.close()
  })

  it('ends code that takes too much memory, alone', async () => {
    const grader = await createGrader(
      code(
        'function grade(sample) { if (sample.output_text !== "much") return 1; const all = []; for (;;) all.push({ all, n: [all.length] }) }',
        { memory: 16, timeout: 60_000 }
      )
    )
    const verdict = await grade(grader, 'much')
    expect(verdict.errors?.python_grader_server_error).toMatch(/memory is limited to 16 MB/)
    expect(verdict.score).toBeNull()
    expect(await grade(grader, 'little')).toMatchObject({ score: 1 })
    await grader.close()
  })

  it('keeps nothing in its variables from one item to the next', async () => {
    const grader = await createGrader(code('let seen = 0\nfunction grade() { return ++seen }'))
    const verdicts = await Promise.all(['a', 'b', 'c'].map((text) => grade(grader, text)))
    expect(verdicts.map(({ score }) => score)).toEqual([1, 1, 1])
    await grader.close()
  })

  it('sees the sample and the item, and no environment', async () => {
    const grader = await createGrader(
      code(`const grade = ({ output_json: { a }, output_tools }, { b }) =>
        typeof process === 'undefined' && typeof require === 'undefined' ? a + b + output_tools.length : -1`)
    )
    const input = { messages: [], completion: '{"a": 1}', item: { b: 2 } }
    expect(await grader.grade(input, { sample: { output_tools: [{}] } })).toMatchObject({ score: 4 })
    await grader.close()
  })

  it.each([
    [{ timeout: 0 }, /timeout is 0/],
    [{ memory: 'much' }, /memory is "much"/],
    [{ source: `function grade() {} // ${'x'.repeat(300_000)}` }, /longer than 262144 bytes/],
    [{ source: '(() => { return 1 }' }, /cannot be used/]
  ])('%# is refused', async (more, message) => {
    await expect(createGrader(code('function grade() { return 1 }', more))).rejects.toThrow(message)
  })

  it('python is refused with its equivalent', async () => {
    await expect(createGrader({ type: 'python', source: 'def grade(sample, item): return 1' })).rejects.toThrow(
      /Python code is not run here; .*javascript with source: function grade\(sample, item\)/
    )
  })
})
