import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Dataset } from '../../src/data/index.js'
import { Policy } from '../../src/policy/policy.js'
import { availableMemory, bytesOf, sizePattern } from '../../src/train/freeMemory.js'
import { loadConfig, train } from '../../src/train/index.js'
import { planMemory, type MemoryPlan } from '../../src/train/memory.js'
import { cli } from '../cli/cli.js'
import { startServer } from '../judge/server.js'

const model = fileURLToPath(new URL('../../assets/policy', import.meta.url))
const judgeModel = fileURLToPath(new URL('../../assets/judge', import.meta.url))
let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'adjudge-memory-'))
  writeFileSync(file('train.jsonl'), '{"prompt":"Where is it?"}\n')
  writeFileSync(file('one.mjs'), 'export default () => 1')
})
afterEach(() => rmSync(folder, { recursive: true }))
const file = (name: string): string => join(folder, name)

function configure(more: object = {}): void {
  const config = {
    model: { path: model },
    data: { train: 'train.jsonl' },
    rollout: { prompts: 2, completions: 4, max_tokens: 8 },
    rewards: [{ name: 'one', function: './one.mjs' }],
    training: { steps: 1 },
    ...more
  }
  writeFileSync(file('run.yaml'), JSON.stringify(config))
}

async function plan(): Promise<MemoryPlan> {
  await using data = await Dataset.open(file('train.jsonl'))
  return (await planMemory(loadConfig(file('run.yaml')), data))!
}
const share = (plan: MemoryPlan, ...names: string[]): number =>
  plan.roles.reduce((sum, { name, bytes }) => sum + (names.includes(name) ? bytes : 0), 0)

describe('the memory plan', () => {
  it.each([{}, { lora: { rank: 8 } }, { lora: { rank: 4, target_modules: ['q_proj', 'down_proj'] } }])(
    'knows what a model takes before it is loaded: %j',
    async (lora) => {
      configure({ model: { path: model, dtype: 'float32', ...lora } })
      const { rank = 0, target_modules: targetModules = 'all-linear' } =
        (lora as { lora?: Record<string, never> }).lora ?? {}
      using policy = await Policy.load(model, { dtype: 'float32', ...(rank ? { lora: { rank, targetModules } } : {}) })
      const planned = share(await plan(), 'weights', 'gradients', 'optimizer') / policy.description.bytes
      expect(planned).toBeGreaterThan(0.9)
      expect(planned).toBeLessThan(1.02)
      const trained = policy.parameters().filter(({ trainable }) => trainable)
      const count = trained.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0)
      expect((await plan()).trained).toBe(count)
    }
  )

  it('grows with what costs memory, and names a reference and a judge', async () => {
    configure()
    const small = await plan()
    expect(share(small, 'reference', 'judges')).toBe(0)
    configure({ rollout: { prompts: 2, completions: 32, max_tokens: 64 } })
    expect(share(await plan(), 'KV cache')).toBeGreaterThan(4 * share(small, 'KV cache'))
    configure({
      algorithm: { kl: { coefficient: 0.1 } },
      rewards: [
        {
          name: 'judge',
          judge: { provider: 'native', model: judgeModel, rubric: { aim: 'x', scale: { low: 1, high: 5 } } }
        }
      ]
    })
    const more = await plan()
    expect(share(more, 'reference')).toBe(share(small, 'weights'))
    expect(share(more, 'judges')).toBeGreaterThan(1e6)
    configure({ rollout: { choices: ['a', 'b'] }, algorithm: { preset: 'exact' } })
    expect(share(await plan(), 'KV cache')).toBe(0)
  })

  it('counts the heads of ilql, four of them or two over the whole vocabulary, and a critic', async () => {
    using policy = await Policy.load(model, { dtype: 'float32', trainable: false })
    const { vocabulary, hidden } = policy.description
    const answered = { prompt: 'Hi?', completions: [{ text: 'Yes.', score: 1, finish_reason: 'stop' }] }
    writeFileSync(file('train.jsonl'), JSON.stringify(answered))
    const heads = async (algorithm: object): Promise<number> => {
      const given = (algorithm as { preset: string }).preset === 'ilql'
      const data = { train: 'train.jsonl', ...(given ? { completions: 'given' } : {}) }
      configure({ model: { path: model, dtype: 'float32' }, algorithm, data, ...(given ? { rewards: [] } : {}) })
      return share(await plan(), 'heads')
    }
    const matrix = 4 * vocabulary * hidden
    // Each Q and its target: values and packed copies for both directions; the Q's gradient and two moments.
    const two = await heads({ preset: 'ilql', two_qs: false })
    expect(two).toBeGreaterThan((3 + 3 + 3) * matrix)
    expect(two).toBeLessThan(1.01 * (3 + 3 + 3) * matrix)
    expect((await heads({ preset: 'ilql' })) / two).toBeCloseTo(2, 1)
    expect(await heads({ preset: 'ppo' })).toBe(4 * 4 * (hidden + 1))
    expect(await heads({ preset: 'grpo' })).toBe(0)
  })
})

describe('training.memory', () => {
  it('stops a run that needs more, before a model is loaded or a judge is asked, and says what to lower', async () => {
    const server = await startServer(() => ({ content: '{"score": 1}' }))
    const rubric = { aim: 'x', scale: { low: 1, high: 5 } }
    const judge = { provider: 'openai', model: 'test', base_url: server.url, rubric }
    configure({ rewards: [{ name: 'judge', judge }], training: { steps: 1, memory: '8MiB' } })
    const run = async (): Promise<void> => {
      for await (const _ of train(loadConfig(file('run.yaml')))) continue
    }
    await expect(run()).rejects.toMatchObject({
      code: 'MEMORY_EXCEEDED',
      message: expect.stringMatching(
        /needs about \d+ MiB, but training\.memory is 8 MiB\.\n {2}weights \d+ MiB, gradients .* optimizer .* activations .*\nTo lower: .*LoRA \(model\.lora\)/
      )
    })
    expect(server.requests).toHaveLength(0)
    expect(existsSync(file('runs'))).toBe(false)
    await server.close()
  })

  it('is told by a dry run too', async () => {
    configure({ training: { steps: 1, memory: '8MiB' } })
    const short = await cli('train', file('run.yaml'), '--dry-run')
    expect(short.code).toBe(1)
    expect(short.out).toMatch(/memory {4}about \d+ MiB of the 8 MiB of training\.memory: weights/)
    expect(short.err).toContain('MEMORY_EXCEEDED')
    const enough = await cli('train', file('run.yaml'), '--dry-run', '--set', 'training.memory=4GiB')
    expect(enough).toMatchObject({ code: 0, err: '' })
    expect(enough.out).toContain('of the 4.0 GiB of training.memory')
  })

  it('is a size, or refused with its line', async () => {
    expect(['4GiB', '800MB', '1.5 GiB', '2G', '123'].map(bytesOf)).toEqual([2 ** 32, 8e8, 1.5 * 2 ** 30, 2e9, 123])
    expect(bytesOf(77)).toBe(77)
    expect(['4 gallons', '-1', 'GiB', ''].some((text) => new RegExp(sizePattern).test(text))).toBe(false)
    configure({ training: { memory: '4 gallons' } })
    const { code, err } = await cli('train', file('run.yaml'))
    expect(code).toBe(1)
    expect(err).toMatch(/run\.yaml:\d+: training\.memory is "4 gallons"; expected .*a size such as 4GiB or 800MB/)
  })
})

describe('free memory', () => {
  const write = (path: string, text: string): void => {
    mkdirSync(dirname(file(path)), { recursive: true })
    writeFileSync(file(path), text)
  }

  it('is what the system has, or what the nearest control group leaves', () => {
    write('proc/meminfo', 'MemTotal: 100 kB\nMemAvailable:     5000 kB\n')
    expect(availableMemory(folder)).toBe(5000 * 1024)
    write('proc/self/cgroup', '0::/pod/task\n')
    write('sys/fs/cgroup/pod/task/memory.max', 'max\n')
    write('sys/fs/cgroup/pod/memory.max', '3000000\n')
    write('sys/fs/cgroup/pod/memory.current', '2000000\n')
    write('sys/fs/cgroup/pod/memory.stat', 'anon 5\ninactive_file 500000\n')
    expect(availableMemory(folder)).toBe(1500000)
    write('sys/fs/cgroup/memory.max', '9000000000\n')
    expect(availableMemory(folder)).toBe(1500000)
  })

  it('knows the older control groups', () => {
    write('proc/meminfo', 'MemAvailable:     5000 kB\n')
    write('proc/self/cgroup', '4:cpu,cpuacct:/\n3:memory:/docker/a\n')
    write('sys/fs/cgroup/memory/memory.limit_in_bytes', '4000000\n')
    write('sys/fs/cgroup/memory/memory.usage_in_bytes', '1000000\n')
    write('sys/fs/cgroup/memory/memory.stat', 'total_inactive_file 100\n')
    expect(availableMemory(folder)).toBe(3000100)
  })
})
