/** Calls as promises: the event loop runs on, jobs and threads share memory safely, a signal ends the work. */
import { setImmediate } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import type { AdjudgeError } from '../../src/errors.js'
import {
  advantages,
  exactObjective,
  policyLoss,
  resolveAlgorithm,
  resolveValue,
  valueLoss,
  type PolicyLossInput
} from '../../src/rl/index.js'
import { makeBatch } from './batch.js'
import { message, rlWorker } from './rlWorker.js'

/** Completions of 1,000 tokens in shared memory; one per `tokens`. */
function longBatch(tokens: number): PolicyLossInput & { out: { logProbGradients: Float32Array } } {
  const rows = tokens / 1000
  const floats = (length: number) => new Float32Array(new SharedArrayBuffer(4 * length))
  const logProbs = floats(tokens)
  for (let token = 0; token < tokens; token++) logProbs[token] = -1 - (token % 613) / 613
  const oldLogProbs = floats(tokens)
  oldLogProbs.set(logProbs.subarray(1), 0)
  const rewards = floats(rows)
  for (let row = 0; row < rows; row++) rewards[row] = (row % 7) - 3
  const cuSeqlens = new Int32Array(new SharedArrayBuffer(4 * (rows + 1)))
  for (let row = 0; row <= rows; row++) cuSeqlens[row] = 1000 * row
  return { logProbs, oldLogProbs, advantages: rewards, cuSeqlens, out: { logProbGradients: floats(tokens) } }
}

const bytes = ({ buffer, byteOffset, byteLength }: Float32Array): Buffer => Buffer.from(buffer, byteOffset, byteLength)

const loss = policyLoss.prepare('grpo')
const long = longBatch(1e7)

/** The code of a call's error, '' of its success: what it gives has too many elements for a message. */
async function outcome(call: () => unknown): Promise<string> {
  try {
    await call()
    return ''
  } catch (error) {
    return (error as AdjudgeError).code
  }
}

/** Tries again where a job was over before it was disturbed, as it may be on a machine with much to do. */
async function whileItRuns(disturbed: () => Promise<boolean>): Promise<void> {
  for (let attempt = 0; attempt < 20; attempt++) if (await disturbed()) return
}

describe('a call as a promise', () => {
  const batch = makeBatch(4, 31)

  it('gives the bits of the plain call, prepared or not', async () => {
    const grpo = resolveAlgorithm('grpo')
    const ppo = resolveValue('ppo')
    const exact = resolveAlgorithm('exact')
    const results: [unknown, ...Promise<unknown>[]][] = [
      [
        advantages(grpo, batch.advantages),
        advantages.async(grpo, batch.advantages),
        advantages.prepare('grpo').async(batch.advantages)
      ],
      [policyLoss(grpo, batch.policyLoss), policyLoss.async(grpo, batch.policyLoss), loss.async(batch.policyLoss)],
      [
        valueLoss(ppo, batch.valueLoss),
        valueLoss.async(ppo, batch.valueLoss),
        valueLoss.prepare('ppo').async(batch.valueLoss)
      ],
      [
        exactObjective(exact, batch.exact),
        exactObjective.async(exact, batch.exact),
        exactObjective.prepare('exact').async(batch.exact)
      ]
    ]
    for (const [expected, ...promises] of results) {
      for (const promise of promises) expect(await promise).toEqual(expected)
    }
  })

  it('keeps apart what many jobs at once give', async () => {
    const inputs = Array.from({ length: 24 }, (_, index) => makeBatch(2 + (index % 5), index).policyLoss)
    const results = await Promise.all(inputs.map((input) => loss.async(input)))
    expect(results).toEqual(inputs.map((input) => loss(input)))
  })

  it('rejects, and never throws, where its input is wrong', async () => {
    const promise = loss.async({ ...batch.policyLoss, mask: new Uint8Array(1) })
    await expect(promise).rejects.toMatchObject({ code: 'ARGUMENT_INVALID' })
    const rule = { ...resolveAlgorithm('grpo'), aggregation: 'mean' as 'token_mean' }
    await expect(policyLoss.async(rule, batch.policyLoss)).rejects.toMatchObject({ code: 'ARGUMENT_INVALID' })
  })

  it('keeps its arrays from being transferred or shrunk', async () => {
    const logProbs = batch.policyLoss.logProbs.slice()
    await loss.async({ ...batch.policyLoss, logProbs })
    try {
      structuredClone(null, { transfer: [logProbs.buffer as ArrayBuffer] })
    } catch {
      // Since version 21 Node refuses; before, it copied.
    }
    expect(logProbs).toEqual(batch.policyLoss.logProbs)
    const resizable = Reflect.construct(ArrayBuffer, [8 * logProbs.length, { maxByteLength: 16 * logProbs.length }])
    const growing = new Float64Array(resizable as ArrayBuffer)
    growing.set(logProbs)
    await expect(loss.async({ ...batch.policyLoss, logProbs: growing })).rejects.toMatchObject({
      code: 'ARGUMENT_INVALID',
      message: expect.stringContaining('resizable') as string
    })
  })
})

describe('while a job of ten million tokens runs', () => {
  it('the event loop turns', async () => {
    let best = Infinity
    // Other processes may take the core away now and then, not every time.
    for (let attempt = 0; attempt < 4 && best >= 50; attempt++) {
      let settled = false
      let turns = 0
      let longest = 0
      let last = performance.now()
      const job = loss.async(long).finally(() => (settled = true))
      while (!settled) {
        await setImmediate()
        const now = performance.now()
        longest = Math.max(longest, now - last)
        last = now
        turns++
      }
      expect((await job).metrics.tokens).toBe(1e7)
      expect(turns).toBeGreaterThan(10)
      best = Math.min(best, longest)
    }
    expect(best).toBeLessThan(50)
  })

  it('nobody else may write its buffers, nor read what it writes', async () => {
    const written = long.out.logProbGradients
    const other = longBatch(1000)
    const uses: PolicyLossInput[] = [
      { ...other, out: { logProbGradients: written.subarray(5e6, 5e6 + 1000) } },
      { ...other, out: { logProbGradients: long.logProbs.subarray(1e6, 1e6 + 1000) as Float32Array } },
      { ...other, oldLogProbs: written.subarray(0, 1000) }
    ]
    let codes: string[] = []
    let job = loss.async(long)
    await whileItRuns(async () => {
      await job
      job = loss.async(long)
      const now = uses.map((input) => outcome(() => loss(input)))
      codes = await Promise.all([
        ...now,
        ...uses.map((input) => outcome(() => loss.async(input))),
        outcome(() => loss.async(long))
      ])
      return codes.every((code) => code === 'BUFFER_BUSY')
    })
    expect(codes).toEqual(Array(7).fill('BUFFER_BUSY'))
    // Reading what the job reads is fine, and after it everything is.
    expect(loss({ ...other, logProbs: long.logProbs.subarray(0, 1000) }).metrics.tokens).toBe(1000)
    await job
    expect(loss(uses[0]!).logProbGradients).toBe(uses[0]!.out!.logProbGradients)
  })

  it('a signal ends it, and its buffers are free again', async () => {
    let code = ''
    await whileItRuns(async () => {
      const controller = new AbortController()
      const job = loss.async(long, { signal: controller.signal })
      controller.abort()
      code = await outcome(() => job)
      return code !== ''
    })
    expect(code).toBe('CANCELLED')
    const signal = AbortSignal.abort()
    expect(await outcome(() => loss.async(long, { signal }))).toBe('CANCELLED')
    expect(await outcome(() => policyLoss.async(resolveAlgorithm('grpo'), long, { signal }))).toBe('CANCELLED')
    const unused = new AbortController()
    const small = longBatch(1000)
    const result = await loss.async(small, { signal: unused.signal })
    unused.abort()
    expect(result.loss).toBe(loss(small).loss)
    expect((await loss.async(long)).metrics.tokens).toBe(1e7)
  })
})

describe('worker threads', () => {
  it('at once over one SharedArrayBuffer give the bits of one alone', async () => {
    const { out, ...input } = longBatch(2e5)
    const expected = loss({ ...input, out })
    const results = Array.from({ length: 4 }, () => new Float32Array(new SharedArrayBuffer(4 * 2e5)))
    const body = `
      const loss = rl.policyLoss.prepare('grpo')
      const out = { logProbGradients: data.target }
      const losses = []
      for (let i = 0; i < 6; i++) {
        data.target.fill(NaN)
        losses.push(i % 2 ? loss({ ...data.input, out }).loss : (await loss.async({ ...data.input, out })).loss)
      }
      parentPort.postMessage(losses)`
    const workers = results.map((target) => rlWorker(body, { input, target }))
    const losses = await Promise.all(workers.map((worker) => message<number[]>(worker)))
    expect(losses.flat()).toEqual(Array(24).fill(expected.loss))
    for (const target of results) expect(Buffer.compare(bytes(target), bytes(out.logProbGradients))).toBe(0)
    await Promise.all(workers.map((worker) => worker.terminate()))
  })

  it('may not write what a job of another thread writes', async () => {
    const small = longBatch(1000)
    const target = long.out.logProbGradients.subarray(0, 1000)
    const worker = rlWorker(
      `
      const loss = rl.policyLoss.prepare('grpo')
      parentPort.postMessage('ready')
      parentPort.on('message', () => {
        let refused = ''
        try { loss({ ...data.small, out: { logProbGradients: data.target } }) } catch (error) { refused = code(error) }
        parentPort.postMessage(refused)
      })`,
      { small, target }
    )
    expect(await message(worker)).toBe('ready')
    const ask = async () => {
      const answer = message<string>(worker)
      worker.postMessage('write')
      return await answer
    }
    let refused = ''
    await whileItRuns(async () => {
      const job = loss.async(long)
      refused = await ask()
      await job
      return refused !== ''
    })
    expect(refused).toBe('BUFFER_BUSY')
    expect(await ask()).toBe('')
    await worker.terminate()
  })

  it('can be terminated while they compute', async () => {
    const { out, ...input } = long
    const expected = loss({ ...longBatch(1000) }).loss
    const asynchronous = `
      const loss = rl.policyLoss.prepare('grpo')
      const advantages = rl.advantages.prepare('grpo')
      void loss.async(data)
      void loss.async(data)
      void advantages.async({ rewards: data.advantages, groupOffsets: Int32Array.of(0, data.advantages.length) })
      parentPort.postMessage('computes')`
    const synchronous = `
      const loss = rl.policyLoss.prepare('grpo')
      parentPort.postMessage('computes')
      for (;;) loss(data)`
    for (const body of [asynchronous, synchronous]) {
      const worker = rlWorker(body, input)
      expect(await message(worker)).toBe('computes')
      expect(await worker.terminate()).toBe(1)
      expect(loss(longBatch(1000)).loss).toBe(expected)
    }
    // Their leases are gone with them.
    expect((await loss.async({ ...input, out })).metrics.tokens).toBe(1e7)
  })
})
