/** The quickstart's judge, and a few steps of its run. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { packageRoot } from '../../src/binding/load.js'
import { run } from '../../src/cli/program.js'
import { createJudge } from '../../src/judge/index.js'
import { Random, spoil, writeMessage, writeReply, type Manner } from '../../src/tasks/replies/index.js'
import { loadConfig, train } from '../../src/train/index.js'
import { quickstart, type QuickstartEvent } from '../../src/train/quickstart.js'

describe('the carried judge', () => {
  it('tells good replies from bad ones in wording and about products that it never saw', async () => {
    const judge = await createJudge({
      provider: 'native',
      model: join(packageRoot, 'assets', 'judge'),
      rubric: join(packageRoot, 'assets', 'rubric.yaml')
    })
    try {
      const random = new Random(5)
      const scores = async (manner: Manner, change = (text: string, _message: string) => text): Promise<number> => {
        const inputs = Array.from({ length: 100 }, () => {
          const message = writeMessage(random, 'heldOut')
          const { text } = writeReply(random, message, manner, 'heldOut')
          const messages = [{ role: 'user' as const, content: message.text }]
          return { messages, completion: change(text, message.text) }
        })
        const verdicts = await judge.scoreAll(inputs)
        return verdicts.reduce((sum, { score }) => sum + score!, 0) / verdicts.length
      }
      const helpful = await scores('helpful')
      expect(helpful).toBeGreaterThan((await scores('curt')) + 1)
      expect(helpful).toBeGreaterThan((await scores('wrong_subject')) + 1)
      expect(helpful).toBeGreaterThan((await scores('off_subject')) + 1)
      expect(helpful).toBeGreaterThan((await scores('helpful', (text, message) => spoil(random, text, message))) + 1)
    } finally {
      await judge.close()
    }
  })
})

describe('adjudge quickstart', () => {
  let folder: string
  beforeEach(() => (folder = join(mkdtempSync(join(tmpdir(), 'adjudge-quickstart-')), 'run')))
  afterEach(() => rmSync(join(folder, '..'), { recursive: true, force: true }))

  it('raises the score of judge and program, and leaves a run that train goes on with', async () => {
    const events: QuickstartEvent[] = []
    for await (const event of quickstart({ folder, steps: 12, seed: 1, evaluation: 48 })) events.push(event)
    const done = events.at(-1)!
    if (done.type !== 'done') throw new Error(`the last event is ${done.type}`)
    expect(done.after.judge.mean!).toBeGreaterThan(done.before.judge.mean!)
    expect(done.after.check.mean!).toBeGreaterThan(done.before.check.mean!)
    expect(done.before.replies).toHaveLength(48)
    for (const name of ['config.yaml', 'metrics.jsonl', 'rubric.yaml', 'train.jsonl', 'test.jsonl']) {
      expect(existsSync(join(folder, name)), name).toBe(true)
    }
    expect(existsSync(join(done.model, 'model.safetensors'))).toBe(true)
    const resumed = []
    for await (const event of train(loadConfig(done.config, ['training.steps=13']), { resume: true })) {
      resumed.push(event)
    }
    expect(resumed[0]).toMatchObject({ type: 'start', step: 12 })
    expect(resumed.at(-1)).toMatchObject({ type: 'done', step: 13, reason: 'finished' })
  })

  it('gives the same run from the same seed', async () => {
    const steps = async (name: string): Promise<string> => {
      const at = join(folder, name)
      for await (const event of quickstart({ folder: at, steps: 2, seed: 4, evaluation: 8 })) {
        if (event.type === 'done') return readFileSync(join(event.model, 'model.safetensors'), 'base64')
      }
      throw new Error('the run has no end')
    }
    expect((await steps('a')) === (await steps('b'))).toBe(true)
  })

  it('stops in order at Ctrl-C and says how to go on', async () => {
    const stop = new AbortController()
    let last: QuickstartEvent | undefined
    for await (const event of quickstart({ folder, steps: 50, seed: 1, evaluation: 4, signal: stop.signal })) {
      if (event.type === 'step') stop.abort()
      last = event
    }
    expect(last).toEqual({ type: 'stopped', step: 1, config: join(folder, 'run.yaml') })
  })

  it('leaves a run that is there alone', async () => {
    const once = async (): Promise<void> => {
      for await (const event of quickstart({ folder, steps: 1, seed: 1, evaluation: 4 })) void event
    }
    await once()
    await expect(once()).rejects.toMatchObject({ code: 'CONFIG_INVALID', message: /a run is there already/ })
  })

  it('answers a wrong number of steps as wrong usage', async () => {
    expect(await run(['quickstart', '--steps', 'none', '--out', folder])).toBe(2)
  })
})
