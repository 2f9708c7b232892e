/** The forms of the Q-learning calls: prepared, as a promise, into the caller's memory, on a device. */
import { describe, expect, it, vi } from 'vitest'
import {
  duelingGradients,
  duelingQ,
  polyakAverage,
  qLoss,
  qTargets,
  resolveQAlgorithm,
  type AdjudgeError,
  type QLossInput
} from '../../src/index.js'
import { refusal } from './batch.js'
import { stream } from './stream.js'

// The library of CUDA kernels is opened once per process: this file is about a machine without one.
vi.stubEnv('ADJUDGE_CUDA_LIBRARY', '/nowhere/adjudge_cuda.so')

const steps = 37
const actionCount = 5
type FloatType = typeof Float32Array | typeof Float64Array

function inputs(Type: FloatType, shared = false) {
  const random = stream(4)
  const draw = (length: number) => {
    const numbers = new Type(Array.from({ length }, () => 4 * (random() - 0.5)))
    if (!shared) return numbers
    const memory = new Type(new SharedArrayBuffer(numbers.byteLength) as unknown as ArrayBuffer)
    memory.set(numbers)
    return memory
  }
  const rewards = draw(steps)
  const nextQ = draw(steps * actionCount)
  const loss: QLossInput = {
    q: draw(steps * actionCount),
    twinQ: draw(steps * actionCount),
    actions: Int32Array.from({ length: steps }, () => Math.floor(random() * actionCount)),
    targets: draw(steps),
    values: draw(steps),
    targetQ: draw(steps),
    logProbs: draw(steps)
  }
  return {
    targets: { rewards, nextQ, nextOnlineQ: draw(steps * actionCount), cuSeqlens: Int32Array.of(0, 12, steps) },
    loss,
    dueling: { values: rewards, advantages: nextQ, centre: 'max' as const }
  }
}

const targetRule = { preset: 'n_step_dqn' }
const lossRule = { preset: 'iql', loss: { conservative: { coefficient: 0.5 } } }

describe('Q-learning calls', () => {
  for (const Type of [Float32Array, Float64Array]) {
    it(`give the same prepared, later, from shared memory and into given memory: ${Type.name}`, async () => {
      const { targets, loss, dueling } = inputs(Type)
      const shared = inputs(Type, true)
      const wanted = qTargets(resolveQAlgorithm(targetRule), targets)
      const targetsOf = qTargets.prepare(targetRule)
      const place = new Type(steps)
      expect(targetsOf({ ...targets, out: { targets: place } })).toBe(place)
      for (const found of [place, targetsOf(shared.targets), await targetsOf.async(targets)])
        expect(found).toEqual(wanted)

      const wantedLoss = qLoss(resolveQAlgorithm(lossRule), loss)
      const lossOf = qLoss.prepare(lossRule)
      const qGradients = new Type(steps * actionCount).fill(7)
      const into = lossOf({ ...loss, out: { qGradients } })
      expect(into.qGradients).toBe(qGradients)
      for (const found of [into, lossOf(shared.loss), await lossOf.async(loss), lossOf(loss)])
        expect(found).toEqual(wantedLoss)
      expect(await qLoss.async(resolveQAlgorithm(lossRule), loss)).toEqual(wantedLoss)

      const q = duelingQ(dueling)
      expect(await duelingQ.async(dueling)).toEqual(q)
      expect(duelingQ({ ...shared.dueling, out: { q: new Type(steps * actionCount) } })).toEqual(q)
      const slopes = duelingGradients(dueling, q)
      expect(await duelingGradients.async(dueling, q)).toEqual(slopes)

      const [target, later] = [dueling.values.slice(), dueling.values.slice()]
      polyakAverage(target, q.subarray(0, steps), 0.3)
      await polyakAverage.async(later, q.subarray(0, steps), 0.3)
      expect(later).toEqual(target)
    })
  }

  it('take any number of quantiles and no steps at all', () => {
    const lossOf = qLoss.prepare('qr_dqn')
    const nothing = { q: new Float32Array(0), actions: new Int32Array(0), targets: new Float32Array(0), quantiles: 3 }
    expect(lossOf(nothing)).toMatchObject({ loss: 0, qGradients: new Float32Array(0) })
    expect(
      lossOf({ ...nothing, q: new Float32Array(12), actions: new Int32Array(2), targets: new Float32Array(6) }).loss
    ).toBe(0)
    expect(qTargets.prepare('dqn')({ rewards: new Float32Array(0), nextQ: new Float32Array(0) })).toHaveLength(0)
  })

  it('refuse memory that is used twice, is gone, or belongs to a job', async () => {
    const { targets, loss, dueling } = inputs(Float32Array)
    const targetsOf = qTargets.prepare(targetRule)
    const lossOf = qLoss.prepare(lossRule)
    expect(refusal(() => targetsOf({ ...targets, out: { targets: targets.rewards } })).code).toBe('BUFFER_OVERLAP')
    expect(refusal(() => lossOf({ ...loss, out: { twinQGradients: loss.q } })).code).toBe('BUFFER_OVERLAP')
    expect(refusal(() => duelingQ({ ...dueling, out: { q: dueling.advantages } })).code).toBe('BUFFER_OVERLAP')
    expect(refusal(() => polyakAverage(dueling.values, dueling.values, 0.5)).code).toBe('BUFFER_OVERLAP')

    const gone = Float32Array.from(targets.nextQ)
    structuredClone(null, { transfer: [gone.buffer] })
    expect(refusal(() => targetsOf({ ...targets, nextQ: gone })).code).toBe('BUFFER_DETACHED')
    expect(refusal(() => lossOf({ ...loss, q: gone })).code).toBe('BUFFER_DETACHED')
    expect(refusal(() => duelingQ({ ...dueling, advantages: gone })).code).toBe('BUFFER_DETACHED')

    // Long enough that it still runs when the next call comes.
    const dqn = qTargets.prepare('dqn')
    const long = { rewards: new Float32Array(400_000), nextQ: new Float32Array(6_400_000) }
    const place = new Float32Array(long.rewards.length)
    const job = dqn.async({ ...long, out: { targets: place } })
    await expect(dqn.async({ ...long, rewards: place })).rejects.toMatchObject({ code: 'BUFFER_BUSY' })
    expect(await job).toBe(place)
  })

  it('name a number that is not finite where they are told so, and later too', async () => {
    const { dueling, targets } = inputs(Float32Array)
    const advantages = dueling.advantages.slice()
    advantages[11] = NaN
    expect(refusal(() => duelingQ({ ...dueling, advantages })).message).toMatch(/^advantages\[11\] is NaN/)
    expect(refusal(() => duelingGradients(dueling, advantages)).message).toMatch(/^qGradients\[11\] is NaN/)
    await expect(qTargets.prepare('dqn').async({ ...targets, nextQ: advantages })).rejects.toMatchObject({
      code: 'ARGUMENT_INVALID',
      message: expect.stringMatching(/^nextQ\[11\] is NaN/) as string
    })
  })

  it('say why a device cannot be used', async () => {
    const { targets, loss, dueling } = inputs(Float32Array)
    const device = 'cuda'
    const refused = [
      () => qTargets(resolveQAlgorithm('dqn'), targets, { device }),
      () => qLoss.prepare(lossRule, { device })(loss),
      () => duelingQ(dueling, { device }),
      () => duelingGradients(dueling, dueling.advantages, { device }),
      () => polyakAverage(new Float32Array(2), new Float32Array(2), 1, { device })
    ]
    for (const call of refused) expect(refusal(call).code).toBe('DEVICE_UNAVAILABLE')
    const later: Promise<unknown> = duelingQ.async(dueling, { device })
    await expect(later).rejects.toMatchObject({ code: 'DEVICE_UNAVAILABLE' } satisfies Partial<AdjudgeError>)
    const wide = inputs(Float64Array).dueling
    expect(refusal(() => duelingQ(wide, { device })).code).toBe('DEVICE_UNSUPPORTED')
  })
})
