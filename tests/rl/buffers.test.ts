/** Results in the caller's memory, and memory that cannot be used. */
import { describe, expect, it } from 'vitest'
import {
  advantages,
  exactObjective,
  policyLoss,
  resolveAlgorithm,
  valueLoss,
  type AdvantageInput,
  type FloatArray,
  type PolicyLossInput
} from '../../src/rl/index.js'
import { makeBatch, refusal, type FloatType } from './batch.js'

const grpo = resolveAlgorithm('grpo')
const gae = resolveAlgorithm({ preset: 'grpo', advantage: { estimator: 'gae', baseline: 'none', scale: 'none' } })
const memories: [string, (bytes: number) => ArrayBuffer | SharedArrayBuffer][] = [
  ['ArrayBuffer', (bytes) => new ArrayBuffer(bytes)],
  ['SharedArrayBuffer', (bytes) => new SharedArrayBuffer(bytes)]
]
const types: [string, FloatType][] = [
  ['Float32Array', Float32Array],
  ['Float64Array', Float64Array]
]
const cases = memories.flatMap(([memory, allocate]) =>
  types.map(([type, Type]) => ({ type, memory, Type: Type as typeof Float64Array, allocate }))
)

describe.each(cases)('results in a $type over $memory', ({ Type, allocate }) => {
  const batch = makeBatch(3, 21, Type)
  const tokens = batch.cuSeqlens.at(-1)!
  const completions = batch.cuSeqlens.length - 1
  const before = 3
  /** In the middle of a buffer, between elements that nobody may touch. */
  const place = (length: number): FloatArray => {
    const all = new Type(allocate((length + 2 * before) * Type.BYTES_PER_ELEMENT) as ArrayBuffer).fill(-77)
    return all.subarray(before, before + length)
  }
  const untouched = (array: FloatArray): boolean => {
    const all = new Type(array.buffer as ArrayBuffer)
    return [...all.subarray(0, before), ...all.subarray(all.length - before)].every((value) => value === -77)
  }
  const shared = (array: FloatArray): FloatArray => {
    const copy = place(array.length)
    copy.set(array)
    return copy
  }

  it('advantages and returns', async () => {
    const expected = advantages(gae, batch.advantages)
    const call = advantages.prepare(gae)
    const forms = [call, (input: AdvantageInput) => call.async(input)]
    for (const form of forms) {
      const out = { advantages: place(tokens), returns: place(tokens) }
      const result = await form({ ...batch.advantages, rewards: shared(batch.advantages.rewards), out })
      expect(result.advantages).toBe(out.advantages)
      expect(result.returns).toBe(out.returns)
      expect([...out.advantages]).toEqual([...expected.advantages])
      expect([...out.returns]).toEqual([...expected.returns!])
      expect(result.metrics).toEqual(expected.metrics)
      expect(untouched(out.advantages) && untouched(out.returns)).toBe(true)
    }
  })

  it('one advantage per completion', () => {
    const out = { advantages: place(completions) }
    const result = advantages(grpo, { ...batch.advantages, out })
    expect(result.advantages).toBe(out.advantages)
    expect([...out.advantages]).toEqual([...advantages(grpo, batch.advantages).advantages])
    expect(untouched(out.advantages)).toBe(true)
  })

  it('gradients of the policy loss', async () => {
    const rule = { preset: 'grpo', entropy: { coefficient: 0.1 } }
    const expected = policyLoss(resolveAlgorithm(rule), batch.policyLoss)
    const call = policyLoss.prepare(rule)
    const forms = [call, (input: PolicyLossInput) => call.async(input)]
    for (const form of forms) {
      const out = { logProbGradients: place(tokens), entropyGradients: place(tokens) }
      const result = await form({ ...batch.policyLoss, logProbs: shared(batch.policyLoss.logProbs), out })
      expect(result.logProbGradients).toBe(out.logProbGradients)
      expect([...out.logProbGradients]).toEqual([...expected.logProbGradients])
      expect(result.loss).toBe(expected.loss)
      expect(untouched(out.logProbGradients) && untouched(out.entropyGradients)).toBe(true)
      // Every element is written, those of masked tokens with 0.
      expect(out.logProbGradients.includes(-77)).toBe(false)
      expect(out.entropyGradients.includes(-77)).toBe(false)
      expect([...out.entropyGradients].some((value) => value !== 0)).toBe(true)
    }
  })

  it('gradients of the value loss and of the exact objective', () => {
    const value = { valueGradients: place(tokens) }
    expect(valueLoss.prepare('ppo')({ ...batch.valueLoss, out: value }).valueGradients).toBe(value.valueGradients)
    expect([...value.valueGradients]).toEqual([...valueLoss.prepare('ppo')(batch.valueLoss).valueGradients])
    const exact = { choiceGradients: place(completions), probabilities: place(completions) }
    const expected = exactObjective.prepare('exact')(batch.exact)
    expect(exactObjective.prepare('exact')({ ...batch.exact, out: exact })).toEqual({ ...expected, ...exact })
    expect([...exact.choiceGradients]).toEqual([...expected.choiceGradients])
    expect([...exact.probabilities]).toEqual([...expected.probabilities])
    expect([value.valueGradients, exact.choiceGradients, exact.probabilities].every(untouched)).toBe(true)
  })
})

describe('memory that cannot be used', () => {
  const batch = makeBatch(2, 22, Float32Array)
  const input = batch.policyLoss
  const tokens = batch.cuSeqlens.at(-1)!
  const loss = policyLoss.prepare({ preset: 'grpo', entropy: { coefficient: 0.1 } })

  it('is refused where outputs share it with an input or with each other', async () => {
    const both = new Float32Array(2 * tokens - 1)
    const aliases = [
      { logProbGradients: input.logProbs },
      { logProbGradients: input.oldLogProbs },
      { entropyGradients: input.entropies! },
      { logProbGradients: both.subarray(0, tokens), entropyGradients: both.subarray(tokens - 1) }
    ]
    for (const out of aliases) {
      expect(refusal(() => loss({ ...input, out })).code).toBe('BUFFER_OVERLAP')
      await expect(loss.async({ ...input, out })).rejects.toMatchObject({ code: 'BUFFER_OVERLAP' })
    }
    expect(refusal(() => loss({ ...input, out: aliases[0] })).message).toMatch(/logProbGradients and logProbs/)
    const { rewards, groupOffsets } = batch.advantages
    expect(refusal(() => advantages(grpo, { rewards, groupOffsets, out: { advantages: rewards } })).code).toBe(
      'BUFFER_OVERLAP'
    )
    const { values } = batch.valueLoss
    expect(refusal(() => valueLoss.prepare('ppo')({ ...batch.valueLoss, out: { valueGradients: values } })).code).toBe(
      'BUFFER_OVERLAP'
    )
  })

  it('may be two halves of one buffer', () => {
    const both = new Float32Array(2 * tokens)
    const out = { logProbGradients: both.subarray(0, tokens), entropyGradients: both.subarray(tokens) }
    const expected = loss(input)
    loss({ ...input, out })
    expect([...both]).toEqual([...expected.logProbGradients, ...expected.entropyGradients!])
  })

  it('is refused where its buffer was transferred', async () => {
    const detached = <Values extends Float32Array | Float64Array | Int32Array | Uint8Array>(values: Values): Values => {
      const copy = values.slice() as Values
      structuredClone(null, { transfer: [copy.buffer as ArrayBuffer] })
      return copy
    }
    const inputs = [
      { logProbs: detached(input.logProbs) },
      { oldLogProbs: detached(input.oldLogProbs) },
      { oldLogProbs: detached(Float64Array.from(input.oldLogProbs)) },
      { advantages: detached(input.advantages) },
      { mask: detached(batch.mask) },
      { cuSeqlens: detached(batch.cuSeqlens) },
      { out: { logProbGradients: detached(new Float32Array(tokens)) } },
      { out: { entropyGradients: detached(new Float32Array(tokens)) } }
    ]
    for (const change of inputs) {
      const [name] = Object.keys('out' in change ? change.out! : change)
      const error = refusal(() => loss({ ...input, ...change }))
      expect([error.code, error.message]).toEqual(['BUFFER_DETACHED', expect.stringContaining(name!)])
      await expect(loss.async({ ...input, ...change })).rejects.toMatchObject({ code: 'BUFFER_DETACHED' })
    }
    const { rewards, groupOffsets } = batch.advantages
    expect(refusal(() => advantages(grpo, { rewards: detached(rewards), groupOffsets })).code).toBe('BUFFER_DETACHED')
  })

  it('is refused where its length or its type is another', async () => {
    const refused: [unknown, string][] = [
      [new Float32Array(tokens + 1), `logProbGradients: expected ${tokens} elements and not ${tokens + 1}`],
      [new Float32Array(0), `logProbGradients: expected ${tokens} elements and not 0`],
      [new Float64Array(tokens), 'logProbGradients: expected a Float32Array, the element type of logProbs'],
      [new Int32Array(tokens), 'logProbGradients: expected a Float32Array'],
      [new Array(tokens).fill(0), 'logProbGradients: expected a typed array'],
      [new DataView(new ArrayBuffer(4 * tokens)), 'logProbGradients: expected a typed array'],
      ['elsewhere', 'logProbGradients: expected a typed array'],
      [7, 'logProbGradients: expected a Float32Array']
    ]
    for (const [array, message] of refused) {
      const out = { logProbGradients: array as Float32Array }
      const error = refusal(() => loss({ ...input, out }))
      expect([error.code, error.message]).toEqual(['ARGUMENT_INVALID', expect.stringContaining(message)])
      await expect(loss.async({ ...input, out })).rejects.toMatchObject({ code: 'ARGUMENT_INVALID' })
    }
  })

  it('is refused where inputs are no typed arrays', () => {
    const changes: [string, unknown][] = [
      ['logProbs', [...input.logProbs]],
      ['mask', [...batch.mask]],
      ['cuSeqlens', [...batch.cuSeqlens]],
      ['cuSeqlens', undefined]
    ]
    for (const [name, value] of changes) {
      const error = refusal(() => loss({ ...input, [name]: value }))
      expect([error.code, error.message]).toEqual(['ARGUMENT_INVALID', expect.stringContaining(`${name}: expected`)])
    }
  })

  it('holds what it held after a refusal', () => {
    const out = { logProbGradients: new Float32Array(tokens).fill(5) }
    const logProbs = input.logProbs.slice()
    const index = batch.mask.indexOf(1)
    logProbs[index] = NaN
    expect(refusal(() => loss({ ...input, logProbs, out })).message).toContain(`logProbs[${index}] is NaN`)
    expect(out.logProbGradients.every((value) => value === 5)).toBe(true)
  })
})
