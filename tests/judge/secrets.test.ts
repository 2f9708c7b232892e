import { chmodSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createJudge, judgeOptionsFrom, Ledger, type Rubric } from '../../src/judge/index.js'
import { record, type Recorder } from './recorder.js'

const temporaryFolder = (): string => mkdtempSync(join(tmpdir(), 'judge-'))

const rubric: Rubric = { aim: 'Replies', scale: { low: 1, high: 5 } }
const input = { messages: [{ role: 'user' as const, content: 'Hello?' }], completion: 'Hi.' }
const key = 'sk-of-this-test/+x'

const names = ['ADJUDGE_SECRETS', 'XDG_CONFIG_HOME', 'OPENAI_API_KEY', 'MY_KEY']
const before = Object.fromEntries(names.map((name) => [name, process.env[name]]))
let server: Recorder
beforeEach(async () => {
  for (const name of names) delete process.env[name]
  process.env.XDG_CONFIG_HOME = temporaryFolder()
  server = await record(() => ({
    body: { choices: [{ message: { content: '{"score": 4}' }, finish_reason: 'stop' }] }
  }))
})
afterEach(async () => {
  for (const [name, value] of Object.entries(before)) {
    if (value === undefined) delete process.env[name]
    else process.env[name] = value
  }
  await server.close()
})

function secrets(text: string, mode = 0o600, folder = join(temporaryFolder(), 'keys')): string {
  mkdirSync(folder, { recursive: true })
  const path = join(folder, 'secrets.yaml')
  writeFileSync(path, text)
  chmodSync(path, mode)
  return path
}

const judged = async (): Promise<string | undefined> => {
  const judge = await createJudge({ provider: 'openai', model: 'm', baseURL: server.url, rubric })
  expect(await judge.scoreOne(input)).toMatchObject({ score: 4 })
  await judge.close()
  return server.seen.at(-1)!.headers.authorization
}

describe('a key', () => {
  it('comes from the environment before the secrets file, and without a line end', async () => {
    process.env.ADJUDGE_SECRETS = secrets(`OPENAI_API_KEY: ${key}\n`)
    expect(await judged()).toBe(`Bearer ${key}`)
    process.env.OPENAI_API_KEY = 'sk-of-the-environment\n'
    expect(await judged()).toBe('Bearer sk-of-the-environment')
  })

  it('comes from the user’s own folder, where nothing else is named', async () => {
    expect(await judged()).toBeUndefined()
    secrets(`OPENAI_API_KEY: ${key}\n`, 0o600, join(process.env.XDG_CONFIG_HOME!, 'adjudge'))
    expect(await judged()).toBe(`Bearer ${key}`)
  })

  it('named by api_key_env may be in the secrets file too', () => {
    process.env.ADJUDGE_SECRETS = secrets(`MY_KEY: ${key}\n`)
    expect(judgeOptionsFrom({ provider: 'openai', model: 'm', api_key_env: 'MY_KEY' }, '.').apiKey).toBe(key)
  })

  it.each<[string, () => string, RegExp]>([
    ['others may read', () => secrets(`OPENAI_API_KEY: ${key}\n`, 0o644), /mode 644.*chmod 600/],
    ['a group may read', () => secrets(`OPENAI_API_KEY: ${key}\n`, 0o640), /mode 640/],
    ['is absent', () => join(temporaryFolder(), 'none.yaml'), /no such file; ADJUDGE_SECRETS names it/],
    ['is no list of names', () => secrets(`- ${key}\n`), /expected lines of NAME: key/],
    ['is broken', () => secrets(`OPENAI_API_KEY: "${key}\nX: [`), /expected lines of NAME: key/],
    [
      'lies in a run’s folder',
      () => {
        const run = temporaryFolder()
        for (const name of ['config.yaml', 'metrics.jsonl']) writeFileSync(join(run, name), '')
        return secrets(`OPENAI_API_KEY: ${key}\n`, 0o600, join(run, 'inner'))
      },
      /lies in a run's folder/
    ]
  ])('is not taken from a file that %s, and the file is not quoted', async (_, path, message) => {
    process.env.ADJUDGE_SECRETS = path()
    const error = await judged().catch((error: unknown) => error as Error)
    expect(error).toMatchObject({ code: 'JUDGE_INVALID' })
    expect((error as Error).message).toMatch(message)
    expect((error as Error).message).not.toContain(key)
  })
})

describe('a server that repeats the key', () => {
  it.each<[string, number, unknown]>([
    ['in an error', 401, { error: { message: `Incorrect API key provided: ${key}.`, code: key } }],
    ['in an address', 400, `see https://example.com/?key=${encodeURIComponent(key)}`],
    ['in a reply', 200, { choices: [{ message: { content: `No score for ${key}.` }, finish_reason: 'stop' }] }],
    ['in a refusal', 200, { choices: [{ message: { content: null, refusal: `I refuse ${key}` } }] }],
    ['in what is no JSON', 200, `<html>${key}</html>`]
  ])('%s does not get it into verdicts, ledger or listings', async (_, status, body) => {
    await server.close()
    server = await record(() => ({ status, body }))
    const folder = temporaryFolder()
    const ledger = Ledger.open(join(folder, 'ledger'))
    const judge = await createJudge({
      provider: 'openai',
      model: 'm',
      baseURL: server.url,
      apiKey: key,
      rubric,
      ledger,
      attempts: 1
    })
    const verdict = await judge.scoreOne(input)
    await judge.close()
    expect(verdict.score).toBeNull()
    expect(server.seen[0]!.headers.authorization).toBe(`Bearer ${key}`)
    await ledger.close()
    const stored = readdirSync(join(folder, 'ledger')).map((name) =>
      readFileSync(join(folder, 'ledger', name), 'latin1')
    )
    for (const text of [JSON.stringify(verdict), ...stored]) {
      expect(text).not.toContain(key)
      expect(text).not.toContain(encodeURIComponent(key))
    }
  })
})
