/** Every example runs, from the built package, with nothing but what the package carries. */
import { execFile } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { packageRoot } from '../../src/binding/load.js'
import { score, startServer } from '../judge/server.js'

const examples = join(packageRoot, 'examples')
const jiti = join(packageRoot, 'node_modules', 'jiti', 'lib', 'jiti-cli.mjs')
let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'adjudge-examples-'))
  symlinkSync(join(packageRoot, 'assets'), join(folder, 'assets'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

/** Runs an example in an empty folder beside the carried models; resolves with what it printed. */
async function run(name: string, args: string[] = [], env: NodeJS.ProcessEnv = {}): Promise<string> {
  const { stdout } = await promisify(execFile)(process.execPath, [jiti, join(examples, name), ...args], {
    cwd: folder,
    env: { ...process.env, NODE_ENV: undefined, ...env }
  })
  return stdout
}
const numbers = (text: string, pattern: RegExp): number[] =>
  [...text.matchAll(pattern)].map(([, value]) => Number(value))

describe.skipIf(!existsSync(join(packageRoot, 'dist', 'index.js')))('the examples', () => {
  it('import the package by its name', () => {
    for (const name of readdirSync(examples).filter((file) => file.endsWith('.ts'))) {
      const sources = [...readFileSync(join(examples, name), 'utf8').matchAll(/from '([^']+)'/g)].map(
        ([, from]) => from
      )
      expect(sources.filter((from) => from?.startsWith('..'))).toEqual([])
    }
  })

  it('generate: answers and their log-probs', async () => {
    const output = await run('generate.ts')
    expect(numbers(output, /mean log-prob (-[\d.]+)/g)).toHaveLength(4)
  })

  it('log-probs: the answer that fits is the more probable one', async () => {
    const [fitting, other] = numbers(await run('log-probs.ts'), /log P = +(-[\d.]+)/g)
    expect(fitting).toBeGreaterThan(other!)
  })

  it('reinforce: answers get shorter, and the adapter is saved', async () => {
    const words = numbers(await run('reinforce.ts', ['assets/policy', 'adapter']), /([\d.]+) words/g)
    expect(words.at(-1)).toBeLessThan(words[0]!)
    expect(readdirSync(join(folder, 'adapter')).sort()).toEqual(['adapter_config.json', 'adapter_model.safetensors'])
    expect(existsSync(join(folder, 'adapter-merged', 'model.safetensors'))).toBe(true)
  })

  it('own-loop: a policy of the caller’s own learns by the RL calls alone', async () => {
    const rewards = numbers(await run('own-loop.ts'), /mean reward ([\d.]+)/g)
    expect(rewards[0]).toBeLessThan(0.3)
    expect(rewards.at(-1)).toBeGreaterThan(0.7)
  })

  it('exact: the rewarded answer becomes the most probable', async () => {
    const shares = numbers(await run('exact.ts'), /: ([\d.]+) %/g)
    expect(shares.at(-1)).toBeGreaterThan(shares[0]!)
  })

  it('train: a run of two steps', async () => {
    const settings = ['training.steps=2', 'rollout.prompts=2', 'evaluation.items=2', `runs=${folder}`]
    const output = await run('train.ts', [join(examples, 'customers.yaml'), ...settings])
    expect(output).toMatch(/step 1: reward [\d.]+[\s\S]*step 2: reward [\d.]+[\s\S]*finished after step 2/)
    expect(existsSync(join(folder, 'customers', 'checkpoints', 'step-000002'))).toBe(true)
  })

  it('judge-rubric: the carried judge, and the ledger that spares the second asking', async () => {
    const first = await run('judge-rubric.ts')
    const [polite, curt] = numbers(first, /^([\d.]+) /gm)
    expect(polite).toBeGreaterThan(curt!)
    expect(first).toMatch(/calls: 3/)
    expect(await run('judge-rubric.ts')).toMatch(/cached: 3,[\s\S]*calls: 0/)
  })

  it('judge-rubric: a server', async () => {
    const server = await startServer(() => ({ content: score(4) }))
    try {
      const output = await run('judge-rubric.ts', ['openai', 'some-model', server.url], { OPENAI_API_KEY: 'none' })
      expect(numbers(output, /^([\d.]+) /gm)).toEqual([4, 4, 4])
      expect(server.requests[0]!.model).toBe('some-model')
    } finally {
      await server.close()
    }
  })

  it('judge-function: scores, and null where there is none', async () => {
    expect(await run('judge-function.ts')).toBe('1\n0\nunscored: the function returned null\n')
  })

  it('judge-graders: by program', async () => {
    expect(numbers(await run('judge-graders.ts'), /^([\d.]+) /gm)).toEqual([1, 0.643, 0.2])
  })
})
