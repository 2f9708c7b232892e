import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { score, startServer, type TestServer } from '../judge/server.js'
import { writeTinyModel } from '../policy/tinyModel.js'
import { cli } from './cli.js'
import { startCli, until } from './child.js'

let folder: string
let server: TestServer
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'adjudge-process-'))
  chmodSync(folder, 0o755)
  writeTinyModel(file('model'))
  writeFileSync(file('train.jsonl'), '{"prompt":"Hi"}\n{"prompt":"Hello"}\n')
  server = await startServer((_, index) => ({ content: score(1 + (index % 5)), delay: 20 }))
  const rubric = { aim: 'x', scale: { low: 1, high: 5 } }
  const config = {
    model: { path: 'model' },
    data: { train: 'train.jsonl' },
    rollout: { prompts: 1, completions: 4, max_tokens: 4 },
    rewards: [{ name: 'a', judge: { provider: 'openai', model: 'm', base_url: server.url, rubric } }],
    training: { steps: 5, save_every: 2 }
  }
  writeFileSync(file('run.yaml'), JSON.stringify(config))
})
afterEach(async () => {
  await server.close()
  rmSync(folder, { recursive: true })
})

const file = (...parts: string[]): string => join(folder, ...parts)
const steps = (): number =>
  existsSync(file('runs/run/metrics.jsonl'))
    ? readFileSync(file('runs/run/metrics.jsonl'), 'utf8').split('\n').length - 1
    : 0

describe('Ctrl-C', () => {
  it('finishes the step, saves, says how to go on, and ends with 130', async () => {
    const child = startCli([
      'train',
      file('run.yaml'),
      '--set',
      'training.steps=100000',
      '--set',
      'training.save_every=100000'
    ])
    await until(() => steps() > 0, child)
    child.process.kill('SIGINT')
    expect(await child.ended).toBe(130)
    const done = steps()
    expect(child.out).toContain(`stopped after step ${done}: ${file('runs/run')}`)
    expect(child.out).toContain(`go on with: adjudge train ${file('run.yaml')} --resume`)
    expect(child.err).toContain('finishes this step and saves')
    expect(readdirSync(file('runs/run/checkpoints'))).toEqual([`step-${String(done).padStart(6, '0')}`])
    const more = await cli('train', file('run.yaml'), '--resume', '--set', `training.steps=${done + 1}`)
    expect(more).toMatchObject({ code: 0, out: expect.stringContaining(`done after step ${done + 1}`) })
  })

  it('ends at once when it comes twice', async () => {
    await server.close()
    server = await startServer(() => 'hang')
    writeFileSync(file('run.yaml'), readFileSync(file('run.yaml'), 'utf8').replace(/http[^"]+/, server.url))
    const child = startCli(['train', file('run.yaml')])
    await until(() => server.requests.length > 0, child)
    child.process.kill('SIGINT')
    await until(() => child.err.includes('once more ends at once'), child)
    child.process.kill('SIGINT')
    expect(await child.ended).toBe(130)
  })
})

describe('kill -9', () => {
  it('loses no verdict that was given: a resumed run asks again only for what was in flight', async () => {
    const child = startCli(['train', file('run.yaml')])
    await until(() => steps() >= 3, child)
    child.process.kill('SIGKILL')
    expect(await child.ended).toBe('SIGKILL')
    const { code, out } = await cli('train', file('run.yaml'), '--resume')
    expect({ code, out }).toMatchObject({ code: 0, out: expect.stringContaining('done after step 5') })
    const asked = server.requests.map((body) => JSON.stringify(body.messages))
    expect(asked.length - new Set(asked).size).toBeLessThanOrEqual(4)
  })
})

describe('two processes in one folder', () => {
  it('are kept apart while the first is at work, and no longer', async () => {
    const child = startCli(['train', file('run.yaml'), '--set', 'training.steps=100000'])
    await until(() => steps() >= 1, child)
    for (const more of [[], ['--resume']]) {
      const { code, err } = await cli('train', file('run.yaml'), ...more)
      expect(code).toBe(1)
      expect(err).toContain('FILE_LOCKED')
      expect(err).toContain(
        `process ${child.process.pid} is at work here; wait until it ends, stop it, or give this run`
      )
    }
    child.process.kill('SIGKILL')
    await child.ended
    const done = steps()
    const set = ['--set', `training.steps=${done + 1}`]
    expect(await cli('train', file('run.yaml'), '--resume', ...set)).toMatchObject({ code: 0 })
    // The same process may go on in its folder as well.
    set[1] = `training.steps=${done + 2}`
    expect(await cli('train', file('run.yaml'), '--resume', ...set)).toMatchObject({ code: 0 })
  })
})

const root = process.getuid?.() === 0
const disk = root && spawnSync('mount', ['--version']).status === 0

describe('a disk that is full', () => {
  const mounted = (): string => file('disk')
  beforeEach(() => {
    if (!disk) return
    mkdirSync(mounted())
    spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'none', mounted()])
  })
  afterEach(() => {
    if (disk) spawnSync('umount', [mounted()])
  })
  const isMounted = (): boolean => readFileSync('/proc/mounts', 'utf8').includes(mounted())

  it.skipIf(!disk)(
    'is told, leaves no half of a checkpoint, and the run goes on when there is room',
    async (context) => {
      if (!isMounted()) return context.skip('this system mounts nothing here')
      writeFileSync(join(mounted(), 'filler'), Buffer.alloc(950_000))
      const set = ['--set', `runs=${mounted()}`, '--set', `ledger=${file('ledger')}`]
      const { code, err } = await cli('train', file('run.yaml'), ...set)
      expect(code).toBe(1)
      expect(err).toMatch(/(DISK_FULL|FILE_UNWRITABLE)\n.*disk\/run.*(full|space)/i)
      expect(readdirSync(join(mounted(), 'run', 'checkpoints'))).toEqual([])
      rmSync(join(mounted(), 'filler'))
      expect(await cli('train', file('run.yaml'), '--resume', ...set)).toMatchObject({ code: 0 })
      const asked = server.requests.map((body) => JSON.stringify(body.messages))
      expect(new Set(asked).size).toBe(asked.length)
    }
  )

  it.skipIf(!disk)('under the ledger: no verdict is used that was not written', async (context) => {
    if (!isMounted()) return context.skip('this system mounts nothing here')
    writeFileSync(join(mounted(), 'filler'), Buffer.alloc(1_030_000))
    const child = startCli(['train', file('run.yaml'), '--set', `ledger=${join(mounted(), 'ledger')}`])
    expect(await child.ended).toBe(1)
    expect(child.err).toMatch(/LEDGER_(OPEN|WRITE)\n.*disk\/ledger/)
    expect(steps()).toBe(0)
  })
})

/** A user without rights: the tests may run as root, who may do anything. */
const nobody = root ? 65534 : undefined
const readable =
  nobody === undefined ||
  spawnSync(
    process.execPath,
    ['-e', 'require("fs").readdirSync(process.argv[1])', fileURLToPath(import.meta.url + '/..')],
    {
      uid: nobody
    }
  ).status === 0

describe.skipIf(!readable)('what may not be touched', () => {
  it('is named: a folder that cannot be written', async () => {
    chmodSync(folder, 0o555)
    const child = startCli(['train', file('run.yaml')], nobody === undefined ? {} : { uid: nobody })
    expect(await child.ended).toBe(1)
    expect(child.err).toMatch(
      /(FILE_UNWRITABLE|PERMISSION_DENIED)\n.*runs\/run.*expected a place that you may write to/
    )
    chmodSync(folder, 0o755)
    expect(existsSync(file('runs'))).toBe(false)
    expect(server.requests).toHaveLength(0)
  })

  it('is named: weights that cannot be read', async () => {
    chmodSync(file('model', 'model.safetensors'), 0o000)
    const child = startCli(['train', file('run.yaml')], nobody === undefined ? {} : { uid: nobody })
    expect(await child.ended).toBe(1)
    expect(child.err).toMatch(/PERMISSION_DENIED\n.*model\.safetensors: no permission to read it/)
  })
})
