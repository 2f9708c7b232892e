import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { answerIn, score, startServer, type Answer, type ChatBody, type TestServer } from '../judge/server.js'
import { parquetWriteFile } from 'hyparquet-writer'
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

const scored = (body: ChatBody): { content: string } => {
  const answer = answerIn(body)
  return { content: answer === 'nonsense' ? 'no idea' : score(answer.length) }
}
/** Scores an answer by its length, unless it is told what to say. */
const byLength = (body: ChatBody): Answer => scored(body)

const judge = (...more: string[]): Promise<Ran> => judgeFile('answers.jsonl', '--out', file('verdicts.jsonl'), ...more)

const judgeFile = (name: string, ...more: string[]): Promise<Ran> => judgePath(file(name), ...more)
const judgeInput = (...more: string[]): Promise<Ran> => judgePath('-', ...more)

const judgePath = (path: string, ...more: string[]): Promise<Ran> =>
  cli(
    ...['judge', path, '--rubric', file('rubric.yaml'), '--model', 'test'],
    ...['--base-url', server!.url, '--api-key-env', 'PATH', ...more]
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

  it('says an interval and how the scores are spread, and writes the same as JSON', async () => {
    server = await startServer(byLength)
    writeFileSync(file('answers.csv'), 'question,reply\nHi,x\nHi,xxxx\nHo,xxxx\n')
    const { code, out, err } = await judgeFile('answers.csv', '--answer', 'reply', '--summary', file('summary.json'))
    expect(code).toBe(0)
    expect(err).toContain('fields taken: prompt from question')
    expect(out).toMatch(/95 % interval of the mean -1\.303 to 7\.303 \(Student's t, 2 degrees of freedom\)/)
    expect(out).toMatch(/ {2}1 {2}█{20} 1 \(33\.3 %\)\n {2}4 {2}█{40} 2 \(66\.7 %\)/)
    expect(JSON.parse(readFileSync(file('summary.json'), 'utf8'))).toMatchObject({
      format: 1,
      judge: 'openai:test',
      answers: 3,
      scored: 3,
      mean: 3,
      interval: { level: 0.95, method: 't' },
      histogram: [
        { low: 1, high: 1, count: 1 },
        { low: 4, high: 4, count: 2 }
      ],
      judged: 3,
      gates: { passed: true }
    })
  })

  it('ends with 3 where a limit for CI is not met, the verdicts written', async () => {
    server = await startServer(byLength)
    const answers = ['xx', 'xx', 'nonsense'].map((completion, id) => JSON.stringify({ id, prompt: 'Hi', completion }))
    writeFileSync(file('answers.jsonl'), answers.join('\n'))
    const low = await judge('--min-score', '2.5', '--summary', file('summary.json'))
    expect(low).toMatchObject({ code: 3, err: expect.stringContaining('--min-score 2.5: the mean is 2.000') })
    expect(rows('verdicts.jsonl')).toHaveLength(3)
    expect(readFileSync(file('summary.json'), 'utf8')).toContain('"passed": false')
    const many = await judge('--max-unscored', '10%')
    expect(many.code).toBe(3)
    expect(many.err).toContain('--max-unscored 10.0 %: 1 of 3 are unscored (33.3 %)')
    expect(await judge('--min-score', '2', '--max-unscored', '0.5')).toMatchObject({ code: 0 })
    expect(await judge('--max-unscored', '10')).toMatchObject({ code: 2, err: expect.stringContaining('0.05 or 5%') })
  })

  it('takes a judge with all it needs from one file, and a flag before it', async () => {
    server = await startServer(byLength)
    writeFileSync(file('answers.jsonl'), '{"prompt":"Hi","completion":"xxx"}\n')
    const config = {
      provider: 'openai',
      model: 'one',
      base_url: server.url,
      api_key_env: 'PATH',
      rubric: 'rubric.yaml'
    }
    writeFileSync(file('judge.yaml'), JSON.stringify({ ...config, name: 'mine', ledger: 'kept' }))
    const { code, out } = await cli('judge', file('answers.jsonl'), '--judge', file('judge.yaml'), '--model', 'two')
    expect(code).toBe(0)
    expect(out).toContain('mine: mean 3.000')
    expect(server.requests.map(({ model }) => model)).toEqual(['two'])
    expect(existsSync(file('kept'))).toBe(true)
    writeFileSync(file('judge.yaml'), 'provider: openai\nmodle: x\n')
    const wrong = await cli('judge', file('answers.jsonl'), '--judge', file('judge.yaml'))
    expect(wrong).toMatchObject({
      code: 1,
      err: expect.stringMatching(/judge\.yaml:2: unknown key modle; did you mean model/)
    })
  })

  it('reads Parquet, and gives verdicts to standard output with the summary beside it', async () => {
    server = await startServer(byLength)
    const data = ['x', 'xx', 'xxx']
    parquetWriteFile({
      filename: file('answers.parquet'),
      columnData: [
        { name: 'prompt', data: ['a', 'b', 'c'] },
        { name: 'response', data }
      ],
      rowGroupSize: 2
    })
    const { code, out, err } = await judgeFile('answers.parquet', '--out', '-')
    expect(code).toBe(0)
    const lines = out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { score: number; completion: string })
    expect(lines.map(({ score, completion }) => [score, completion])).toEqual(data.map((text, at) => [at + 1, text]))
    expect(err).toContain('mean 2.000')
    expect(existsSync(file('answers.verdicts.jsonl.ledger'))).toBe(true)
  })

  it('reads standard input', async () => {
    server = await startServer(byLength)
    const text = '{"prompt":"Hi","completion":"xx"}\n{"prompt":"Hi","completion":"xxxx"}'
    const input = vi.spyOn(process, 'stdin', 'get').mockReturnValue(Readable.from([Buffer.from(text)]) as never)
    const { code, out, err } = await judgeInput()
    input.mockRestore()
    expect(code).toBe(0)
    const lines = out.trim().split('\n')
    expect(lines.map((line) => (JSON.parse(line) as { score: number }).score)).toEqual([2, 4])
    expect(err).toContain('mean 3.000')
    expect(readdirSync(folder)).toEqual(['rubric.yaml'])
  })

  it('gives verdicts as they come where it is told to, with their places', async () => {
    server = await startServer((body) => ({ ...scored(body), delay: answerIn(body) === 'x' ? 150 : 0 }))
    writeFileSync(file('answers.jsonl'), '{"prompt":"Hi","completion":"x"}\n{"prompt":"Hi","completion":"xx"}\n')
    expect(await judge('--order', 'completed')).toMatchObject({ code: 0 })
    expect(rows('verdicts.jsonl')).toMatchObject([
      { index: 1, score: 2 },
      { index: 0, score: 1 }
    ])
  })

  it('hands all answers to a prompt to a mode that needs them together', async () => {
    server = await startServer((body) => {
      const text = body.messages.at(-1)!.content
      const shown = [...text.matchAll(/<<<BEGIN ANSWER (\w+) \w+>>>\n(x+)\n/g)]
      return { content: JSON.stringify(Object.fromEntries(shown.map(([, id, answer]) => [id, answer.length]))) }
    })
    const config = {
      provider: 'openai',
      model: 'm',
      base_url: server.url,
      api_key_env: 'PATH',
      rubric: 'rubric.yaml',
      mode: 'group'
    }
    writeFileSync(file('judge.yaml'), JSON.stringify(config))
    const answers = ['x', 'xxx', 'xxxx'].map((completion, index) => ({ prompt: index < 2 ? 'a' : 'b', completion }))
    writeFileSync(file('answers.jsonl'), answers.map((answer) => JSON.stringify(answer)).join('\n'))
    const { code } = await cli('judge', file('answers.jsonl'), '--judge', file('judge.yaml'))
    expect(code).toBe(0)
    expect(server.requests).toHaveLength(2)
    expect(rows('answers.verdicts.jsonl')).toMatchObject([{ score: 1 }, { score: 3 }, { score: 4 }])
  })

  it('asks nothing in a dry run, and says what it would cost', async () => {
    writeFileSync(file('answers.jsonl'), '{"prompt":"Hi","completion":"x"}\n{"prompt":"Ho","completion":"xx"}\n')
    const { code, out } = await cli(
      ...['judge', file('answers.jsonl'), '--rubric', file('rubric.yaml'), '--model', 'gpt-5-mini', '--dry-run']
    )
    expect(code).toBe(0)
    expect(out).toMatch(/2 answers, 2 calls, nothing was asked\nopenai:gpt-5-mini: about \d+ tokens of prompts/)
    expect(out).toMatch(/cost \$0\.000\d to \$0\.00\d\d \(list prices of \d{4}-\d\d-\d\d\)/)
    expect(readdirSync(folder).sort()).toEqual(['answers.jsonl', 'rubric.yaml'])
  })

  it('serves its counters, and writes them to a file', async () => {
    const free = await startServer(byLength)
    const { port } = free
    await free.close()
    let served = Promise.resolve('')
    server = await startServer((body) => {
      served = fetch(`http://127.0.0.1:${port}/metrics`).then((response) => response.text())
      return { ...scored(body), delay: 100 }
    })
    writeFileSync(file('answers.jsonl'), '{"prompt":"Hi","completion":"x"}\n')
    const flags = ['--metrics-port', String(port), '--metrics-file', file('metrics.prom'), '--model', 'counted']
    expect(await judge(...flags)).toMatchObject({ code: 0, err: expect.stringContaining('metrics: http://127.0.0.1') })
    expect(await served).toContain('# TYPE adjudge_judge_verdict_seconds histogram')
    expect(readFileSync(file('metrics.prom'), 'utf8')).toMatch(/verdicts_total\{.*model="counted".*reason="scored"\} 1/)
    await expect(fetch(`http://127.0.0.1:${port}/metrics`)).rejects.toThrow()
  })

  it('stopped by Ctrl-C, says how to go on, and the same command asks only for the rest', async () => {
    let hangs = true
    server = await startServer((body) => {
      if (answerIn(body) !== 'xxx' || !hangs) return scored(body)
      hangs = false
      setTimeout(() => process.emit('SIGINT'), 100)
      return 'hang'
    })
    const answers = ['x', 'xx', 'xxx'].map((completion) => JSON.stringify({ prompt: 'Hi', completion }))
    writeFileSync(file('answers.jsonl'), answers.join('\n'))
    const stopped = await judge()
    expect(stopped.code).toBe(130)
    expect(stopped.err).toMatch(
      /stopped after 2 answers\nwhat was judged is in the ledger .*; the same command goes on/
    )
    expect(stopped.err).toMatch(/ {2}adjudge judge \S+answers\.jsonl --rubric \S+ --model test .*--out \S+\n/)
    expect(existsSync(file('verdicts.jsonl'))).toBe(false)
    const { code, out } = await judge()
    expect(code).toBe(0)
    expect(server.requests).toHaveLength(4)
    expect(out).toContain('judged 1, from the ledger 2')
  })

  it('ends with 4 where a budget is reached, and goes on where it is raised', async () => {
    server = await startServer(byLength)
    const answers = ['x', 'xx', 'xxx', 'xxxx'].map((completion) => JSON.stringify({ prompt: 'Hi', completion }))
    writeFileSync(file('answers.jsonl'), answers.join('\n'))
    const config = { provider: 'openai', model: 'm', base_url: server.url, api_key_env: 'PATH', rubric: 'rubric.yaml' }
    const configure = (tokens: number): void =>
      writeFileSync(file('judge.yaml'), JSON.stringify({ ...config, concurrency: 1, budget: { tokens } }))
    configure(600)
    const paused = await cli('judge', file('answers.jsonl'), '--judge', file('judge.yaml'))
    expect(paused.code).toBe(4)
    expect(paused.err).toMatch(/the budget is reached after \d answers: .*600/)
    const asked = server.requests.length
    expect(asked).toBeLessThan(4)
    configure(6000)
    expect(await cli('judge', file('answers.jsonl'), '--judge', file('judge.yaml'))).toMatchObject({ code: 0 })
    expect(server.requests).toHaveLength(4)
  })

  it('says a panel whole, and takes no flag for one of its members', async () => {
    server = await startServer(byLength)
    writeFileSync(file('answers.jsonl'), '{"prompt":"Hi","completion":"xxx"}\n')
    const member = (model: string): object => ({
      ...{ provider: 'openai', model, base_url: server!.url, api_key_env: 'PATH', rubric: 'rubric.yaml' }
    })
    writeFileSync(file('judge.yaml'), JSON.stringify({ panel: [member('one'), member('two')] }))
    const { code, out } = await cli('judge', file('answers.jsonl'), '--judge', file('judge.yaml'))
    expect(code).toBe(0)
    expect(out).toContain('panel: mean 3.000')
    expect(out).toContain('agreement of the members: 100.0 %')
    expect(out).toContain('judged 1, from the ledger 0')
    const dry = await cli('judge', file('answers.jsonl'), '--judge', file('judge.yaml'), '--dry-run')
    expect(dry.out).toContain('1 answers, 2 calls, nothing was asked')
    const wrong = await cli('judge', file('answers.jsonl'), '--judge', file('judge.yaml'), '--model', 'x')
    expect(wrong).toMatchObject({
      code: 1,
      err: expect.stringContaining('has several judges: --model cannot be given')
    })
  })

  it('tells of canaries that the judge accepted', async () => {
    server = await startServer(() => ({ content: score(5) }))
    const answers = Array.from({ length: 20 }, (_, index) => ({ prompt: `Question ${index}`, completion: 'xxx' }))
    writeFileSync(file('answers.jsonl'), answers.map((answer) => JSON.stringify(answer)).join('\n'))
    const config = { provider: 'openai', model: 'm', base_url: server.url, api_key_env: 'PATH', rubric: 'rubric.yaml' }
    writeFileSync(file('judge.yaml'), JSON.stringify({ ...config, canaries: 1 }))
    const { out, err } = await cli(
      'judge',
      file('answers.jsonl'),
      '--judge',
      file('judge.yaml'),
      '--summary',
      file('s.json')
    )
    expect(out).toContain('20 of 20 scored')
    expect(out).toMatch(/canaries \w+: mean 5\.000 of (\d+), above the middle \1/)
    expect(err).toContain('answers that deserve nothing (canaries)')
    expect(JSON.parse(readFileSync(file('s.json'), 'utf8'))).toHaveProperty('canaries')
  })
})
