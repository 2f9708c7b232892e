/** A plain call reads its rule as it is at that moment, though the last rules stay prepared. */
import { describe, expect, it } from 'vitest'
import { advantages, gae, policyLoss, resolveAlgorithm, vtrace } from '../../src/rl/index.js'
import { makeBatch, refusal } from './batch.js'

const { advantages: batch, policyLoss: lossBatch } = makeBatch(3, 21)
const { rewards, groupOffsets } = batch
const scaled = resolveAlgorithm('grpo')
const unscaled = resolveAlgorithm('dr_grpo')
const ofScaled = advantages.prepare('grpo')({ rewards, groupOffsets })
const ofUnscaled = advantages.prepare('dr_grpo')({ rewards, groupOffsets })

describe('a plain call', () => {
  it('follows a rule that is changed in place, at any depth, and back', () => {
    const rule = structuredClone(scaled)
    expect(advantages(rule, { rewards, groupOffsets })).toEqual(ofScaled)
    rule.advantage.scale = 'none'
    expect(advantages(rule, { rewards, groupOffsets }).advantages).toEqual(ofUnscaled.advantages)
    expect(advantages(scaled, { rewards, groupOffsets })).toEqual(ofScaled)
    rule.advantage.scale = scaled.advantage.scale
    expect(advantages(rule, { rewards, groupOffsets })).toEqual(ofScaled)
  })

  it('keeps a rule that its owner changes later', () => {
    const owned = structuredClone(scaled)
    owned.kl.coefficient = 0.5
    const other = structuredClone(owned)
    const expected = policyLoss(owned, lossBatch)
    owned.kl.coefficient = 0
    const { referenceLogProbs: _, ...withoutReference } = lossBatch
    expect(policyLoss(other, lossBatch)).toEqual(expected)
    expect(refusal(() => policyLoss(other, withoutReference)).message).toContain('referenceLogProbs')
    expect(policyLoss(owned, withoutReference).loss).not.toBe(expected.loss)
  })

  it('tells elements of a list and absent bounds apart', () => {
    const rule = structuredClone(scaled)
    const clipped = (range: [number, number] | null) => {
      rule.advantage.rewardClip = range
      return advantages(rule, { rewards: Float64Array.of(-2, 0, 2, 5), groupOffsets: Int32Array.of(0, 4) }).metrics
        .reward
    }
    const seen = [null, [-1, 1], [-1, 2], [-2, 2], null] as const
    expect(seen.map((range) => clipped(range && [...range]))).toEqual([1.25, 0.25, 0.75, 0.5, 1.25])
  })

  it('goes through more rules in turn than stay prepared', () => {
    const input = { rewards: batch.values!, values: batch.logProbs!, cuSeqlens: batch.cuSeqlens! }
    const lambdas = [0, 0.2, 0.4, 0.6, 0.8, 1]
    const expected = lambdas.map((lambda) => gae.prepare({ lambda })(input))
    for (let turn = 0; turn < 3; turn++) expect(lambdas.map((lambda) => gae(input, { lambda }))).toEqual(expected)
    expect(gae(input, { lambda: undefined, gamma: 1 })).toEqual(gae(input))
  })

  it('refuses a wrong rule every time, also after a right one', () => {
    const input = { rewards: batch.values!, values: batch.logProbs!, cuSeqlens: batch.cuSeqlens! }
    for (let turn = 0; turn < 2; turn++) {
      expect(vtrace(input, { gamma: 0.5 }).targets).toHaveLength(input.rewards.length)
      expect(refusal(() => vtrace(input, { gamma: NaN })).message).toContain('gamma is NaN')
      expect(refusal(() => vtrace(input, { gama: 0.5 } as object)).message).toContain('did you mean "gamma"?')
    }
  })

  it('has the same rule as a promise, whatever signal comes with it', async () => {
    const input = { rewards: batch.values!, values: batch.logProbs!, cuSeqlens: batch.cuSeqlens! }
    const expected = gae(input, { gamma: 0.9 })
    const first = new AbortController()
    expect(await gae.async(input, { gamma: 0.9, signal: first.signal })).toEqual(expected)
    first.abort()
    expect(await gae.async(input, { gamma: 0.9, signal: new AbortController().signal })).toEqual(expected)
    await expect(gae.async(input, { gamma: 0.9, signal: first.signal })).rejects.toMatchObject({ code: 'CANCELLED' })
    expect(await advantages.async(unscaled, { rewards, groupOffsets })).toEqual(ofUnscaled)
  })
})
