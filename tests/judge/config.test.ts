import { describe, expect, it } from 'vitest'
import { checkDocument, JudgeConfigSchema, judgeOptionsFrom } from '../../src/judge/index.js'

const read = (yaml: string) => checkDocument(JudgeConfigSchema, yaml, { file: 'judge.yaml', code: 'CONFIG_INVALID' })

describe('a judge in a configuration file', () => {
  it('becomes options, with paths relative to the file', () => {
    const config = read('provider: openai\nmodel: test\nrubric: rubric.yaml\nbase_url: http://x/v1\nmax_tokens: 64\n')
    expect(judgeOptionsFrom(config, '/runs/a')).toEqual({
      provider: 'openai',
      model: 'test',
      rubric: '/runs/a/rubric.yaml',
      baseURL: 'http://x/v1',
      maxTokens: 64
    })
  })

  it('takes a key by the name of its variable only', () => {
    process.env.ADJUDGE_TEST_KEY = 'secret'
    const config = read('provider: openai\nmodel: test\napi_key_env: ADJUDGE_TEST_KEY\n')
    expect(judgeOptionsFrom(config, '.')).toMatchObject({ apiKey: 'secret' })
    delete process.env.ADJUDGE_TEST_KEY
    expect(() => judgeOptionsFrom(config, '.')).toThrow(/ADJUDGE_TEST_KEY, which is not set/)
  })

  it.each([
    ['provider: openai\nmodle: x\n', /judge.yaml:2: unknown key modle; did you mean model\?/],
    ['provider: opena\n', /judge.yaml:1: provider is "opena"; expected "openai" or "anthropic"/],
    ['provider: openai\nconcurrency: many\n', /judge.yaml:2: concurrency is "many"; expected an integer, above 0/],
    ['provider: openai\napi_key: abc\n', /judge.yaml:2: unknown key api_key; did you mean api_key_env\?/],
    ['model: x\n', /provider is missing/]
  ])('%j is answered with line and cure', (yaml, message) => expect(() => read(yaml)).toThrow(message))
})
