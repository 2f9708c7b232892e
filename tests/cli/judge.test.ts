import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { answerIn, score, startServer, type Answer, type ChatBody, type TestServer } from '../judge/server.js'
import { cli, type Ran } from './cli.js'

let folder: string
let server: TestServer | undefined
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'adjudge-cli-'))
  writeFileSync(file('rubric.yaml'), 'aim: Replies\nscale: { low: 1, high: 5 }\n')
})
afterEach(async () => {
  await server?.close()
  server = undefined
  rmSync(folder, { recursive: true })
})

const file = (name: string): string => join(folder, name)
const rows = (name: string): Record<string, unknown>[] =>
  readFileSync(file(name), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>)

/** Scores an answer by its length, unless it is told what to say. */
const byLength = (body: ChatBody): Answer => {
  const answer = answerIn(body)
  return { content: answer === 'nonsense' ? 'no idea' : score(answer.length) }
}

const judge = (...more: string[]): Promise<Ran> =>
  cli(
    ...['judge', file('answers.jsonl'), '--rubric', file('rubric.yaml'), '--model', 'test'],
    ...['--base-url', server!.url, '--api-key-env', 'PATH', '--out', file('verdicts.jsonl'), ...more]
  )

describe('adjudge judge', () => {
  it('writes verdicts in order, says mean and standard error, and counts the unscored by reason', async () => {
    server = await startServer(byLength)
    const answers = [
      { id: 'a', prompt: 'Hi', completion: 'x' },
      {
        id: 'b',
        messages: [
          { role: 'user', content: 'Hi' },
          { role: 'assistant', content: 'xxxx' }
        ]
      },
      { id: 'c', prompt: 'Hi', completion: 'nonsense' }
    ]
    writeFileSync(file('answers.jsonl'), answers.map((answer) => JSON.stringify(answer)).join('\n'))
    const { code, out } = await judge()
    expect(code).toBe(0)
    expect(out).toContain('mean 2.500 ± 1.500 (standard error), 2 of 3 scored')
    expect(out).toContain('unscored 1: unparseable 1')
    expect(rows('verdicts.jsonl')).toMatchObject([
      { format: 1, id: 'a', score: 1, usage: { input_tokens: 100, output_tokens: 10 } },
      { id: 'b', score: 4 },
      { id: 'c', score: null, reason: 'unparseable' }
    ])
  })

  it('asks a second time only for what has no score yet', async () => {
    server = await startServer(byLength)
    writeFileSync(file('answers.jsonl'), '{"prompt":"Hi","completion":"x"}\n{"prompt":"Hi","completion":"xx"}\n')
    await judge('--limit', '1')
    expect(server.requests).toHaveLength(1)
    const { out } = await judge()
    expect(server.requests).toHaveLength(2)
    expect(out).toContain('judged 1, from the ledger 1')
    expect(rows('verdicts.jsonl')).toMatchObject([{ score: 1, flags: ['cached'] }, { score: 2 }])
  })

  it('shows the judge the images of a conversation, and keeps them beside the verdict', async () => {
    server = await startServer(() => ({ content: score(3) }))
    const content = [
      { type: 'text', text: 'What is this?' },
      { type: 'image_url', image_url: { url: 'https://example.com/cat.png' } }
    ]
    const messages = [
      { role: 'user', content },
      { role: 'assistant', content: 'A cat.' }
    ]
    writeFileSync(file('answers.jsonl'), `${JSON.stringify({ messages })}\n`)
    expect((await judge()).out).toContain('1 of 1 scored')
    expect(server.requests[0]!.messages.at(-1)!.content).toContainEqual(content[1])
    expect(rows('verdicts.jsonl')).toMatchObject([{ messages: [{ role: 'user', content }], completion: 'A cat.' }])
  })

  it('warns of a server that does not answer, and takes from the ledger what is there', async () => {
    server = await startServer(byLength)
    writeFileSync(file('answers.jsonl'), '{"prompt":"Hi","completion":"x"}\n')
    expect((await judge()).err).not.toContain('does not answer')
    await server.close()
    const { code, out, err } = await judge()
    expect(code).toBe(0)
    expect(out).toContain('judged 0, from the ledger 1')
    expect(err).toMatch(/the judge's server does not answer, calls are tried again: http.*ECONNREFUSED/)
  })

  it('fails where nothing is scored, and still leaves the verdicts that tell why', async () => {
    server = await startServer(() => ({ content: 'what?' }))
    writeFileSync(file('answers.jsonl'), '{"prompt":"Hi","completion":"x"}\n')
    const { code, err } = await judge()
    expect(code).toBe(1)
    expect(err).toContain('ALL_UNSCORED')
    expect(rows('verdicts.jsonl')).toMatchObject([{ score: null }])
  })

  it('leaves no half-written file where an answer is missing, and names its line', async () => {
    server = await startServer(byLength)
    writeFileSync(file('answers.jsonl'), '{"prompt":"Hi","completion":"x"}\n{"prompt":"Hi"}\n')
    const { code, err } = await judge()
    expect(code).toBe(1)
    expect(err).toMatch(/DATA_INVALID\n.*answers\.jsonl:2: field completion is missing/)
    expect(existsSync(file('verdicts.jsonl'))).toBe(false)
    expect(readdirSync(folder).filter((name) => name.endsWith('.part'))).toEqual([])
  })

  it('scores by a grader or a function, from CSV, with another field for the answer', async () => {
    writeFileSync(file('answers.csv'), 'prompt,said,label\n2+2,4,4\n3+3,7,6\n')
    writeFileSync(
      file('grader.yaml'),
      'type: string_check\nname: right\noperation: eq\ninput: "{{ sample.output_text }}"\nreference: "{{ item.label }}"\n'
    )
    const graded = await cli('judge', file('answers.csv'), '--grader', file('grader.yaml'), '--answer', 'said')
    expect(graded.out).toContain('right: mean 0.500')
    expect(rows('answers.verdicts.jsonl')).toMatchObject([{ id: '0', score: 1 }, { score: 0 }])
    writeFileSync(file('long.mjs'), 'export default ({ completion }) => completion.text.length')
    const counted = await cli('judge', file('answers.csv'), '--function', file('long.mjs'), '--answer', 'said')
    expect(counted.out).toContain('mean 1.000')
  })

  it('answers wrong usage with what was expected', async () => {
    writeFileSync(file('answers.jsonl'), '{"prompt":"Hi","completion":"x"}\n')
    expect(await cli('judge', file('answers.jsonl'))).toMatchObject({
      code: 1,
      err: expect.stringContaining('exactly one of --rubric, --grader and --function')
    })
    expect(await cli('judge', file('none.jsonl'))).toMatchObject({
      code: 1,
      err: expect.stringContaining('FILE_NOT_FOUND')
    })
    expect(await cli('judge', 'a', '--concurrency', 'few')).toMatchObject({
      code: 2,
      err: expect.stringContaining('positive whole number')
    })
    expect(await cli('jugde')).toMatchObject({ code: 2, err: expect.stringContaining('Did you mean judge?') })
  })
})
