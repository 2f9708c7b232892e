import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { startServer, type TestServer } from '../judge/server.js'
import { tinyConfig, writeTinyModel } from '../policy/tinyModel.js'
import { cli } from './cli.js'

let folder: string
let server: TestServer | undefined
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'adjudge-wrong-'))
  writeTinyModel(file('model'))
  writeFileSync(file('train.jsonl'), '{"prompt":"Hi"}\n{"prompt":"Hello"}\n')
  writeFileSync(file('one.mjs'), 'export default ({ completion }) => completion.text.length')
  configure()
})
afterEach(async () => {
  await server?.close()
  server = undefined
  rmSync(folder, { recursive: true })
})

const file = (...parts: string[]): string => join(folder, ...parts)

const defaults = {
  model: { path: 'model' },
  data: { train: 'train.jsonl' },
  rollout: { prompts: 1, completions: 2, max_tokens: 4 },
  rewards: [{ name: 'one', function: './one.mjs' }],
  training: { steps: 1 }
}
const configure = (more: object = {}): void => writeFileSync(file('run.yaml'), JSON.stringify({ ...defaults, ...more }))

/** What `adjudge train` says, which must have failed and must leave no run behind. */
async function refusal(...set: string[]): Promise<string> {
  const { code, out, err } = await cli('train', file('run.yaml'), ...set.flatMap((one) => ['--set', one]))
  expect({ code, out }).toEqual({ code: 1, out: '' })
  expect(existsSync(file('runs', 'run', 'checkpoints'))).toBe(false)
  expect(existsSync(file('runs', 'run', 'metrics.jsonl'))).toBe(false)
  return err
}

const weights = (): string => file('model', 'model.safetensors')
const rewrite = (change: (bytes: Buffer) => Buffer | undefined): void => {
  const bytes = readFileSync(weights())
  writeFileSync(weights(), change(bytes) ?? bytes)
}

/** Changes the header of the weights, whose length it keeps right. */
const rewriteHeader = (change: (header: Record<string, { shape: number[]; data_offsets: number[] }>) => void): void =>
  rewrite((bytes) => {
    const length = Number(bytes.readBigUInt64LE())
    const header = JSON.parse(bytes.subarray(8, 8 + length).toString()) as Parameters<typeof change>[0]
    change(header)
    const text = Buffer.from(JSON.stringify(header))
    const size = Buffer.alloc(8)
    size.writeBigUInt64LE(BigInt(text.length))
    return Buffer.concat([size, text, bytes.subarray(8 + length)])
  })
const rewriteJson = (name: string, change: object): void => {
  const value = JSON.parse(readFileSync(file('model', name), 'utf8')) as object
  writeFileSync(file('model', name), JSON.stringify({ ...value, ...change }))
}
const first = 'model.embed_tokens.weight'

describe('a model that cannot be used', () => {
  it.each<[string, () => void, RegExp]>([
    [
      'is not there',
      () => rmSync(file('model'), { recursive: true }),
      /FILE_NOT_FOUND\n.*model: no such model; expected/
    ],
    ['has no weights', () => rmSync(weights()), /FILE_NOT_FOUND\n.*safetensors/],
    [
      'is cut short',
      () => rewrite((bytes) => bytes.subarray(0, bytes.length - 100)),
      /SAFETENSORS_INVALID\n.*safetensors/
    ],
    ['is empty', () => rewrite(() => Buffer.alloc(0)), /FILE_UNREADABLE\n.*safetensors.*empty/],
    [
      'has a header length that lies',
      () => rewrite((bytes) => void bytes.writeBigUInt64LE(2n ** 60n)),
      /SAFETENSORS_INVALID\n.*header/
    ],
    [
      'has a header that is no JSON',
      () => rewrite((bytes) => void bytes.write('garbage', 8)),
      /(SAFETENSORS|JSON)_INVALID\n.*safetensors/
    ],
    [
      'has tensors that overlap',
      () => rewriteHeader((header) => (header['model.norm.weight']!.data_offsets = [0, 64])),
      /SAFETENSORS_INVALID\n.*overlap/
    ],
    [
      'has a shape whose product overflows',
      () => rewriteHeader((header) => (header[first]!.shape = [2 ** 40, 2 ** 40])),
      /SAFETENSORS_INVALID\n.*model\.embed_tokens\.weight/
    ],
    [
      'lacks a tensor',
      () => rewriteHeader((header) => ((header['other'] = header[first]!), delete header[first])),
      /MODEL_INVALID\n.*model: tensor model\.embed_tokens\.weight is missing/
    ],
    [
      'has another shape than its configuration says',
      () => rewriteJson('config.json', { intermediate_size: 32 }),
      /MODEL_INVALID\n.*gate_proj\.weight has shape \[24, 16\]; config\.json implies \[32, 16\]/
    ],
    [
      'is of an unknown family',
      () => rewriteJson('config.json', { model_type: 'mamba' }),
      /UNSUPPORTED_FAMILY\n.*config\.json: family mamba is not supported; supported: llama/
    ],
    [
      'has a configuration that is no JSON',
      () => writeFileSync(file('model', 'config.json'), '{'),
      /_INVALID\n.*config\.json/
    ],
    [
      'has a tokenizer that is too large for it',
      () => {
        rewriteJson('config.json', { vocab_size: 200 })
        rewriteHeader((header) => {
          header[first]!.shape = [200, tinyConfig.hidden_size]
          header[first]!.data_offsets[1] = 200 * tinyConfig.hidden_size * 4
          let end = header[first]!.data_offsets[1]!
          for (const tensor of Object.values(header).slice(1)) {
            const size = tensor.data_offsets[1]! - tensor.data_offsets[0]!
            tensor.data_offsets = [end, (end += size)]
          }
        })
        rewrite((bytes) => bytes.subarray(0, bytes.length - 59 * tinyConfig.hidden_size * 4))
      },
      /TOKENIZER_INVALID\n.*tokenizer\.json: the tokenizer has 259 tokens, but the model knows 200/
    ],
    [
      'has a tokenizer that is no JSON',
      () => writeFileSync(file('model', 'tokenizer.json'), 'not JSON'),
      /TOKENIZER_INVALID\n.*tokenizer\.json is not valid JSON/
    ],
    ['has no tokenizer', () => rmSync(file('model', 'tokenizer.json')), /TOKENIZER_INVALID\n.*has no tokenizer\.json/]
  ])('%s', async (_, spoil, message) => {
    spoil()
    expect(await refusal()).toMatch(message)
  })

  it.each<[string, Buffer, RegExp]>([
    [
      'is cut short',
      Buffer.concat([Buffer.from('GGUF'), Buffer.from([3, 0, 0, 0]), Buffer.alloc(4)]),
      /GGUF_INVALID\n/
    ],
    ['is something else', Buffer.from('PK\u0003\u0004 an archive, no model'), /GGUF_INVALID\n/],
    [
      'claims more than it holds',
      Buffer.concat([Buffer.from('GGUF'), Buffer.from([3, 0, 0, 0]), Buffer.alloc(16, 0xff)]),
      /GGUF_INVALID\n/
    ]
  ])('as GGUF: %s', async (_, bytes, message) => {
    writeFileSync(file('model.gguf'), bytes)
    expect(await refusal('model.path=' + file('model.gguf'))).toMatch(message)
  })
})

describe('data that cannot be used', () => {
  it.each<[string, string, RegExp]>([
    ['is empty', '\n\n', /DATA_EMPTY\n.*train\.jsonl: the data set has no items/],
    ['is no JSON', '{"prompt": "Hi"\n', /DATA_INVALID\n.*train\.jsonl:1: no JSON/],
    [
      'has no prompt',
      '{"question":"Hi"}',
      /DATA_INVALID\n.*train\.jsonl:1: there is no messages and no prompt field \(fields: question\)/
    ],
    [
      'has a prompt that leaves no room to answer',
      JSON.stringify({ prompt: 'x'.repeat(100) }),
      /CONTEXT_EXCEEDED\n.*train\.jsonl:1: the prompt has 1\d\d tokens; with 4 to answer, the model's context leaves 60/
    ]
  ])('%s', async (_, text, message) => {
    writeFileSync(file('train.jsonl'), text)
    expect(await refusal()).toMatch(message)
  })

  it('is not there', async () => {
    expect(await refusal('data.train=none.jsonl')).toMatch(/FILE_NOT_FOUND\n.*none\.jsonl: there is no such file/)
  })
})

describe('a configuration that cannot be used', () => {
  it('is answered with its line, the nearest name and what was expected, all at once', async () => {
    writeFileSync(
      file('run.yaml'),
      'model: { path: model }\ndata: { train: train.jsonl }\nrolout: {}\ntraining:\n  stps: 5\n  seed: one\n'
    )
    const told = await refusal()
    expect(told).toMatch(/run\.yaml:3: unknown key rolout; did you mean rollout\?/)
    expect(told).toMatch(/run\.yaml:5: unknown key stps; did you mean steps\?/)
    expect(told).toMatch(/run\.yaml:6: training\.seed is "one"; expected an integer/)
  })

  it('names a function, a grader, a rubric or a key that is not there', async () => {
    configure({ rewards: [{ name: 'a', function: './none.mjs' }] })
    expect(await refusal()).toMatch(/FUNCTION_INVALID\n.*none\.mjs: no such file/)
    configure({ rewards: [{ name: 'a', grader: { type: 'string_chek' } }] })
    expect(await refusal('name=b')).toMatch(/GRADER_INVALID\n.*did you mean string_check\?/)
    server = await startServer(() => ({ content: '' }))
    const judge = { provider: 'openai', model: 'm', base_url: server.url, rubric: 'none.yaml' }
    configure({ rewards: [{ name: 'a', judge }] })
    expect(await refusal('name=c')).toMatch(/(RUBRIC_INVALID|FILE_NOT_FOUND)\n.*none\.yaml/)
    configure({ rewards: [{ name: 'a', judge: { ...judge, api_key_env: 'ADJUDGE_NO_SUCH_KEY' } }] })
    expect(await refusal('name=d')).toMatch(/JUDGE_INVALID\n.*ADJUDGE_NO_SUCH_KEY, which is not set/)
  })
})

describe('a judge that cannot be used', () => {
  const judge = (url: string): object => ({
    rewards: [
      {
        name: 'manners',
        judge: { provider: 'openai', model: 'm', base_url: url, rubric: { aim: 'x', scale: { low: 1, high: 5 } } }
      }
    ]
  })

  it('is not reachable: said at once', async () => {
    const gone = await startServer(() => 'hang')
    await gone.close()
    configure(judge(gone.url))
    expect(await refusal()).toMatch(
      /JUDGE_UNREACHABLE\nreward manners: the judge's server does not answer: http:\/\/127\.0\.0\.1:\d+\/v1\/models: .*ECONNREFUSED.*\nStart it, or correct base_url/
    )
  })

  it('answers nonsense: the run stops before it learns from nothing', async () => {
    server = await startServer(() => ({ content: 'Lorem ipsum' }))
    configure(judge(server.url))
    const told = await refusal()
    expect(told).toMatch(/ALL_UNSCORED\nnone of the 2 completions of this step has a reward/)
    expect(told).toMatch(/manners: unparseable 2; the first one says: .*Lorem ipsum/)
    // The answers and what the judge said of them are there to look at.
    expect(readdirSync(file('runs', 'run', 'rollouts'))).toEqual(['step-000001.jsonl'])
    // Nothing was learned yet: with the judge put right, the same command begins the run.
    await server.close()
    server = await startServer(() => ({ content: '{"score": 3}' }))
    configure(judge(server.url))
    expect(await cli('train', file('run.yaml'))).toMatchObject({ code: 0, out: expect.stringContaining('done') })
  })

  it('refuses its key: the message is its own', async () => {
    server = await startServer(() => ({ status: 401, error: 'Incorrect API key provided' }))
    configure(judge(server.url))
    expect(await refusal()).toMatch(/ALL_UNSCORED\n[^]*provider_error 2; .*Incorrect API key provided/)
  })
})

describe('a budget', () => {
  it('that is reached ends the run in order, and a higher one goes on', async () => {
    server = await startServer(() => ({ content: '{"score": 3}' }))
    const rubric = { aim: 'x', scale: { low: 1, high: 5 } }
    const judge = { provider: 'openai', model: 'm', base_url: server.url, rubric }
    configure({ rewards: [{ name: 'a', judge }], training: { steps: 4 }, budget: { tokens: 900 } })
    const ended = await cli('train', file('run.yaml'))
    expect(ended.code).toBe(0)
    expect(ended.out).toMatch(/the budget is reached; ended after step 2: .*run\n.*raise the budget.*\n.*--resume/)
    // Not one call too many: of each, 110 tokens are counted.
    expect(server.requests.length * 110).toBeLessThanOrEqual(900)
    const again = await cli('train', file('run.yaml'), '--resume')
    expect(again.out).toMatch(/the budget is reached; ended after step 2/)
    const more = await cli('train', file('run.yaml'), '--resume', '--set', 'budget.tokens=100000')
    expect(more).toMatchObject({ code: 0, out: expect.stringContaining('done after step 4') })
  })
})
