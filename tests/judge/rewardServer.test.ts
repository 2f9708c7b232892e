import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { createJudge, judgeOptionsFrom, type JudgeInput, type RewardShape } from '../../src/judge/index.js'

let server: Server
afterEach(() => server.close())

interface Asked {
  path: string
  body: ReturnType<typeof JSON.parse>
}

/** A reward server; `answer` gives the JSON, or a status to fail with. */
async function start(answer: (asked: Asked, index: number) => unknown): Promise<{ url: string; asked: Asked[] }> {
  const asked: Asked[] = []
  server = createServer((request, response) => {
    let text = ''
    request.on('data', (chunk) => (text += String(chunk)))
    request.on('end', () => {
      asked.push({ path: request.url!, body: JSON.parse(text) })
      const reply = answer(asked.at(-1)!, asked.length - 1)
      if (typeof reply === 'number' && reply >= 400) response.writeHead(reply).end('{}')
      else response.end(JSON.stringify(reply))
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked }
}

const inputs: JudgeInput[] = ['a', 'bb', 'ccc'].map((completion, index) => ({
  id: `item ${index}`,
  messages: [{ role: 'user', content: 'Question? ' }],
  completion,
  reference: `r${index}`,
  item: { data_source: 'test', level: index }
}))

async function score(url: string, shape: RewardShape, given = inputs) {
  const judge = await createJudge({ provider: 'http', baseURL: url, shape })
  try {
    return await judge.scoreAll(given)
  } finally {
    await judge.close()
  }
}

describe('a reward server', () => {
  it('is asked as by OpenRLHF, in one request', async () => {
    const { url, asked } = await start(({ body }) => ({ rewards: body.query.map((query: string) => query.length) }))
    const verdicts = await score(url, 'openrlhf')
    expect(verdicts.map(({ score }) => score)).toEqual([11, 12, 13])
    expect(verdicts.map(({ id }) => id)).toEqual(['item 0', 'item 1', 'item 2'])
    expect(asked).toEqual([
      {
        path: '/get_reward',
        body: {
          query: ['Question? a', 'Question? bb', 'Question? ccc'],
          prompts: ['Question? ', 'Question? ', 'Question? '],
          labels: ['r0', 'r1', 'r2']
        }
      }
    ])
  })

  it('is asked with the arguments of a reward function of TRL', async () => {
    const { url, asked } = await start(({ body }) => body.level)
    expect((await score(`${url}/own/path`, 'trl')).map(({ score }) => score)).toEqual([0, 1, 2])
    expect(asked[0]).toEqual({
      path: '/own/path',
      body: {
        prompts: inputs.map(({ messages }) => messages),
        completions: inputs.map(({ completion }) => [{ role: 'assistant', content: completion }]),
        data_source: ['test', 'test', 'test'],
        level: [0, 1, 2]
      }
    })
  })

  it('is asked with the arguments of compute_score of verl, one by one', async () => {
    const { url, asked } = await start(({ body }) => ({ score: body.solution_str.length, acc: 1 }))
    expect((await score(url, 'verl')).map(({ score }) => score)).toEqual([1, 2, 3])
    expect(asked).toHaveLength(3)
    expect(asked.map(({ body }) => body.ground_truth).sort()).toEqual(['r0', 'r1', 'r2'])
    expect(asked[0]!.body).toMatchObject({ data_source: 'test', extra_info: { prompt: 'Question? ' } })
  })

  it('is asked with ids as by Nova, whatever the order of the rewards', async () => {
    const { url, asked } = await start(({ body }) =>
      body
        .map(({ id, messages }: { id: string; messages: { content: string }[] }) => ({
          id,
          aggregate_reward_score: messages.at(-1)!.content.length,
          metrics_list: [{ name: 'length', value: 1, type: 'Metric' }]
        }))
        .reverse()
    )
    expect((await score(url, 'nova')).map(({ score }) => score)).toEqual([1, 2, 3])
    expect(asked[0]!.body[0].metadata).toEqual({ data_source: 'test', level: 0, reference_answer: 'r0' })
  })

  it('leaves an answer unscored whose reward is missing, no number or out of place', async () => {
    const { url } = await start(() => ({ rewards: [0.5, null, 'NaN'] }))
    expect((await score(url, 'openrlhf')).map(({ score, reason }) => [score, reason])).toEqual([
      [0.5, undefined],
      [null, 'provider_error'],
      [null, 'provider_error']
    ])
    server.close()
    const short = await start(() => ({ rewards: [0.5, 0.6] }))
    expect((await score(short.url, 'openrlhf')).map(({ score }) => score)).toEqual([null, null, null])
    server.close()
    const twice = await start(({ body }) => body.map(() => ({ id: body[0].id, aggregate_reward_score: 1 })))
    const [verdict] = await score(twice.url, 'nova')
    expect(verdict).toMatchObject({ score: null, detail: expect.stringContaining('twice') })
  })

  it('is asked again where it fails, and an empty answer is not sent', async () => {
    const { url, asked } = await start(({ body }, index) => (index === 0 ? 500 : { rewards: body.query.map(() => 1) }))
    const verdicts = await score(url, 'openrlhf', [...inputs, { ...inputs[0]!, completion: ' ' }])
    expect(verdicts.map(({ score }) => score)).toEqual([1, 1, 1, null])
    expect(verdicts[3]).toMatchObject({ reason: 'empty_answer' })
    expect(asked.length).toBeGreaterThan(1)
  })

  it('takes no rubric, and needs an address and a known shape', async () => {
    await start(() => 0)
    const invalid = { code: 'JUDGE_INVALID' }
    await expect(createJudge({ provider: 'http' })).rejects.toMatchObject(invalid)
    await expect(createJudge({ provider: 'http', baseURL: 'http://127.0.0.1:1', shape: 'x' as never })).rejects.toThrow(
      /shape.*openrlhf, trl, verl, nova/
    )
    const rubric = { aim: 'x', scale: { low: 1, high: 5 } }
    await expect(createJudge({ provider: 'http', baseURL: 'http://127.0.0.1:1', rubric })).rejects.toThrow(/rubric/)
    expect(judgeOptionsFrom({ provider: 'http', base_url: 'http://127.0.0.1:1', shape: 'nova' }, '/')).toEqual({
      provider: 'http',
      baseURL: 'http://127.0.0.1:1',
      shape: 'nova'
    })
  })
})
