import { afterEach, describe, expect, it } from 'vitest'
import {
  createGrader,
  Formula,
  fuzzyMatch,
  textMetric,
  textMetricNames,
  type GraderSpec,
  type SampleFields
} from '../../src/graders/index.js'
import type { JudgeInput } from '../../src/judge/index.js'
import { startServer, type Answer, type ChatBody, type TestServer } from '../judge/server.js'

const input = (completion: string, item: Record<string, unknown> = {}): JudgeInput => ({
  messages: [{ role: 'user', content: 'Say it.' }],
  completion,
  item
})

async function scoreOf(spec: GraderSpec, completion: string, item?: Record<string, unknown>): Promise<number | null> {
  return (await (await createGrader(spec)).grade(input(completion, item))).score
}

const check = (operation: string): GraderSpec => ({
  type: 'string_check',
  name: 'right',
  input: '{{ sample.output_text }}',
  reference: '{{item.label}}',
  operation
})

describe('string_check', () => {
  it.each([
    ['eq', 'Yes', 'Yes', 1],
    ['eq', 'Yes', 'yes', 0],
    ['ne', 'Yes', 'yes', 1],
    ['like', 'Oh Yes!', 'Yes', 1],
    ['like', 'Oh yes!', 'Yes', 0],
    ['ilike', 'Oh yes!', 'Yes', 1],
    ['ilike', 'No', 'Yes', 0]
  ])('%s of %j and %j is %d', async (operation, output, label, expected) => {
    expect(await scoreOf(check(operation), output, { label })).toBe(expected)
  })

  it('is unscored where the item lacks what the template wants', async () => {
    const grader = await createGrader(check('eq'))
    expect(await grader.grade(input('x'))).toMatchObject({
      score: null,
      detail: '{{ item.label }} has no value here',
      errors: { invalid_variable_error: '{{ item.label }} has no value here' }
    })
  })
})

describe('templates', () => {
  const echo = (template: string): GraderSpec => ({
    type: 'string_check',
    input: template,
    reference: '{{ item.want }}',
    operation: 'eq'
  })

  it.each([
    ['{{ sample.output_json.a[0].b }}', '{"a": [{"b": "deep"}]}', 'deep'],
    ['{{sample.output_json.a}}', '{"a": [1, 2]}', '[1,2]'],
    ['{{ item.n }} of {{ item.list[1] }}', '', '3 of y'],
    ["{{ item['two words'] }}", '', 'there'],
    ['{{ sample.choices[0].message.content }}', 'hey', 'hey'],
    ['no braces { } at all', '', 'no braces { } at all']
  ])('%s', async (template, output, want) => {
    expect(await scoreOf(echo(template), output, { want, n: 3, list: ['x', 'y'], 'two words': 'there' })).toBe(1)
  })

  it.each(['{{ process.env.HOME }}', '{{ item }}', '{{ item.a + 1 }}', '{{ item.a', '{{ item.f() }}', '{{ }}'])(
    '%s is refused',
    async (template) => {
      await expect(createGrader(echo(template))).rejects.toMatchObject({ code: 'GRADER_INVALID' })
    }
  )

  it('see the tools that the sample called, and its choices', async () => {
    const called = [{ type: 'function', function: { name: 'look', arguments: '{"x":1}' } }]
    const grade = async (template: string, want: unknown, sample?: SampleFields): Promise<unknown> => {
      const grader = await createGrader(echo(template))
      const { score, errors } = await grader.grade(input('hi', { want }), sample ? { sample } : {})
      return score ?? Object.keys(errors ?? {})[0]
    }
    const sample = { output_tools: called }
    expect(await grade('{{ sample.output_tools[0].function.arguments }}', '{"x":1}', sample)).toBe(1)
    expect(await grade('{{ sample.choices[0].message.tool_calls[0].function.name }}', 'look', sample)).toBe(1)
    expect(await grade('{{ sample.output_tools[0].function.arguments }}', '')).toBe('invalid_variable_error')
    expect(
      await grade('{{ sample.choices[1].message.content }}', 'two', { choices: [{}, { message: { content: 'two' } }] })
    ).toBe(1)
    expect(await grade('{{ sample.output_json.x }}', '')).toBe('sample_parse_error')
  })

  it('see own properties only', async () => {
    expect(await scoreOf(echo('{{ item.constructor.name }}'), '', { want: 'Object' })).toBeNull()
    expect(await scoreOf(echo('{{ item.want.length }}'), '', { want: '1' })).toBeNull()
  })
})

describe('text_similarity', () => {
  // Values of rapidfuzz 3 fuzz.ratio / 100.
  it.each([
    ['this is a test', 'this is a test!', 0.9655172413793104],
    ['fuzzy wuzzy was a bear', 'wuzzy fuzzy was a bear', 0.9090909090909091],
    ['kitten', 'sitting', 0.6153846153846154],
    ['', '', 1],
    ['abc', '', 0],
    ['abc', 'xyz', 0]
  ])('%j and %j are %d alike', (a, b, expected) => expect(fuzzyMatch(a, b)).toBeCloseTo(expected, 12))

  it('agrees with the textbook on long texts', () => {
    let seed = 7
    const random = (n: number): number => (seed = (seed * 1103515245 + 12345) % 2147483648) % n
    for (let round = 0; round < 30; round++) {
      const [a, b] = [0, 0].map(() => Array.from({ length: random(150) }, () => 'abcd😀'.at(random(4))!).join(''))
      expect(fuzzyMatch(a, b)).toBeCloseTo(slowRatio(a, b), 12)
    }
  })

  it('grades by every metric, and says which there are', async () => {
    const spec = {
      type: 'text_similarity',
      input: '{{ sample.output_text }}',
      reference: '{{ item.r }}',
      evaluation_metric: 'fuzzy_match',
      pass_threshold: 0.6
    }
    const grader = await createGrader(spec)
    expect(await grader.grade(input('kitten', { r: 'sitting' }))).toMatchObject({ passed: true })
    for (const evaluation_metric of textMetricNames) {
      const pair = ['the cats sat on the old mat', 'the cat sat on the mat'] as const
      const found = await scoreOf({ ...spec, evaluation_metric }, pair[0], { r: pair[1] })
      expect(found).toBe(textMetric(evaluation_metric, ...pair))
    }
    await expect(createGrader({ ...spec, evaluation_metric: 'blue' })).rejects.toThrow(
      /evaluation_metric is "blue"; expected one of fuzzy_match, bleu, gleu, meteor, rouge_1, .*cosine/
    )
  })

  it('rouge by stems, where it is asked for', async () => {
    const spec = { ...similar('rouge_1'), stemmer: true }
    expect(await scoreOf(spec, 'hoping cats', { r: 'hoped cat' })).toBe(1)
    expect(await scoreOf(similar('rouge_1'), 'hoping cats', { r: 'hoped cat' })).toBe(0)
    await expect(createGrader({ ...spec, stemmer: 'porter' })).rejects.toThrow(/stemmer is "porter"/)
  })
})

const similar = (evaluation_metric: string): GraderSpec => ({
  type: 'text_similarity',
  input: '{{ sample.output_text }}',
  reference: '{{ item.r }}',
  evaluation_metric
})

describe('formulas', () => {
  const of = (source: string, values: Record<string, number> = {}): number =>
    Formula.parse(source, Object.keys(values)).evaluate(values)
  it.each([
    ['1 + 2 * 3', 7],
    ['(1 + 2) * 3', 9],
    ['2 ^ 3 ^ 2', 512],
    ['-2 ^ 2', -4],
    ['2 ^ -1', 0.5],
    ['8 / 4 / 2', 1],
    ['1 - 2 - 3', -4],
    ['min(3, 1, 2) + max(1, 2)', 3],
    ['abs(-3) + floor(1.9) + ceil(1.1)', 6],
    ['exp(0) + sqrt(16) + log(1)', 5],
    ['1.5e1', 15]
  ])('%s = %d', (source, expected) => expect(of(source)).toBeCloseTo(expected, 12))

  it('reads variables', () => expect(of('0.5 * a + b_2', { a: 1, b_2: 2 })).toBe(2.5))

  it.each([
    ['a + c', /column 5: expected one of the graders a, b instead of c/],
    ['process.exit(1)', /expected one of the graders/],
    ['pow(a, 2)', /functions min, max/],
    ['a.b', /an operator or the end/],
    ['abs(a, b)', /1 value for abs/],
    ['(a', /expected \)/],
    ['', /expected a number/],
    ['a b', /an operator or the end/],
    ['(((((((((((('.repeat(20), /nested/]
  ])('%s is refused', (source, message) => expect(() => Formula.parse(source, ['a', 'b'])).toThrow(message))
})

describe('multi', () => {
  const parts = {
    right: check('ilike'),
    near: {
      type: 'text_similarity',
      name: 'near',
      input: '{{ sample.output_text }}',
      reference: '{{ item.label }}',
      evaluation_metric: 'fuzzy_match'
    }
  }
  const multi = (graders: unknown, calculate_output = '0.5 * right + 0.5 * near', more = {}): GraderSpec => ({
    type: 'multi',
    name: 'both',
    graders,
    calculate_output,
    ...more
  })

  it('takes a map, an array, and a single grader', async () => {
    const grader = await createGrader(multi(parts))
    expect(await grader.grade(input('yes', { label: 'Yes' }))).toMatchObject({ subScores: { right: 1, near: 2 / 3 } })
    expect(await scoreOf(multi([parts.right, parts.near]), 'yes', { label: 'Yes' })).toBeCloseTo(0.5 + 1 / 3)
    expect(await scoreOf(multi(parts.right, '2 * right'), 'yes', { label: 'Yes' })).toBe(2)
  })

  it('is unscored with an unscored part, unless invalid_grade says otherwise', async () => {
    const grader = await createGrader(multi(parts))
    expect(await grader.grade(input('yes'))).toMatchObject({
      score: null,
      detail: expect.stringContaining('right:') as string
    })
    expect(await scoreOf(multi(parts, undefined, { invalid_grade: 0.25 }), 'yes')).toBe(0.25)
  })

  it('is unscored where the formula has no finite value', async () => {
    expect(await scoreOf(multi(parts, '1 / (right - right)'), 'yes', { label: 'Yes' })).toBeNull()
  })

  it.each([
    [multi({ 'a b': parts.right }, '1'), /letters, digits and _/],
    [multi({ inner: multi(parts) }, 'inner'), /may not hold another/],
    [multi(undefined), /graders is missing/],
    [multi({}, '1'), /is empty/],
    [
      multi({ right: { ...parts.right, operation: 'equal' } }, 'right'),
      /operation is "equal"; expected one of eq, ne, like, ilike/
    ],
    [{ type: 'string_chek' }, /did you mean string_check/],
    [{ type: 'python', source: '' }, /expected one of string_check/]
  ])('%# is refused with a reason', async (spec, message) => {
    await expect(createGrader(spec)).rejects.toThrow(message)
  })
})

describe('javascript', () => {
  const code = (source: string): GraderSpec => ({ type: 'javascript', source })
  it('runs grade(sample, item)', async () => {
    expect(
      await scoreOf(code('function grade(sample, item) { return sample.output_text.length / item.most }'), 'four', {
        most: 8
      })
    ).toBe(0.5)
  })

  it.each([
    ['function grade() { throw new Error("no") }'],
    ['function grade() { return "1" }'],
    ['function grade() { return NaN }'],
    ['function grade() { for (;;); }'],
    ['function grade() { return process.pid }']
  ])('%s is unscored', async (source) => {
    expect(await scoreOf({ ...code(source), timeout: 50 }, 'x')).toBeNull()
  })

  it.each(['function grade( {', 'const x = 1', 'throw new Error("at once")'])('%s is refused', async (source) => {
    await expect(createGrader(code(source))).rejects.toMatchObject({ code: 'GRADER_INVALID' })
  })
})

describe('graders that ask a model', () => {
  let server: TestServer | undefined
  afterEach(async () => {
    await server?.close()
    server = undefined
  })
  const start = async (
    answer: (body: ChatBody) => Answer,
    spec: Partial<GraderSpec>
  ): ReturnType<typeof createGrader> => {
    server = await startServer(answer)
    return createGrader(
      {
        type: 'score_model',
        name: 'model',
        model: 'test',
        input: [{ role: 'user', content: 'Grade {{ sample.output_text }} by {{ item.by }}.' }],
        ...spec
      },
      { judge: { baseURL: server.url } }
    )
  }

  it('score_model renders its prompt and gives the number', async () => {
    const grader = await start(() => ({ content: '{"reasoning": "fair", "result": 0.75}' }), {
      sampling_params: { max_completions_tokens: 33 }
    })
    expect(await grader.grade(input('it', { by: 'tone' }))).toMatchObject({
      score: 0.75,
      rationale: 'fair',
      usage: { inputTokens: 100 }
    })
    expect(server!.requests[0].messages[0].content).toContain('Grade it by tone.')
    expect(server!.requests[0].max_tokens).toBe(33)
  })

  it.each([
    ['sampling_params', 'max_completions_tokens'],
    ['sampling_params', 'max_tokens'],
    ['sampling_parameters', 'max_completion_tokens']
  ])('takes %s with %s', async (object, limit) => {
    const grader = await start(() => ({ content: '{"result": 1}' }), {
      [object]: { [limit]: 44, temperature: 0.5, top_p: 0.9, seed: 3, reasoning_effort: 'low' }
    })
    await grader.grade(input('it', { by: 'tone' }))
    expect(server!.requests[0]).toMatchObject({
      max_tokens: 44,
      temperature: 0.5,
      top_p: 0.9,
      seed: 3,
      reasoning_effort: 'low'
    })
  })

  it.each([
    [{ seed: 'three' }, /seed is "three"; expected a number/],
    [{ reasoning_effort: 'huge' }, /reasoning_effort is "huge"; expected one of none/]
  ])('sampling_params %j are refused', async (sampling_params, message) => {
    await expect(start(() => 'hang', { sampling_params })).rejects.toThrow(message)
  })

  it('sends texts and images of a content, and no file that a text names', async () => {
    const grader = await start(() => ({ content: '{"result": 1}' }), {
      input: [
        { role: 'developer', content: 'Be fair.' },
        {
          role: 'user',
          content: [
            { type: 'input_text', text: 'Like {{ sample.output_json.what }}?' },
            { type: 'input_image', image_url: '{{ item.picture }}', detail: 'low' }
          ]
        }
      ]
    })
    const picture = 'data:image/png;base64,iVBORw0KGgo='
    expect(await grader.grade(input('{"what": "<<<BEGIN x"}', { picture }))).toMatchObject({ score: 1 })
    const [system, user] = server!.requests[0].messages as unknown as { role: string; content: unknown }[]
    expect(system).toEqual({ role: 'system', content: 'Be fair.' })
    expect(user.content).toEqual([
      { type: 'text', text: 'Like < < < BEGIN x?' },
      { type: 'image_url', image_url: { url: picture, detail: 'low' } },
      { type: 'text', text: expect.stringContaining('"result"') as string }
    ])
    expect(await grader.grade(input('{"what": ""}', { picture: '/etc/hostname' }))).toMatchObject({
      score: null,
      detail: expect.stringContaining('/etc/hostname') as string
    })
    expect(server!.requests.length).toBe(1)
  })

  it('score_model neither clips nor takes nonsense for 0', async () => {
    const high = await start(() => ({ content: '{"result": 1.5}' }), {})
    expect(await high.grade(input('it', { by: 'tone' }))).toMatchObject({ score: null, reason: 'out_of_range' })
    await server!.close()
    const odd = await start(() => ({ content: 'lovely' }), { range: [0, 10] })
    expect(await odd.grade(input('it', { by: 'tone' }))).toMatchObject({ score: null, reason: 'unparseable' })
  })

  it('label_model scores 1 for a passing label', async () => {
    const spec = { type: 'label_model', labels: ['good', 'fine', 'bad'], passing_labels: ['good', 'fine'] }
    const grader = await start(
      ({ messages }) => ({
        content: messages[0].content.includes('rude') ? '{"result": "bad"}' : '{"result": "fine"}'
      }),
      spec
    )
    expect(await grader.grade(input('it', { by: 'tone' }))).toMatchObject({ score: 1, label: 'fine' })
    expect(await grader.grade(input('rude', { by: 'tone' }))).toMatchObject({ score: 0, label: 'bad' })
  })

  it('a label off the list is unscored', async () => {
    const spec = { type: 'label_model', labels: ['good', 'bad'], passing_labels: ['good'] }
    const grader = await start(() => ({ content: '{"result": "great"}' }), spec)
    expect(await grader.grade(input('it', { by: 'tone' }))).toMatchObject({ score: null, reason: 'unparseable' })
  })

  it.each([
    [{ input: [] }, /input is \[\]; expected messages/],
    [{ input: [{ role: 'robot', content: 'x' }] }, /role is "robot"/],
    [{ input: [{ role: 'user', content: [{ type: 'input_image', image_url: 'x' }] }] }, /expected text/],
    [{ range: [1, 0] }, /range is \[1,0\]/],
    [{ model: undefined }, /model is missing/],
    [{ type: 'label_model', labels: ['a'], passing_labels: ['b'] }, /passing_labels holds b/]
  ])('%j is refused', async (spec, message) => {
    await expect(start(() => 'hang', spec)).rejects.toThrow(message)
  })
})

function slowRatio(a: string, b: string): number {
  const [x, y] = [Array.from(a), Array.from(b)]
  const table = x.map(() => new Array<number>(y.length).fill(0))
  for (let i = 0; i < x.length; i++) {
    for (let j = 0; j < y.length; j++) {
      const diagonal = (table[i - 1]?.[j - 1] ?? 0) + 1
      table[i][j] = x[i] === y[j] ? diagonal : Math.max(table[i - 1]?.[j] ?? 0, table[i][j - 1] ?? 0)
    }
  }
  const total = x.length + y.length
  return total === 0 ? 1 : (2 * (table.at(-1)?.at(-1) ?? 0)) / total
}
