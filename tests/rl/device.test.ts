import { describe, expect, it, vi } from 'vitest'
import {
  type AdjudgeError,
  advantages,
  exactObjective,
  policyLoss,
  resolveAlgorithm,
  valueLoss
} from '../../src/index.js'

// The library of CUDA kernels is opened once per process: this file is about a machine without one.
vi.stubEnv('ADJUDGE_CUDA_LIBRARY', '/nowhere/adjudge_cuda.so')

const grpo = resolveAlgorithm('grpo')
const batch = (Type: typeof Float32Array | typeof Float64Array) => ({
  rewards: Type.from([1, 0, 0.5, 0.25]),
  groupOffsets: Int32Array.of(0, 2, 4)
})

function refusal(call: () => unknown): AdjudgeError {
  try {
    call()
  } catch (error) {
    return error as AdjudgeError
  }
  throw new Error('was not refused')
}

describe('the device of a call', () => {
  it('is the processor for auto and cpu where there is no GPU', () => {
    const plain = advantages(grpo, batch(Float32Array)).advantages
    expect(advantages(grpo, batch(Float32Array), { device: 'auto' }).advantages).toEqual(plain)
    expect(advantages.prepare('grpo', { device: 'cpu' })(batch(Float32Array)).advantages).toEqual(plain)
  })

  it('is refused with the reason and the cure where it cannot be used', async () => {
    const error = refusal(() => advantages(grpo, batch(Float32Array), { device: 'cuda' }))
    expect(error.code).toBe('DEVICE_UNAVAILABLE')
    expect(error.message).toContain('/nowhere/adjudge_cuda.so does not exist')
    expect(error.message).toContain('npx adjudge build')
    expect(error.message).toContain("'cpu' or 'auto'")
    await expect(advantages.async(grpo, batch(Float32Array), { device: 'cuda' })).rejects.toMatchObject({
      code: 'DEVICE_UNAVAILABLE'
    })
  })

  it('is refused for 64-bit numbers, and for a call without kernels', () => {
    expect(refusal(() => advantages(grpo, batch(Float64Array), { device: 'cuda' })).code).toBe('DEVICE_UNSUPPORTED')
    const exact = {
      choiceLogProbs: Float32Array.of(-1, -1),
      rewards: Float32Array.of(0, 1),
      groupOffsets: Int32Array.of(0, 2)
    }
    expect(refusal(() => exactObjective(resolveAlgorithm('exact'), exact, { device: 'cuda' })).code).toBe(
      'DEVICE_UNSUPPORTED'
    )
  })

  it('is one of three words', () => {
    for (const call of [policyLoss, advantages]) {
      const error = refusal(() => call.prepare('grpo', { device: 'gpu' as 'cuda' }))
      expect(error).toMatchObject({
        code: 'ARGUMENT_INVALID',
        message: 'device: expected auto, cpu or cuda and got gpu'
      })
    }
    expect(refusal(() => valueLoss.prepare({}, { device: 'gpu' as 'cuda' })).code).toBe('ARGUMENT_INVALID')
  })
})
