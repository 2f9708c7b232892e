import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Policy } from '../../src/policy/policy.js'
import type { Sequence } from '../../src/policy/types.js'

const model = fileURLToPath(new URL('../../assets/policy', import.meta.url))
let policy: Policy
beforeAll(async () => (policy = await Policy.load(model)))
afterAll(() => policy.dispose())

/** Few enough tokens for one native call, so that it is the engine that has to stop. */
function long(): Sequence[] {
  const { maxPositions, vocabulary } = policy.description
  const length = Math.min(500, maxPositions - 1)
  return Array.from({ length: 3 }, (_, row) => ({
    promptTokens: [row + 1],
    tokens: Int32Array.from({ length }, (_, at) => (at * 7 + row) % vocabulary)
  }))
}

/** Aborts when the call has begun. */
function soon(): AbortSignal {
  const controller = new AbortController()
  setImmediate(() => controller.abort())
  return controller.signal
}

const cancelled = expect.objectContaining({ name: 'AdjudgeError', code: 'CANCELLED' }) as Error

describe('an aborted signal', () => {
  it.each([
    ['logProbs', (signal: AbortSignal) => policy.logProbs(long(), { signal })],
    ['choiceLogProbs', (signal: AbortSignal) => policy.choiceLogProbs([{ tokens: [1] }], longChoices(), { signal })],
    ['logits', (signal: AbortSignal) => policy.logits(long()[0]!.tokens, { signal })],
    ['lossAndGradients', (signal: AbortSignal) => policy.lossAndGradients([{ tokens: long()[0]!.tokens }], { signal })]
  ])('ends %s in the midst of it, and the policy goes on as before', async (_, call) => {
    const before = await policy.logProbs(long())
    await expect(call(soon())).rejects.toEqual(cancelled)
    await expect(call(AbortSignal.abort())).rejects.toEqual(cancelled)
    expect(await policy.logProbs(long())).toEqual(before)
  })

  it('ends backward; what it accumulated can be dropped', async () => {
    const sequences = long()
    const logProbGradients = sequences.map(({ tokens }) => Array.from(tokens, () => 0.01))
    const gradient = () => policy.readParameter('model.norm.weight', 'gradient')
    await policy.backward({ sequences, logProbGradients })
    const whole = await gradient()
    await policy.zeroGradients()
    await expect(policy.backward({ sequences, logProbGradients, signal: soon() })).rejects.toEqual(cancelled)
    await policy.zeroGradients()
    await policy.backward({ sequences, logProbGradients })
    expect(await gradient()).toEqual(whole)
    await policy.zeroGradients()
  })

  it('ends a save, and leaves nothing behind', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'adjudge-cancel-'))
    await expect(policy.save(join(folder, 'model'), { signal: soon() })).rejects.toEqual(cancelled)
    expect(existsSync(join(folder, 'model'))).toBe(false)
    expect(readdirSync(folder)).toEqual([])
    rmSync(folder, { recursive: true })
  })
})

const longChoices = (): Int32Array[] => long().map(({ tokens }) => Int32Array.from(tokens))
