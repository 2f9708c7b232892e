import { afterEach, describe, expect, it } from 'vitest'
import {
  bradleyTerry,
  createJudge,
  type Game,
  type Judge,
  type JudgeInput,
  type JudgeOptions,
  type Mode,
  type Rubric
} from '../../src/judge/index.js'
import { startServer, type Answer, type ChatBody, type TestServer } from './server.js'

const rubric: Rubric = { aim: 'Replies to customers', scale: { low: 1, high: 5 } }
const messages = [{ role: 'user' as const, content: 'Where is my parcel?' }]
const input = (completion: string, more: Partial<JudgeInput> = {}): JudgeInput => ({ messages, completion, ...more })

let server: TestServer | undefined
let judge: Judge | undefined
afterEach(async () => {
  await judge?.close()
  await server?.close()
  judge = server = undefined
})

async function start(
  answer: (body: ChatBody, index: number) => Answer,
  options: Partial<JudgeOptions> = {}
): Promise<Judge> {
  server = await startServer(answer)
  judge = await createJudge({ provider: 'openai', model: 'test', baseURL: server.url, rubric, ...options })
  return judge
}

/** What stands between the fences, by label. */
function materials(body: ChatBody): Record<string, string> {
  const user = body.messages.find(({ role }) => role === 'user')!.content
  return Object.fromEntries(
    [...user.matchAll(/<<<BEGIN ([A-Za-z ]+) \w+>>>\n([\s\S]*?)\n<<<END/g)].map(([, label, text]) => [label, text])
  )
}

/** A judge of the group form: an answer's score is the number in it. */
const groupAnswer = (
  body: ChatBody,
  change: (scores: Record<string, number>) => object = (scores) => scores
): Answer => {
  const scores = Object.entries(materials(body)).flatMap(([label, text]) =>
    label.startsWith('ANSWER ') ? [[label.slice(7), Number(/\d+(\.\d+)?/.exec(text)![0])] as const] : []
  )
  return { content: JSON.stringify(change(Object.fromEntries(scores))) }
}

/** Prefers the answer with the larger number. */
const fairPair = (body: ChatBody): Answer => {
  const { 'ANSWER A': a, 'ANSWER B': b } = materials(body)
  const [x, y] = [a, b].map((text) => Number(/\d+/.exec(text)![0]))
  return { content: JSON.stringify({ better: x > y ? 'A' : x < y ? 'B' : 'tie' }) }
}

const logprobsOf = (tokens: [string, Record<string, number>?][]): unknown => ({
  content: tokens.map(([token, spread]) => ({
    token,
    logprob: Math.log(spread?.[token] ?? 1),
    top_logprobs: Object.entries(spread ?? { [token]: 1 }).map(([other, probability]) => ({
      token: other,
      logprob: Math.log(probability)
    }))
  }))
})

describe('checklist', () => {
  const list: Rubric = {
    aim: 'Replies',
    scale: { low: 0, high: 10 },
    criteria: [
      { name: 'polite', weight: 1 },
      { name: 'complete', weight: 3 },
      { name: 'safe', veto: true }
    ]
  }

  it('scores the weighted share of what holds', async () => {
    const judge = await start(() => ({ content: '{"polite": false, "complete": true, "safe": true}' }), {
      rubric: list,
      mode: 'checklist'
    })
    const verdict = await judge.scoreOne(input('Soon.'))
    expect(verdict).toMatchObject({ score: 7.5, criteria: { polite: 0, complete: 1, safe: 1 } })
  })

  it('goes by the probabilities where they come back, and by the veto', async () => {
    const reply = (safe: number): Answer => ({
      content: `{"polite":true,"complete":false,"safe":${safe > 0.5}}`,
      logprobs: logprobsOf([
        ['{"polite":'],
        ['true', { true: 0.9, false: 0.1 }],
        [',"complete":'],
        ['false', { true: 0.2, false: 0.8 }],
        [',"safe":'],
        [String(safe > 0.5), { true: safe, false: 1 - safe }],
        ['}']
      ])
    })
    const judge = await start((_, index) => reply(index === 0 ? 0.75 : 0.25), { rubric: list, mode: 'checklist' })
    const verdict = await judge.scoreOne(input('Soon.'))
    expect(verdict.criteria!.polite).toBeCloseTo(0.9, 12)
    expect(verdict.criteria!.safe).toBeCloseTo(0.75, 12)
    expect(verdict.score).toBeCloseTo((10 * (0.9 + 3 * 0.2)) / 4, 12)
    expect(await judge.scoreOne(input('Never.'))).toMatchObject({ score: 0 })
  })

  it('needs criteria', async () => {
    await expect(start(() => ({ content: '' }), { mode: 'checklist' })).rejects.toMatchObject({
      code: 'RUBRIC_INVALID'
    })
  })
})

describe('label', () => {
  const labelled: Rubric = {
    aim: 'Tone',
    scale: { low: -1, high: 1 },
    labels: { kind: { score: 1 }, flat: { score: 0 }, rude: { score: -1, description: 'insults or mocks' } }
  }

  it('is the mode of a rubric with labels; the score is the mean over the probabilities', async () => {
    const judge = await start(
      (_, index) =>
        index === 0
          ? { content: '{"label": "flat"}' }
          : {
              content: '{"label":"kind"}',
              logprobs: logprobsOf([['{"label":"'], ['kind', { kind: 0.7, rude: 0.2, flat: 0.1 }], ['"}']])
            },
      { rubric: labelled }
    )
    expect(await judge.scoreOne(input('a'))).toMatchObject({ score: 0, label: 'flat' })
    const verdict = await judge.scoreOne(input('b'))
    expect(verdict.label).toBe('kind')
    expect(verdict.score).toBeCloseTo(0.5, 12)
    expect(server!.requests[0].messages[1].content).toContain('rude: insults or mocks')
  })

  it('refuses a label score off the scale, naming it', async () => {
    const wrong = { ...labelled, labels: { a: { score: 0 }, b: { score: 2 } } }
    await expect(start(() => ({ content: '' }), { rubric: wrong })).rejects.toThrow(/label b: score is 2.*-1 to 1/)
  })
})

describe('reference', () => {
  it('says how the reference is to be used, and leaves an item without one unscored', async () => {
    const judge = await start(() => ({ content: '{"score": 4}' }), { mode: 'reference' })
    expect(await judge.scoreOne(input('Monday', { reference: 'On Monday' }))).toMatchObject({ score: 4 })
    expect(server!.requests[0].messages[1].content).toContain('agrees with it in substance')
    const missing = await judge.scoreOne(input('Monday', { id: 'q7' }))
    expect(missing).toMatchObject({ score: null, reason: 'missing_reference' })
    expect(missing.detail).toContain('q7')
    expect(server!.requests).toHaveLength(1)
  })
})

describe('comparison of two answers', () => {
  it('asks in both orders and agrees with a fair judge', async () => {
    const judge = await start(fairPair)
    expect(await judge.compare(input('2'), input('5'))).toMatchObject({
      preference: 0,
      winner: 'second',
      orders: [0, 0]
    })
    expect(server!.requests).toHaveLength(2)
    expect(await judge.compare(input('5'), input('2'))).toMatchObject({ preference: 1, winner: 'first' })
  })

  it('is a tie, counted, where the judge goes by the place', async () => {
    const judge = await start(() => ({ content: '{"better": "A"}' }))
    const result = await judge.compare(input('2'), input('5'))
    expect(result).toMatchObject({ preference: 0.5, winner: 'tie', orders: [1, 0], flags: ['swap_flip'] })
  })

  it('is the mean of the probabilities where they come back', async () => {
    const judge = await start((body) => {
      const first = materials(body)['ANSWER A'] === 'x1' ? 0.8 : 0.3
      return {
        content: '{"better":"A"}',
        logprobs: logprobsOf([['{"better":"'], ['A', { A: first, B: 0.9 - first, tie: 0.1 }], ['"}']])
      }
    })
    const result = await judge.compare(input('x1'), input('x2'))
    expect(result.preference).toBeCloseTo((0.85 + (1 - 0.35)) / 2, 12)
    expect(result.winner).toBe('first')
  })

  it('decides empty and equal answers by rule, and never turns a failure into a preference', async () => {
    const judge = await start(() => ({ content: 'I cannot say.' }))
    expect(await judge.compare(input('same'), input('same'))).toMatchObject({ preference: 0.5, attempts: 0 })
    expect(await judge.compare(input(''), input('word'))).toMatchObject({ preference: 0, attempts: 0 })
    expect(server!.requests).toHaveLength(0)
    const failed = await judge.compare(input('one'), input('two'))
    expect(failed).toMatchObject({ preference: null, winner: null, reason: 'unparseable' })
  })

  it('scores against the reference in mode pairwise', async () => {
    const judge = await start(fairPair, { mode: 'pairwise' })
    expect(await judge.scoreOne(input('7', { reference: '3' }))).toMatchObject({ score: 5 })
    expect(await judge.scoreOne(input('1', { reference: '3' }))).toMatchObject({ score: 1 })
    expect(await judge.scoreOne(input('1'))).toMatchObject({ score: null, reason: 'missing_reference' })
  })
})

describe('group', () => {
  const group = (texts: string[]): JudgeInput[] =>
    texts.map((text, index) => input(text, { id: `i${index}`, group: { id: 'g', index, size: texts.length } }))

  it('judges all answers in one call, equal ones once, empty ones by rule', async () => {
    const judge = await start((body) => groupAnswer(body), { mode: 'group' })
    const verdicts = await judge.scoreGroup(group(['score 3', 'score 5', '', 'score 3']))
    expect(verdicts.map(({ score }) => score)).toEqual([3, 5, 1, 3])
    expect(verdicts.map(({ id }) => id)).toEqual(['i0', 'i1', 'i2', 'i3'])
    expect(server!.requests).toHaveLength(1)
    expect(Object.keys(materials(server!.requests[0])).filter((label) => label.startsWith('ANSWER'))).toHaveLength(2)
    expect(verdicts.reduce((sum, { usage }) => sum + usage.inputTokens, 0)).toBe(100)
  })

  it('shows the same order whatever the order of arrival', async () => {
    const judge = await start((body) => groupAnswer(body), { mode: 'group' })
    await judge.scoreGroup(group(['4 a', '2 b', '5 c']))
    await judge.scoreGroup(group(['5 c', '4 a', '2 b']))
    expect(server!.requests[0].messages).toEqual(server!.requests[1].messages)
  })

  it('waits for the group where answers come one by one', async () => {
    const judge = await start((body) => groupAnswer(body), { mode: 'group' })
    const verdicts = await Promise.all(group(['score 2', 'score 4', 'score 1']).map((one) => judge.scoreOne(one)))
    expect(verdicts.map(({ score }) => score)).toEqual([2, 4, 1])
    expect(server!.requests).toHaveLength(1)
    expect(judge.metrics).toMatchObject({ verdicts: 3, calls: 1 })
  })

  it('gives up on a cancelled group', async () => {
    const judge = await start((body) => groupAnswer(body), { mode: 'group' })
    const stop = new AbortController()
    const waiting = judge.scoreOne(group(['1', '2'])[0], { signal: stop.signal })
    stop.abort()
    expect(await waiting).toMatchObject({ score: null, reason: 'cancelled' })
  })

  it('asks again for what is missing, and keeps what it has', async () => {
    const forget = (scores: Record<string, number>): object => {
      const names = Object.keys(scores)
      return { ...Object.fromEntries(names.slice(1).map((name) => [name, scores[name]])), zzzz: 5 }
    }
    const judge = await start((body) => groupAnswer(body, forget), { mode: 'group' })
    const verdicts = await judge.scoreGroup(group(['2 a', '4 b', '3 c']))
    expect(server!.requests).toHaveLength(2)
    expect(server!.requests[1].messages.at(-1)!.content).toMatch(/"[a-z]{4}" was missing/)
    const lost = verdicts.filter(({ score }) => score === null)
    expect(lost).toHaveLength(1)
    expect(lost[0]).toMatchObject({ reason: 'unparseable' })
    const values = ['2 a', '4 b', '3 c'].map((text) => Number(text[0]))
    verdicts.forEach(({ score }, index) => expect([null, values[index]]).toContain(score))
  })

  it('may judge a forgotten answer by itself', async () => {
    const judge = await start(
      (body) => {
        if ('ANSWER' in materials(body)) return { content: '{"score": 5}' }
        return groupAnswer(body, (scores) => Object.fromEntries(Object.entries(scores).slice(1)))
      },
      { mode: { type: 'group', missing: 'pointwise' } }
    )
    const verdicts = await judge.scoreGroup(group(['2 a', '2 b', '2 c']))
    expect(verdicts.map(({ score }) => score).sort()).toEqual([2, 2, 5])
  })

  it('joins the chunks of a long group, whose scores depend on their company', async () => {
    const quality = Array.from({ length: 40 }, (_, index) => 1 + ((index * 37) % 40))
    const judge = await start(
      // The best of a call gets 5 and the worst 1, wherever they stand among all.
      (body) =>
        groupAnswer(body, (scores) => {
          const values = Object.values(scores)
          const [low, high] = [Math.min(...values), Math.max(...values)]
          return Object.fromEntries(
            Object.entries(scores).map(([name, value]) => [name, Math.round(1 + (4 * (value - low)) / (high - low))])
          )
        }),
      { mode: { type: 'group', chunk: 10, overlap: 4, permutations: 3 } }
    )
    const verdicts = await judge.scoreGroup(group(quality.map((value) => `quality ${value}`)))
    const scores = verdicts.map(({ score }) => score!)
    expect(Math.min(...scores)).toBeGreaterThanOrEqual(1)
    expect(Math.max(...scores)).toBeLessThanOrEqual(5)
    expect(spearman(scores, quality)).toBeGreaterThan(0.95)
    for (const body of server!.requests) {
      const shown = Object.keys(materials(body)).filter((label) => label.startsWith('ANSWER')).length
      expect(shown).toBeLessThanOrEqual(10)
    }
  })

  it('takes groups of 1 and 17, and refuses an overlap that is no smaller than the chunk', async () => {
    const judge = await start((body) => groupAnswer(body), { mode: 'group' })
    expect((await judge.scoreGroup(group(['3'])))[0].score).toBe(3)
    const texts = Array.from({ length: 17 }, (_, index) => `${1 + (index % 5)} ${index}`)
    const scores = (await judge.scoreGroup(group(texts))).map(({ score }) => score!)
    expect(
      spearman(
        scores,
        texts.map((text) => Number(text[0]))
      )
    ).toBeGreaterThan(0.95)
    await expect(
      createJudge({ provider: 'openai', model: 'm', baseURL: server!.url, rubric, mode: { type: 'group', chunk: 2 } })
    ).rejects.toMatchObject({ code: 'JUDGE_INVALID' })
  })

  it('takes a stream by runs of one prompt', async () => {
    const judge = await start((body) => groupAnswer(body), { mode: 'group' })
    const other = [{ role: 'user' as const, content: 'And the invoice?' }]
    const rows: JudgeInput[] = [input('2'), input('4'), { messages: other, completion: '3' }]
    const scores: (number | null)[] = []
    for await (const { score } of judge.score(rows)) scores.push(score)
    expect(scores).toEqual([2, 4, 3])
    expect(server!.requests).toHaveLength(2)
  })
})

describe('tournament', () => {
  const texts = ['answer 4', 'answer 9', 'answer 1', 'answer 6', 'answer 3', 'answer 8', 'answer 2', 'answer 5']

  it.each(['all', 'swiss'] as const)('recovers the order of a fair judge (%s)', async (rounds) => {
    const judge = await start(fairPair)
    const ranking = await judge.rank(
      texts.map((text) => input(text)),
      { rounds }
    )
    expect(texts[ranking.order[0]]).toBe('answer 9')
    expect(texts[ranking.order.at(-1)!]).toBe('answer 1')
    if (rounds === 'all') expect(ranking.order.map((index) => texts[index].at(-1))).toEqual([...'98654321'])
    expect(ranking.comparisons).toHaveLength(rounds === 'all' ? 28 : 16)
    expect(ranking.standardErrors.every((error) => error! > 0)).toBe(true)
  })

  it('scores answers by their chance to win; with nothing to compare there is no score', async () => {
    const judge = await start(fairPair, { mode: 'tournament' })
    const verdicts = await judge.scoreGroup([input('3'), input('9'), input(''), input('5')])
    const [low, best, empty, middle] = verdicts.map(({ score }) => score!)
    expect(best).toBeGreaterThan(middle)
    expect(middle).toBeGreaterThan(low)
    expect(empty).toBe(1)
    expect(verdicts[1].rating).toBeGreaterThan(0)
    expect(await judge.scoreOne(input('3'))).toMatchObject({ score: null, reason: 'nothing_to_compare' })
  })

  it('counts the flips of a judge that goes by the place', async () => {
    const judge = await start(() => ({ content: '{"better": "B"}' }), { mode: 'tournament' })
    const verdicts = await judge.scoreGroup([input('3'), input('9')])
    for (const { score, flags } of verdicts) {
      expect(score).toBeCloseTo(3, 12)
      expect(flags).toContain('swap_flip')
    }
  })
})

describe('ratings', () => {
  it('are the most probable ones: brute force over a grid', () => {
    const games: Game[] = [
      { first: 0, second: 1, share: 1 },
      { first: 1, second: 2, share: 0.5 },
      { first: 0, second: 2, share: 0.8 }
    ]
    const logPosterior = (r: number[]): number =>
      games.reduce(
        (sum, { first, second, share }) => {
          const p = 1 / (1 + Math.exp(r[second] - r[first]))
          return sum + share * Math.log(p) + (1 - share) * Math.log(1 - p)
        },
        -r.reduce((sum, x) => sum + x * x, 0) / 8
      )
    const { ratings, standardErrors } = bradleyTerry(3, games)
    const best = logPosterior(ratings)
    for (let a = -3; a <= 3; a += 0.05) {
      for (let b = -3; b <= 3; b += 0.05) expect(logPosterior([a, b, -a - b])).toBeLessThanOrEqual(best + 1e-12)
    }
    // The information matrix by finite differences of the posterior.
    const h = 1e-4
    const second = [0, 1, 2].map((i) =>
      [0, 1, 2].map((j) => {
        const at = (di: number, dj: number): number =>
          logPosterior(ratings.map((r, k) => r + (k === i ? di * h : 0) + (k === j ? dj * h : 0)))
        return -(at(1, 1) - at(1, -1) - at(-1, 1) + at(-1, -1)) / (4 * h * h)
      })
    )
    const [[a, b, c], [, d, e], [, , f]] = second
    const determinant = a * (d * f - e * e) - b * (b * f - c * e) + c * (b * e - c * d)
    const inverse = [(d * f - e * e) / determinant, (a * f - c * c) / determinant, (a * d - b * b) / determinant]
    standardErrors.forEach((error, index) => expect(error).toBeCloseTo(Math.sqrt(inverse[index]), 5))
  })
})

describe('a mode of one’s own', () => {
  it('asks what it likes', async () => {
    const yesNo: Mode = {
      name: 'yes_no',
      together: false,
      judge: (inputs, context) =>
        Promise.all(
          inputs.map(({ completion }) =>
            context.ask({
              messages: [{ role: 'user', content: `Is this polite? ${completion}` }],
              fields: [{ name: 'polite', kind: 'boolean' }],
              reasoning: false,
              injected: false,
              rule: 'yes_no',
              combine: ({ polite }) => ({ score: polite.value ? 5 : 1 })
            })
          )
        )
    }
    const judge = await start(() => ({ content: '{"polite": true}' }), { mode: yesNo })
    expect(await judge.scoreOne(input('Dear customer'))).toMatchObject({ score: 5 })
  })

  it('names the nearest where a mode is unknown', async () => {
    await expect(start(() => ({ content: '' }), { mode: 'pairwize' as 'pairwise' })).rejects.toThrow(
      /did you mean pairwise/
    )
  })
})

function spearman(a: number[], b: number[]): number {
  const ranks = (values: number[]): number[] =>
    values.map((x) => values.filter((y) => y < x).length + (values.filter((y) => y === x).length - 1) / 2)
  const [x, y] = [ranks(a), ranks(b)]
  const mean = (x.length - 1) / 2
  const sum = (u: number[], v: number[]): number =>
    u.reduce((total, value, index) => total + (value - mean) * (v[index] - mean), 0)
  return sum(x, y) / Math.sqrt(sum(x, x) * sum(y, y))
}
