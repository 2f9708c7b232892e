/**
 * Calls with `device: 'cuda'` that succeed: from here through the addon to the library's kernels and back. The library is
 * the one over the SIMT shim, which `npm test` builds before this runs; the kernels then run on the processor.
 */
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { describe, expect, it, vi } from 'vitest'
import {
  advantages,
  duelingGradients,
  duelingQ,
  gae,
  gammaWeights,
  mismatchMetrics,
  polyakAverage,
  preferenceLoss,
  qLoss,
  qTargets,
  resolveAlgorithm,
  retrace,
  upgo,
  valueLoss,
  vtrace
} from '../../src/index.js'
import { makeBatch, refusal } from './batch.js'
import { stream } from './stream.js'

const library = resolve('build/Release/adjudge_cuda_host.so')
// Opened once per process.
vi.stubEnv('ADJUDGE_CUDA_LIBRARY', library)

const batch = makeBatch(6, 41, Float32Array)
const tokens = batch.cuSeqlens.at(-1)!

function expectClose(actual: ArrayLike<number>, wanted: ArrayLike<number>): void {
  expect(actual).toHaveLength(wanted.length)
  for (let i = 0; i < wanted.length; i++) {
    const tolerance = 1e-5 * (1 + Math.abs(wanted[i]!))
    expect(Math.abs(actual[i]! - wanted[i]!), `element ${i}`).toBeLessThanOrEqual(tolerance)
  }
}

describe.skipIf(!existsSync(library))('device: cuda', () => {
  const { values, oldValues, returns, mask, cuSeqlens } = batch.valueLoss
  const input = { rewards: returns, values, actionValues: oldValues!, logRatios: oldValues!, cuSeqlens, mask }

  it.each(Object.entries({ gae, vtrace, retrace, upgo }))('%s agrees with the processor', async (name, call) => {
    const options = { gamma: 0.98, ...(name === 'upgo' ? {} : { lambda: 0.95 }) }
    const results = call(input, { ...options, device: 'cuda' }) as Record<string, Float32Array>
    const wanted = call(input, { ...options, device: 'cpu' }) as Record<string, Float32Array>
    expect(Object.keys(results)).toEqual(Object.keys(wanted))
    for (const [name, values] of Object.entries(wanted)) {
      expect(values.some((value) => value !== 0)).toBe(true)
      expectClose(results[name]!, values)
    }
    const prepared = call.prepare({ ...options, device: 'cuda' })
    expect(prepared(input)).toEqual(results)
    expect(await prepared.async(input)).toEqual(results)
  })

  it('writes into shared memory of the caller', () => {
    const out = { advantages: new Float32Array(new SharedArrayBuffer(4 * tokens)), returns: new Float32Array(tokens) }
    const result = gae({ ...input, out }, { device: 'cuda' })
    expect(result.advantages).toBe(out.advantages)
    expect(result).toEqual(gae(input, { device: 'cuda' }))
  })

  it.each(['grpo', 'rloo', 'reinforce_plus_plus'])('advantages of %s agree with the processor', async (name) => {
    const algorithm = resolveAlgorithm(name)
    const wanted = advantages(algorithm, batch.advantages, { device: 'cpu' })
    const result = advantages(algorithm, batch.advantages, { device: 'cuda' })
    expectClose(result.advantages, wanted.advantages)
    expect(result.metrics.reward).toBeCloseTo(wanted.metrics.reward, 6)
    expect(result.metrics.unscored).toBe(wanted.metrics.unscored)
    expect(await advantages.async(algorithm, batch.advantages, { device: 'cuda' })).toEqual(result)
  })

  it('the value loss agrees with the processor', () => {
    const wanted = valueLoss.prepare('ppo', { device: 'cpu' })(batch.valueLoss)
    const result = valueLoss.prepare('ppo', { device: 'cuda' })(batch.valueLoss)
    expect(result.loss).toBeCloseTo(wanted.loss, 5)
    expectClose(result.valueGradients, wanted.valueGradients)
  })

  it('Q-learning agrees with the processor', async () => {
    const random = stream(8)
    const draw = (length: number) => Float32Array.from({ length }, () => 4 * (random() - 0.5))
    const [steps, actionCount] = [50, 7]
    const [rewards, nextQ, q, values] = [steps, steps * actionCount, steps * actionCount, steps].map(draw)
    const actions = Int32Array.from({ length: steps }, () => Math.floor(random() * actionCount))
    const onBoth = <Result>(call: (device: 'cuda' | 'cpu') => Result) => [call('cuda'), call('cpu')] as const
    const steady = { rewards: rewards!, nextQ: nextQ!, nextOnlineQ: q!, cuSeqlens: Int32Array.of(0, 20, steps) }
    const [targets, wantedTargets] = onBoth((device) => qTargets.prepare('n_step_dqn', { device })(steady))
    expectClose(targets, wantedTargets)
    const rule = { preset: 'iql', loss: { conservative: { coefficient: 0.3 } } }
    const batch = { q: q!, actions, targets, values: values!, targetQ: rewards!, logProbs: values! }
    const [loss, wanted] = onBoth((device) => qLoss.prepare(rule, { device })(batch))
    expect(loss.loss).toBeCloseTo(wanted.loss, 5)
    for (const name of ['qGradients', 'valueGradients', 'logProbGradients', 'priorities', 'policyWeights'] as const) {
      expectClose(loss[name]!, wanted[name]!)
    }
    const heads = { values: values!, advantages: q! }
    expectClose(...onBoth((device) => duelingQ(heads, { device })))
    const [slopes, wantedSlopes] = onBoth((device) => duelingGradients(heads, nextQ!, { device }))
    expectClose(slopes.valueGradients, wantedSlopes.valueGradients)
    expectClose(slopes.advantageGradients, wantedSlopes.advantageGradients)
    const [moved, wantedMoved] = [rewards!.slice(), rewards!.slice()]
    await polyakAverage.async(moved, values!, 0.2, { device: 'cuda' })
    polyakAverage(wantedMoved, values!, 0.2, { device: 'cpu' })
    expect(moved).toEqual(wantedMoved)
    const absent = { ...batch, actions: actions.map((action, step) => (step === 9 ? 7 : action)) }
    const messages = onBoth((device) => refusal(() => qLoss.prepare(rule, { device })(absent)).message)
    expect(messages[0]).toContain('actions[9] is 7')
    expect(messages[0]).toBe(messages[1])
  })

  it('the mismatch and the weights of vespo agree with the processor', () => {
    const shifted = oldValues!.map((value, token) => value - 0.3 * Math.cos(token))
    const both = {
      logProbs: oldValues!,
      cuSeqlens,
      mask,
      advantages: batch.advantages.rewards.map((reward) => reward - 0.5)
    }
    const calls = [
      (device: 'cuda' | 'cpu') => mismatchMetrics({ ...both, rolloutLogProbs: shifted }, { device }),
      (device: 'cuda' | 'cpu') => gammaWeights({}, { ...both, oldLogProbs: shifted }, { device })
    ]
    for (const call of calls) {
      const [result, wanted] = [call('cuda'), call('cpu')].map((values) => Object.values(values) as number[])
      expect(wanted!.some((value) => value !== 0)).toBe(true)
      expectClose(result!, wanted!)
    }
  })

  it.each(['aot', 'aot_unpaired'])('the preference loss %s, which sorts, agrees with the processor', (name) => {
    const logProbs = Float32Array.from({ length: 24 }, (_, i) => -2 - Math.sin(5 * i))
    const pairs = {
      logProbs,
      referenceLogProbs: logProbs.map((value, i) => value - 0.4 * Math.cos(3 * i)),
      chosen: Int32Array.from({ length: 12 }, (_, pair) => 2 * pair),
      rejected: Int32Array.from({ length: 12 }, (_, pair) => 2 * pair + 1)
    }
    const wanted = preferenceLoss.prepare(name, { device: 'cpu' })(pairs)
    const result = preferenceLoss.prepare(name, { device: 'cuda' })(pairs)
    expect(result.loss).toBeCloseTo(wanted.loss, 6)
    expectClose(result.gradients, wanted.gradients)
  })

  it('tells what is wrong with the data as the processor does', () => {
    const wrong = { ...batch.advantages, rewards: batch.advantages.rewards.slice().fill(Infinity, 2, 3) }
    const messages = (['cuda', 'cpu'] as const).map(
      (device) => refusal(() => advantages(resolveAlgorithm('grpo'), wrong, { device })).message
    )
    expect(messages[0]).toContain('completion 2')
    expect(messages[0]).toBe(messages[1])
  })

  it('computes a Float64Array on the processor only', () => {
    const wide = { ...input, rewards: Float64Array.from(input.rewards) }
    expect(refusal(() => gae(wide, { device: 'cuda' })).code).toBe('DEVICE_UNSUPPORTED')
  })
})
