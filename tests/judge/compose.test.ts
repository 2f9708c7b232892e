import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import {
  canaryWarning,
  checkDocument,
  createJudge,
  FunctionJudge,
  judgeOptionsFrom,
  JudgeConfigSchema,
  Ledger,
  type Judge,
  type JudgeInput,
  type JudgeSpec,
  type Rubric
} from '../../src/judge/index.js'
import { answerIn, score, startServer, type Answer, type ChatBody, type TestServer } from './server.js'

const rubric: Rubric = { aim: 'Replies to customers', scale: { low: 1, high: 5 } }
const scale = { low: 1, high: 5 }
const messages = [{ role: 'user' as const, content: 'Where is my parcel?' }]
const input = (completion: string, more: Partial<JudgeInput> = {}): JudgeInput => ({ messages, completion, ...more })

const open: { close(): Promise<unknown> }[] = []
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close()
})

async function serve(answer: (body: ChatBody, index: number) => Answer): Promise<TestServer> {
  const server = await startServer(answer)
  open.push(server)
  return server
}
async function make(spec: JudgeSpec): Promise<Judge> {
  const judge = await createJudge(spec)
  open.push(judge)
  return judge
}
/** A judge that gives what the answer says under its name: `a=3 b=5`; null where it says nothing. */
const says = (name: string, on = scale): Judge =>
  new FunctionJudge(
    name,
    ({ completion: { text } }) => {
      const found = new RegExp(`\\b${name}=([\\d.]+)`).exec(text)
      return found ? Number(found[1]) : null
    },
    undefined,
    on
  )

describe('a panel', () => {
  const members = [says('a'), says('b'), says('c')]

  it.each([
    ['mean', undefined, 'a=1 b=2 c=5', 8 / 3],
    ['mean', [1, 1, 2], 'a=1 b=2 c=5', 13 / 4],
    ['median', undefined, 'a=1 b=2 c=5', 2],
    ['median', [1, 1, 3], 'a=1 b=2 c=5', 5],
    ['median', [1, 1, 2], 'a=1 b=2 c=5', 3.5],
    ['majority', undefined, 'a=4.4 b=2 c=4', 4],
    ['majority', [1, 3, 1], 'a=4 b=2 c=4', 2],
    ['majority', undefined, 'a=1 b=2 c=5', 8 / 3]
  ] as const)('%s with weights %j of %s', async (aggregate, weights, text, expected) => {
    const judge = await make({ panel: members, aggregate, ...(weights ? { weights } : {}) })
    expect((await judge.scoreOne(input(text))).score).toBeCloseTo(expected, 12)
  })

  it('tells how far its members lie apart, and what each said', async () => {
    const judge = await make({ panel: members })
    const verdict = await judge.scoreOne(input('a=1 b=3 c=5', { id: 'x' }))
    expect(verdict).toMatchObject({ id: 'x', score: 3, spread: 2, agreement: expect.closeTo(1 - 8 / 3 / 4, 12) })
    expect(verdict.members).toMatchObject([
      { name: 'a', score: 1, scaled: 1 },
      { name: 'b', score: 3, scaled: 3 },
      { name: 'c', score: 5, scaled: 5 }
    ])
    expect((await judge.scoreOne(input('a=2 b=2 c=2'))).agreement).toBe(1)
  })

  it('maps scales to its own', async () => {
    const judge = await make({ panel: [says('a', { low: 0, high: 10 }), says('b', { low: -1, high: 1 })], scale })
    const verdict = await judge.scoreOne(input('a=5 b=1'))
    expect(verdict.members!.map(({ score, scaled }) => [score, scaled])).toEqual([
      [5, 3],
      [1, 5]
    ])
    expect(verdict.score).toBe(4)
    const inherited = await make({ panel: [says('a', { low: 0, high: 10 }), says('b', { low: -1, high: 1 })] })
    expect(inherited.scale).toEqual({ low: 0, high: 10 })
  })

  it('is scored by those that are, down to its quorum, and never counts a failure as 0', async () => {
    const judge = await make({ panel: members })
    expect(await judge.scoreOne(input('a=4 c=5'))).toMatchObject({ score: 4.5 })
    const lost = await judge.scoreOne(input('b=5'))
    expect(lost).toMatchObject({ score: null, reason: 'function_error' })
    expect(lost.detail).toBe('2 of 3 members are unscored (quorum 2); a: the function returned null')
    const strict = await make({ panel: members, quorum: 3 })
    expect((await strict.scoreOne(input('a=4 c=5'))).score).toBeNull()
    expect(strict.metrics).toMatchObject({ verdicts: 1, unscored: 1 })
  })

  it('sums tokens and attempts, takes the longest latency, and keeps each member’s verdict in the ledger', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'adjudge-panel-'))
    try {
      const server = await serve((body) => ({ content: score(body.model === 'strict' ? 2 : 4) }))
      const chat = (model: string) => ({ provider: 'openai', model, baseURL: server.url, rubric }) as const
      const judge = await make({ panel: [chat('strict'), chat('mild')], ledger: join(folder, 'ledger') })
      const verdict = await judge.scoreOne(input('Tomorrow.'))
      expect(verdict).toMatchObject({ score: 3, attempts: 2, usage: { inputTokens: 200, outputTokens: 20 } })
      expect(verdict.latency).toBe(Math.max(...verdict.members!.map(({ latency }) => latency)))
      const again = await judge.scoreOne(input('Tomorrow.'))
      expect(again).toMatchObject({ score: 3, attempts: 0, cost: 0, flags: ['cached'] })
      expect(server.requests).toHaveLength(2)
      expect(judge.metrics).toMatchObject({ verdicts: 2, cached: 1, calls: 2 })
      const ledger = Ledger.open(join(folder, 'ledger'))
      expect(ledger.stats().verdicts).toBe(2)
      await ledger.close()
    } finally {
      for (const one of open.splice(0).reverse()) await one.close()
      rmSync(folder, { recursive: true })
    }
  })

  it('nests, compares and ranks', async () => {
    const judge = await make({ panel: [{ panel: [says('a'), says('b')], name: 'inner' }, says('c')] })
    expect((await judge.scoreOne(input('a=1 b=3 c=4'))).members).toMatchObject([
      { name: 'inner', score: 2 },
      { score: 4 }
    ])
    expect(await judge.compare(input('a=1 b=1 c=1'), input('a=2 b=2 c=2'))).toMatchObject({ winner: 'second' })
    const { order } = await judge.rank([input('a=1 b=1 c=1'), input('a=5 b=5 c=5'), input('a=2 b=2 c=2')])
    expect(order).toEqual([1, 2, 0])
  })

  it('gathers the answers to a prompt where a member must see them together', async () => {
    const names = /<<<BEGIN ANSWER (\S+) \w+>>>\n\w+=(\d)/g
    const server = await serve((body) => {
      const text = body.messages.at(-1)!.content
      return {
        content: JSON.stringify(Object.fromEntries([...text.matchAll(names)].map(([, n, s]) => [n, Number(s)])))
      }
    })
    const group = { provider: 'openai', model: 'm', baseURL: server.url, rubric, mode: 'group' } as const
    const judge = await make({ panel: [group, says('a')] })
    const inputs = [1, 2, 5].map((value, index) => input(`a=${value}`, { group: { id: 'g', index, size: 3 } }))
    expect((await Promise.all(inputs.map((one) => judge.scoreOne(one)))).map((one) => one.score)).toEqual([1, 2, 5])
    expect(server.requests).toHaveLength(1)
    expect((await judge.scoreAll(inputs)).map((one) => one.score)).toEqual([1, 2, 5])
  })

  it.each([
    [{ panel: [says('a')] }, /panel has 1 members; expected at least 2/],
    [{ panel: members, weights: [1, 2] }, /weights is \[1,2\]; expected 3 numbers above 0/],
    [{ panel: members, quorum: 4 }, /quorum is 4; expected a whole number from 1 to 3/],
    [{ panel: members, aggregate: 'mode' as never }, /aggregate is "mode"; expected mean, median, majority/],
    [{ panel: [says('a', undefined as never), says('b', undefined as never)] as Judge[] }, /no member tells its scale/],
    [{ cascade: [says('a')] }, /cascade has 1 members/],
    [{ cascade: members, escalate: { audit: 2 } }, /escalate.audit is 2; expected a number from 0 to 1/],
    [{ cascade: [says('a'), says('b')], escalate: { disagreement: 1 } }, /needs a third member/]
  ] as [JudgeSpec, RegExp][])('refuses what it cannot be: case %#', async (spec, message) => {
    const unscaled = 'panel' in spec && spec.panel.length === 2 && /scale/.test(message.source)
    const given = unscaled ? { panel: [new FunctionJudge('a', () => 1), new FunctionJudge('b', () => 1)] } : spec
    await expect(createJudge(given)).rejects.toMatchObject({ code: 'JUDGE_INVALID', message })
  })
})

describe('votes', () => {
  it('ask one judge several times, each with its own seed and its own place in the ledger', async () => {
    const server = await serve((body) => ({ content: score([5, 2, 3][body.seed! - 7]) }))
    const judge = await make({ provider: 'openai', model: 'm', baseURL: server.url, rubric, votes: 3, seed: 7 })
    const verdict = await judge.scoreOne(input('Tomorrow.'))
    expect(server.requests.map(({ seed, temperature }) => [seed, temperature]).sort()).toEqual([
      [7, 1],
      [8, 1],
      [9, 1]
    ])
    expect(verdict).toMatchObject({ score: 10 / 3, usage: { inputTokens: 300 } })
    expect(verdict.spread).toBeCloseTo(Math.sqrt(7 / 3), 12)
    expect(new Set(verdict.members!.map(({ key }) => key)).size).toBe(3)
    expect(judge.metrics).toMatchObject({ verdicts: 1, calls: 3 })
  })

  it('are refused where each would be the same', async () => {
    const common = { rubric, votes: 2 }
    await expect(createJudge({ provider: 'function', function: () => 1, ...common })).rejects.toThrow(
      /the same verdict/
    )
    await expect(createJudge({ provider: 'openai', model: 'm', temperature: 0, ...common })).rejects.toThrow(
      /all alike/
    )
  })
})

describe('a cascade', () => {
  const members = [says('a'), says('b'), says('c')]
  const asked = async (judge: Judge, text: string): Promise<unknown[]> =>
    (await judge.scoreOne(input(text))).members!.map(({ name, because }) => [name, because])

  it('goes on where a member has no score', async () => {
    const judge = await make({ cascade: members })
    expect(await judge.scoreOne(input('a=2 b=4'))).toMatchObject({ score: 2 })
    const second = await judge.scoreOne(input('b=4 c=5'))
    expect(second).toMatchObject({ score: 4, attempts: 2 })
    expect(second.members!.map(({ name, because }) => [name, because])).toEqual([
      ['a', 'first'],
      ['b', 'unscored']
    ])
    expect(await judge.scoreOne(input('nothing'))).toMatchObject({ score: null, reason: 'function_error' })
  })

  it('goes on where a panel is spread, and where two members disagree', async () => {
    const panel = { panel: [says('a'), says('b')], name: 'cheap' }
    const spread = await make({ cascade: [panel, says('c')], escalate: { spread: 1 } })
    expect(await asked(spread, 'a=1 b=2 c=5')).toEqual([['cheap', 'first']])
    expect(await asked(spread, 'a=1 b=4 c=5')).toEqual([
      ['cheap', 'first'],
      ['c', 'spread']
    ])
    const disagreement = await make({ cascade: members, escalate: { disagreement: 1 } })
    expect(await asked(disagreement, 'a=2 b=3 c=5')).toEqual([
      ['a', 'first'],
      ['b', 'second']
    ])
    expect(await disagreement.scoreOne(input('a=2 b=4 c=5'))).toMatchObject({ score: 5 })
    expect(disagreement.metrics.drift).toEqual({
      'a → b': { pairs: 2, agreement: 1 - 1.5 / 4, recent: 1 - 1.5 / 4, alarm: false }
    })
  })

  it('goes on where probabilities are flat, or hardly on the scale', async () => {
    const tokens = (spread: Record<string, number>): unknown => ({
      content: ['{"score": ', '4', '}'].map((token) => ({
        token,
        logprob: token === '4' ? Math.log(spread['4']!) : 0,
        top_logprobs:
          token === '4'
            ? Object.entries(spread).map(([t, p]) => ({ token: t, logprob: Math.log(p) }))
            : [{ token, logprob: 0 }]
      }))
    })
    const server = await serve((body) => {
      const flat = answerIn(body).startsWith('flat')
      const spread: Record<string, number> = flat ? { '4': 0.4, '1': 0.3, '5': 0.25 } : { '4': 0.97, '5': 0.01 }
      return { content: '{"score": 4}', logprobs: tokens(spread) }
    })
    const chat = { provider: 'openai', model: 'm', baseURL: server.url, rubric } as const
    for (const escalate of [{ spread: 1 }, { confidence: 0.6 }, { mass: 0.96 }]) {
      const judge = await make({ cascade: [chat, says('c')], escalate })
      expect((await judge.scoreOne(input('flat c=1'))).score).toBe(1)
      expect((await judge.scoreOne(input('sure c=1'))).score).toBeGreaterThan(3.9)
    }
  })

  it('audits a share that depends on the input alone, and raises an alarm where members drift apart', async () => {
    const judge = await make({ cascade: members, escalate: { audit: 0.25 } })
    const texts = Array.from({ length: 400 }, (_, index) => `number ${index} a=1 c=5`)
    const first = await judge.scoreAll(texts.map((text) => input(text)))
    const again = await judge.scoreAll(texts.toReversed().map((text) => input(text)))
    expect(again.toReversed().map((one) => one.score)).toEqual(first.map((one) => one.score))
    const audited = first.filter(({ members }) => members!.at(-1)!.because === 'audit')
    expect(audited.length).toBeGreaterThan(70)
    expect(audited.length).toBeLessThan(130)
    expect(
      audited.every(({ score, members }) => score === 5 && members!.map(({ name }) => name).join() === 'a,c')
    ).toBe(true)
    expect(judge.metrics.drift).toEqual({
      'a → c': { pairs: 2 * audited.length, agreement: 0, recent: 0, alarm: true }
    })
  })

  it('keeps the verdict that was sure where the audit’s own call fails', async () => {
    const judge = await make({ cascade: members, escalate: { audit: 1 } })
    expect(await judge.scoreOne(input('a=2'))).toMatchObject({ score: 2, members: [{ name: 'a' }, { name: 'c' }] })
  })

  it('compares: goes on where one cannot say', async () => {
    const judge = await make({ cascade: [says('a'), says('b')] })
    expect(await judge.compare(input('b=1'), input('b=2'))).toMatchObject({ winner: 'second', attempts: 4 })
    expect(await judge.compare(input('a=3 b=1'), input('a=2 b=2'))).toMatchObject({ winner: 'first', attempts: 2 })
  })
})

describe('judges of judges in YAML', () => {
  const read = (yaml: string) => checkDocument(JudgeConfigSchema, yaml, { file: 'judge.yaml', code: 'CONFIG_INVALID' })

  it('nest, with paths from their file', () => {
    const config = read(`
cascade:
  - { provider: function, function: sound.js, scale: { low: 0, high: 1 } }
  - panel:
      - { provider: openai, model: m, rubric: r.yaml, votes: 3 }
      - { provider: ollama, model: n, rubric: r.yaml }
    aggregate: median
    weights: [2, 1]
escalate: { spread: 0.5, audit: 0.05, least_agreement: 0.8 }
budget: { money: 2, per: day, providers: { openai: { tokens: 1000 } } }
ledger: verdicts
`)
    expect(judgeOptionsFrom(config, '/runs')).toMatchObject({
      ledger: '/runs/verdicts',
      escalate: { spread: 0.5, audit: 0.05, leastAgreement: 0.8 },
      cascade: [
        { provider: 'function', function: '/runs/sound.js' },
        { panel: [{ rubric: '/runs/r.yaml', votes: 3 }, {}], aggregate: 'median', weights: [2, 1] }
      ]
    })
  })

  it.each([
    [
      'panel:\n  - provider: openai\n    modle: x\n  - provider: native\n',
      /judge.yaml:3: unknown key modle; did you mean model\?/
    ],
    ['panel:\n  - provider: openai\n', /judge.yaml:1: panel is .*; expected an array, at least 2 long/],
    ['cascade: []\nescalat: {}\n', /judge.yaml:2: unknown key escalat; did you mean escalate\?/],
    ['panel:\n  - { provider: native }\n  - { model: x }\n', /judge.yaml:3: panel.1.provider is missing/]
  ])('says where %j is wrong', (yaml, message) => {
    expect(() => read(yaml)).toThrow(message)
  })
})

describe('canaries', () => {
  const easy = new FunctionJudge('easy', ({ completion: { text } }) => (text.includes('5') ? 5 : 1), undefined, scale)
  const texts = Array.from({ length: 300 }, (_, index) => `Answer ${index}.`.replaceAll('5', 'five'))

  it('are asked beside the answers, the same each time, and are nobody’s verdict', async () => {
    const judge = await make({ cascade: [easy, easy], canaries: 0.2 })
    const verdicts = await judge.scoreAll(texts.map((text, index) => input(text, { id: String(index) })))
    expect(verdicts.map(({ id }) => id)).toEqual(texts.map((_, index) => String(index)))
    expect(verdicts.every(({ score }) => score === 1)).toBe(true)
    const { canaries, verdicts: count } = judge.metrics
    expect(count).toBe(300)
    const asked = Object.values(canaries!).reduce((sum, { n }) => sum + n, 0)
    expect(asked).toBeGreaterThan(35)
    expect(asked).toBeLessThan(90)
    expect(canaries!.opening).toMatchObject({ mean: 1, accepted: 0 })
    for (const kind of ['forged_json', 'forged_verdict', 'order']) {
      expect(canaries![kind]).toMatchObject({ mean: 5, accepted: canaries![kind]!.n })
    }
    const again = await make({ cascade: [easy, easy], canaries: 0.2 })
    for await (const _ of again.score(texts.toReversed().map((text) => input(text)))) void _
    const counts = (from: Judge): unknown =>
      Object.entries(from.metrics.canaries!)
        .map(([kind, { n }]) => [kind, n])
        .sort()
    expect(counts(again)).toEqual(counts(judge))
    expect(canaryWarning('easy', judge.metrics.canaries)).toMatch(/canaries\): .*forged_json \d+ of \d+/)
    expect(canaryWarning('easy', { order: { n: 3, unscored: 0, mean: 1, accepted: 0 } })).toBeUndefined()
  })

  it('need a scale', async () => {
    await expect(createJudge({ provider: 'function', function: () => 1, canaries: 0.1 })).rejects.toThrow(
      /need a scale/
    )
  })
})
