/** The quickstart's task, its two models, and a few steps of its run. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { packageRoot } from '../../src/binding/load.js'
import { run } from '../../src/cli/program.js'
import { createJudge } from '../../src/judge/index.js'
import { checkReply, manners, Random, subjects, writeMessage, writeReply } from '../../src/tasks/replies/index.js'
import { quickstart, type QuickstartEvent } from '../../src/train/quickstart.js'

describe('replies to customers', () => {
  it('writes the same text from the same seed', () => {
    const write = (seed: number): string[] => {
      const random = new Random(seed)
      return Array.from({ length: 20 }, () => {
        const message = writeMessage(random, 'train')
        return message.text + writeReply(random, message, random.pick(manners), 'train').text
      })
    }
    expect(write(7)).toEqual(write(7))
    expect(write(7)).not.toEqual(write(8))
  })

  it('knows the truth that the check by program finds, on both splits', () => {
    const random = new Random(11)
    for (const split of ['train', 'heldOut'] as const) {
      let agreeing = 0
      for (let count = 0; count < 1000; count++) {
        const message = writeMessage(random, split)
        const { text, truth } = writeReply(random, message, random.pick(manners), split)
        if (checkReply(message.subject, text).score === truth.score) agreeing++
      }
      expect(agreeing).toBeGreaterThan(980)
    }
  })

  it('tells a helpful reply from one on another subject, a curt one and a rambling one', () => {
    const delivery = subjects.find(({ name }) => name === 'delivery')!
    expect(checkReply(delivery, 'Sorry for the trouble. The parcel arrives tomorrow.').score).toBe(5)
    expect(checkReply(delivery, 'Sorry for the trouble. We refund your lamp.').score).toBe(2)
    expect(checkReply(delivery, 'Not our problem.').score).toBe(1)
    expect(checkReply(delivery, `Thanks. The parcel arrives tomorrow. ${'And so on. '.repeat(10)}`).score).toBe(4)
  })

  it('keeps held-out words out of the training split', () => {
    const random = new Random(3)
    const texts = (split: 'train' | 'heldOut'): Set<string> =>
      new Set(Array.from({ length: 2000 }, () => writeMessage(random, split)).map(({ text }) => text))
    const train = texts('train')
    expect([...texts('heldOut')].filter((text) => train.has(text))).toEqual([])
  })
})

describe('the carried judge', () => {
  it('scores good replies above bad ones, in the words it was trained on', async () => {
    const judge = await createJudge({
      provider: 'native',
      model: join(packageRoot, 'assets', 'judge'),
      rubric: join(packageRoot, 'assets', 'rubric.yaml')
    })
    try {
      const random = new Random(5)
      const scores = async (manner: 'helpful' | 'curt' | 'wrong_subject'): Promise<number> => {
        const inputs = Array.from({ length: 40 }, () => {
          const message = writeMessage(random, 'train')
          const { text } = writeReply(random, message, manner, 'train')
          return { messages: [{ role: 'user' as const, content: message.text }], completion: text }
        })
        const verdicts = await judge.scoreAll(inputs)
        return verdicts.reduce((sum, { score }) => sum + score!, 0) / verdicts.length
      }
      const helpful = await scores('helpful')
      expect(helpful).toBeGreaterThan((await scores('curt')) + 1)
      // Whether a reply is on the subject is what this small judge is weakest at (assets/README.md).
      expect(helpful).toBeGreaterThan(await scores('wrong_subject'))
    } finally {
      await judge.close()
    }
  })
})

describe('adjudge quickstart', () => {
  let folder: string
  beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'adjudge-quickstart-'))))
  afterEach(() => rmSync(folder, { recursive: true, force: true }))

  it('raises the judge score and leaves a whole run', async () => {
    const events: QuickstartEvent[] = []
    for await (const event of quickstart({ folder, steps: 8, seed: 1, evaluation: 48 })) events.push(event)
    const done = events.at(-1)!
    if (done.type !== 'done') throw new Error(`the last event is ${done.type}`)
    expect(done.after.judge.mean!).toBeGreaterThan(done.before.judge.mean!)
    expect(done.before.replies).toHaveLength(48)
    const lines = readFileSync(join(folder, 'metrics.jsonl'), 'utf8').trim().split('\n')
    expect(lines.map((line) => JSON.parse(line).step)).toEqual([1, 2, 3, 4, 5, 6, 7, 8])
    for (const name of [
      'config.yaml',
      'evaluation-before.jsonl',
      'evaluation-after.jsonl',
      'model/model.safetensors'
    ]) {
      expect(existsSync(join(folder, name)), name).toBe(true)
    }
  })

  it('gives the same run from the same seed', async () => {
    const rewards = async (name: string): Promise<(number | null)[]> => {
      const found: (number | null)[] = []
      for await (const event of quickstart({ folder: join(folder, name), steps: 2, seed: 4, evaluation: 8 })) {
        if (event.type === 'step') found.push(event.reward)
      }
      return found
    }
    expect(await rewards('a')).toEqual(await rewards('b'))
  })

  it('answers a wrong number of steps as wrong usage', async () => {
    expect(await run(['quickstart', '--steps', 'none', '--out', folder])).toBe(2)
  })
})
