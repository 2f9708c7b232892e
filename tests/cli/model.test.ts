import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Policy } from '../../src/policy/index.js'
import { cli } from './cli.js'

const model = fileURLToPath(new URL('../../assets/policy', import.meta.url))
let folder: string
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'adjudge-cli-'))))
afterEach(() => rmSync(folder, { recursive: true }))
const file = (name: string): string => join(folder, name)

describe('adjudge generate', () => {
  it('answers one prompt, and a data set into a file that adjudge judge takes', async () => {
    const ask = ['generate', model, '--prompt', 'Where is my order?', '--temperature', '1', '--n', '8', '--seed', '3']
    const first = await cli(...ask)
    expect(first).toMatchObject({ code: 0, out: expect.stringMatching(/\w/) })
    expect(await cli(...ask)).toEqual(first)
    writeFileSync(file('data.csv'), 'text,label\nWhere is it?,a\nThank you.,b\n')
    const args = ['--data', file('data.csv'), '--template', '{{ item.text }}', '--out', file('answers.jsonl')]
    expect(await cli('generate', model, ...args, '--n', '2', '--temperature', '1')).toMatchObject({ code: 0 })
    const rows = readFileSync(file('answers.jsonl'), 'utf8').trim().split('\n')
    expect(rows.map((row) => (JSON.parse(row) as { label: string }).label)).toEqual(['a', 'a', 'b', 'b'])
    writeFileSync(file('one.mjs'), 'export default ({ prompt }) => prompt.length')
    const judged = await cli('judge', file('answers.jsonl'), '--function', file('one.mjs'))
    expect(judged.out).toContain('mean 11.000')
  })

  it('decodes by the Q heads beside the weights, and says where there are none', async () => {
    {
      using policy = await Policy.load(model, { trainable: false })
      await policy.addHead('target_q', { outputs: 'vocabulary', init: 'uniform' })
      await policy.addHead('value')
      await policy.save(file('q'))
    }
    const ask = async (...more: string[]) =>
      (await cli('generate', file('q'), '--prompt', 'Hello', '--max-tokens', '16', ...more)).out
    const bare = await ask()
    expect(await ask('--beta', '0')).toBe(bare)
    expect(await ask('--temperature', '1', '--top-k', '1')).toBe(bare)
    const shifted = await ask('--beta', '20')
    expect(shifted).not.toBe(bare)
    expect(await ask('--beta', '20', '--temperature', '1', '--top-k', '1')).toBe(shifted)
    const half = await cli('generate', model, '--prompt', 'Hello', '--top-k', '1.5')
    expect(half.err).toMatch(/--top-k.*1\.5.*expected a whole number, at least 0/)
    const none = await cli('generate', model, '--prompt', 'Hello', '--beta', '1')
    expect(none.err).toContain('heads.json: there is no such file, so no heads')
  })

  it('wants one kind of prompt, and a place for the answers', async () => {
    expect((await cli('generate', model)).err).toContain('exactly one of --prompt and --data')
    expect((await cli('generate', model, '--data', 'a.jsonl')).err).toContain('--data needs --out')
  })
})

describe('adjudge eval', () => {
  it('answers a data set, scores the answers and writes both', async () => {
    writeFileSync(file('data.jsonl'), '{"prompt":"ab"}\n{"prompt":"abcd"}\n')
    writeFileSync(file('one.mjs'), 'export default ({ prompt }) => prompt.length')
    const args = ['--function', file('one.mjs'), '--out', file('out.jsonl'), '--max-tokens', '8']
    const { code, out } = await cli('eval', model, file('data.jsonl'), ...args)
    expect(code).toBe(0)
    expect(out).toContain('mean 3.000 ± 1.000 (standard error), 2 of 2 scored')
    const rows = readFileSync(file('out.jsonl'), 'utf8').trim().split('\n')
    expect(rows.map((row) => JSON.parse(row) as object)).toMatchObject([
      { id: '0', score: 2, completion: expect.any(String) },
      { id: '1', score: 4 }
    ])
  })
})

describe('adjudge train and merge', () => {
  it('train an adapter and put it into the weights', async () => {
    writeFileSync(file('train.jsonl'), '{"prompt":"Where is it?"}\n{"prompt":"Hello?"}\n')
    writeFileSync(file('e.mjs'), 'export default ({ completion }) => (completion.text.match(/e/g) ?? []).length')
    writeFileSync(
      file('run.yaml'),
      JSON.stringify({
        model: { path: model, lora: { rank: 4 } },
        data: { train: 'train.jsonl' },
        rollout: { prompts: 2, completions: 4, max_tokens: 12 },
        rewards: [{ name: 'e', function: './e.mjs' }],
        optimizer: { learning_rate: 0.01 },
        training: { steps: 3 }
      })
    )
    expect((await cli('train', file('run.yaml'), '--dry-run')).out).toMatch(/learns .* of .* parameters/)
    const ran = await cli('train', file('run.yaml'))
    expect(ran).toMatchObject({ code: 0, out: expect.stringContaining('done after step 3') })
    const adapter = file('runs/run/checkpoints/step-000003/model')
    expect(await cli('merge', model, adapter, file('merged'))).toMatchObject({ code: 0 })
    const answer = async (...args: string[]): Promise<string> =>
      (await cli('generate', ...args, '--prompt', 'Where is it?', '--max-tokens', '12')).out
    expect(await answer(file('merged'))).toBe(await answer(model, '--adapter', adapter))
  })

  it("keep a critic's head beside the merged weights", async () => {
    writeFileSync(file('train.jsonl'), '{"prompt":"Where is it?"}\n')
    writeFileSync(file('e.mjs'), 'export default ({ completion }) => (completion.text.match(/e/g) ?? []).length')
    const config = {
      model: { path: model, lora: { rank: 2 } },
      data: { train: 'train.jsonl' },
      rollout: { prompts: 1, completions: 4, max_tokens: 8 },
      rewards: [{ name: 'e', function: './e.mjs' }],
      algorithm: { preset: 'ppo' },
      training: { steps: 1 }
    }
    writeFileSync(file('run.yaml'), JSON.stringify(config))
    expect(await cli('train', file('run.yaml'))).toMatchObject({ code: 0 })
    const adapter = file('runs/run/checkpoints/step-000001/model')
    expect(await cli('merge', model, adapter, file('merged'))).toMatchObject({ code: 0 })
    const head = (folder: string): Buffer => readFileSync(join(folder, 'heads', 'heads.safetensors'))
    expect(head(file('merged')).equals(head(adapter))).toBe(true)
  })

  it('answers a wrong configuration with its line', async () => {
    writeFileSync(file('run.yaml'), 'modle: { path: a }\n')
    const { code, err } = await cli('train', file('run.yaml'))
    expect(code).toBe(1)
    expect(err).toMatch(/CONFIG_INVALID[^]*run\.yaml:1: unknown key modle; did you mean model\?/)
  })
})
