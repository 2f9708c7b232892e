/** A prepared call is the plain one with its rule read once: same bits, any size, as often as one likes. */
import { describe, expect, it } from 'vitest'
import {
  advantages,
  exactObjective,
  policyLoss,
  presetNames,
  resolveAlgorithm,
  resolveValue,
  valueLoss
} from '../../src/rl/index.js'
import { makeBatch, refusal } from './batch.js'

const small = makeBatch(2, 11)
const large = makeBatch(5, 12)
const exactPresets = presetNames.filter((name) => resolveAlgorithm(name).advantage.estimator === 'exact')
const sampledPresets = presetNames.filter((name) => !exactPresets.includes(name))

describe('a prepared call', () => {
  it.each(sampledPresets)('of %s gives what the plain ones give, whatever it was called on before', (name) => {
    const algorithm = resolveAlgorithm(name)
    const prepared = { advantages: advantages.prepare(name), policyLoss: policyLoss.prepare(name) }
    for (const batch of [small, large, small]) {
      const expected = advantages(algorithm, batch.advantages)
      expect(prepared.advantages(batch.advantages)).toEqual(expected)
      expect(expected.advantages.some((value) => value !== 0)).toBe(true)

      const { advantages: given, perToken: advantagesPerToken } = expected
      const input = { ...batch.policyLoss, advantages: given, advantagesPerToken }
      const loss = policyLoss(algorithm, input)
      expect(prepared.policyLoss(input)).toEqual(loss)
      expect(Number.isFinite(loss.loss)).toBe(true)
      expect(loss.logProbGradients.some((value) => value !== 0)).toBe(true)
    }
  })

  it.each(exactPresets)('of %s gives what the plain one gives', (name) => {
    const prepared = exactObjective.prepare(name)
    for (const { exact } of [small, large, small]) {
      expect(prepared(exact)).toEqual(exactObjective(resolveAlgorithm(name), exact))
    }
  })

  it.each(['ppo', 'trl', 'verl', 'openrlhf'])('of the value loss %s gives what the plain one gives', (name) => {
    const prepared = valueLoss.prepare(name)
    for (const { valueLoss: input } of [small, large, small]) {
      expect(prepared(input)).toEqual(valueLoss(resolveValue(name), input))
    }
  })

  it('keeps its results: the next call writes to arrays of its own', () => {
    const loss = policyLoss.prepare('dapo')
    const first = loss(small.policyLoss)
    const copy = structuredClone(first)
    loss(large.policyLoss)
    expect(first).toEqual(copy)
  })

  it('takes a record that changes fields of a preset, in the keys of YAML too', () => {
    const rule = { preset: 'grpo', loss: { clip_high: 0.28 } }
    expect(policyLoss.prepare(rule)(small.policyLoss)).toEqual(policyLoss(resolveAlgorithm(rule), small.policyLoss))
  })

  it('refuses a rule when it is prepared, with the nearest name', () => {
    for (const call of [advantages, policyLoss, exactObjective]) {
      const error = refusal(() => call.prepare('gpro'))
      expect(error.code).toBe('ALGORITHM_INVALID')
      expect(error.message).toContain('grpo')
    }
    expect(refusal(() => valueLoss.prepare({ clip: -1 })).code).toBe('ALGORITHM_INVALID')
    expect(refusal(() => advantages.prepare(exactPresets[0]!)).message).toContain('exactObjective')
  })

  it('serves Float32Array and Float64Array in turns', () => {
    const prepared = policyLoss.prepare('grpo')
    const single = makeBatch(2, 11, Float32Array).policyLoss
    const wide = prepared(small.policyLoss)
    const narrow = prepared(single)
    expect(narrow.logProbGradients).toBeInstanceOf(Float32Array)
    expect(wide.logProbGradients).toBeInstanceOf(Float64Array)
    expect(narrow.loss).toBeCloseTo(wide.loss, 5)
    expect(prepared(small.policyLoss)).toEqual(wide)
  })
})

describe('rewards that are not finite', () => {
  const { groupOffsets } = small.advantages
  const rewards = Float64Array.of(1, 0, NaN, 0.5, Infinity, 0.25, 1, -Infinity)
  const grpo = advantages.prepare('grpo')

  it('are unscored where the option says so', () => {
    const scored = Uint8Array.of(1, 1, 0, 1, 0, 1, 1, 0)
    const finite = rewards.map((reward) => (Number.isFinite(reward) ? reward : 0))
    const result = grpo({ rewards, groupOffsets, nonFinite: 'unscored' })
    expect(result).toEqual(grpo({ rewards: finite, scored, groupOffsets }))
    expect(result.metrics.unscored).toBe(3)
    expect(rewards[4]).toBe(Infinity)
  })

  it('of one function among several leave the others’ judgement', () => {
    const matrix = Float64Array.of(1, Infinity, 0, 1, 0.5, 0.5, 0.25, NaN)
    const missing = matrix.map((reward) => (Number.isFinite(reward) ? reward : NaN))
    const offsets = Int32Array.of(0, 4)
    const result = grpo({ rewards: matrix, weights: [1, 2], groupOffsets: offsets, nonFinite: 'unscored' })
    expect(result).toEqual(grpo({ rewards: missing, weights: [1, 2], groupOffsets: offsets }))
    expect(result.metrics.unscored).toBe(0)
  })

  it('are refused with their index where the option says so, NaN too', () => {
    const error = refusal(() => grpo({ rewards, groupOffsets, nonFinite: 'error' }))
    expect(error.code).toBe('REWARD_INVALID')
    expect(error.message).toContain('rewards[2] is NaN')
    expect(error.message).toContain('nonFinite')
  })

  it('are by default unscored where NaN, and refused where infinite', () => {
    expect(refusal(() => grpo({ rewards, groupOffsets })).code).toBe('REWARD_INVALID')
    const missing = rewards.map((reward) => (Number.isFinite(reward) ? reward : NaN))
    expect(grpo({ rewards: missing, groupOffsets }).metrics.unscored).toBe(3)
  })

  it('follow no other word', () => {
    const error = refusal(() => grpo({ rewards, groupOffsets, nonFinite: 'skip' as 'error' }))
    expect(error.code).toBe('ARGUMENT_INVALID')
    expect(error.message).toContain('nonFinite: expected error or unscored and got skip')
  })
})
