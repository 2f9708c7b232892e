/** GAE, V-trace, Retrace and UPGO prepared, as promises, into given memory; and ratios beyond all bounds. */
import { describe, expect, it } from 'vitest'
import { gae, retrace, upgo, vtrace, type FloatArray, type RetraceInput } from '../../src/rl/index.js'
import { refusal } from './batch.js'

type Type = typeof Float32Array | typeof Float64Array

/** Ragged sequences; masked tokens hold NaN. */
function sequences(Type: Type, allocate: (bytes: number) => ArrayBuffer | SharedArrayBuffer): RetraceInput {
  const lengths = [5, 0, 1, 40, 3, 211]
  const cuSeqlens = Int32Array.from([0, ...lengths.map((_, i) => lengths.slice(0, i + 1).reduce((a, b) => a + b))])
  const tokens = cuSeqlens.at(-1)!
  const mask = Uint8Array.from({ length: tokens }, (_, token) => (token % 9 === 4 ? 0 : 1))
  let state = 1
  const array = (length: number, hidden: boolean): FloatArray => {
    const values = new Type(allocate(length * Type.BYTES_PER_ELEMENT) as ArrayBuffer)
    for (let i = 0; i < length; i++) {
      state = (state * 48271) % 2147483647
      values[i] = hidden && mask[i] === 0 ? NaN : state / 1073741823.5 - 1
    }
    return values
  }
  return {
    rewards: array(tokens, true),
    values: array(tokens, true),
    actionValues: array(tokens, true),
    logRatios: array(tokens, true),
    cuSeqlens,
    mask,
    bootstrapValues: array(lengths.length, false)
  }
}

interface Form {
  (input: RetraceInput & { out?: object }, options?: object): Record<string, FloatArray>
  async: (input: RetraceInput & { out?: object }, options?: object) => Promise<Record<string, FloatArray>>
  prepare: (options?: object) => {
    (input: RetraceInput & { out?: object }): Record<string, FloatArray>
    async: (input: RetraceInput & { out?: object }) => Promise<Record<string, FloatArray>>
  }
}
const forms = { gae, vtrace, retrace, upgo } as unknown as Record<string, Form>
// UPGO knows no lambda.
const calls = Object.entries(forms).map(
  ([name, call]) => [name, call, name === 'upgo' ? { gamma: 0.97 } : { gamma: 0.97, lambda: 0.9 }] as const
)
const memories: [string, (bytes: number) => ArrayBuffer | SharedArrayBuffer][] = [
  ['ArrayBuffer', (bytes) => new ArrayBuffer(bytes)],
  ['SharedArrayBuffer', (bytes) => new SharedArrayBuffer(bytes)]
]

describe.each(calls)('%s', (_, call, options) => {
  const names = Object.keys(call(sequences(Float64Array, memories[0]![1]), options))

  it.each(memories)('gives the same in every form over %s, into the arrays it is given', async (_name, allocate) => {
    for (const Type of [Float32Array, Float64Array]) {
      const input = sequences(Type, allocate)
      const expected = call(input, options)
      expect(expected[names[0]!]!.some((value) => value !== 0)).toBe(true)
      const prepared = call.prepare(options)
      expect(prepared(input)).toEqual(expected)
      expect(await prepared.async(input)).toEqual(expected)
      expect(await call.async(input, options)).toEqual(expected)
      const out = Object.fromEntries(
        names.map((name) => [name, new Type(allocate(input.rewards.byteLength) as ArrayBuffer).fill(-7)])
      )
      const written = await prepared.async({ ...input, out })
      for (const name of names) expect(written[name]).toBe(out[name])
      expect(written).toEqual(expected)
    }
  })

  it('refuses memory that cannot be used, and values that are not finite, with their index', () => {
    const input = sequences(Float32Array, memories[0]![1])
    const shared = { ...input, out: { [names[0]!]: input.values } }
    expect(refusal(() => call(shared))).toMatchObject({ code: 'BUFFER_OVERLAP' })
    const short = { ...input, out: { [names[0]!]: new Float32Array(3) } }
    expect(refusal(() => call(short)).message).toContain(`${names[0]}: expected 260 elements and not 3`)
    for (const name of ['rewards', 'values'] as const) {
      const spoiled = input[name].slice()
      spoiled[17] = -Infinity
      expect(refusal(() => call({ ...input, [name]: spoiled }))).toMatchObject({
        code: 'ARGUMENT_INVALID',
        message: expect.stringContaining(`${name}[17] is -Infinity`) as string
      })
    }
    const bootstrapValues = input.bootstrapValues!.slice()
    bootstrapValues[2] = NaN
    expect(refusal(() => call({ ...input, bootstrapValues })).message).toContain('bootstrapValues[2] is NaN')
    expect(refusal(() => call.prepare({ gamma: 2 })).code).toBe('ARGUMENT_INVALID')
  })

  it('can be cancelled', async () => {
    const input = sequences(Float32Array, memories[0]![1])
    await expect(call.async(input, { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'CANCELLED' })
  })
})

describe('a ratio beyond every number', () => {
  it.each([Float32Array, Float64Array])('is 1 under a bound of 1, and named without a bound (%s)', (Type) => {
    const input = {
      rewards: Type.of(0.5, 0.25, 1, 1, 1),
      values: Type.of(0.5, 0.5, 0.5, 0.5, 0.5),
      actionValues: Type.of(0, 0, 0, 0, 0),
      cuSeqlens: Int32Array.of(0, 5)
    }
    const huge = { ...input, logRatios: Type.of(0, 900, 1e4, 900, 900) }
    expect(vtrace(huge)).toEqual(vtrace(input))
    expect(retrace(huge)).toEqual(retrace(input))
    expect(upgo(huge)).toEqual(upgo(input))
    const first = (call: () => unknown, name: string) =>
      expect(refusal(call)).toMatchObject({
        code: 'ARGUMENT_INVALID',
        message: expect.stringMatching(new RegExp(`^${name}\\[\\d\\] is beyond .*(rhoClip|cClip)`)) as string
      })
    const open = { rhoClip: null, cClip: null, policyGradientRhoClip: null }
    first(() => vtrace(huge, open), 'targets')
    first(() => retrace(huge, { cClip: null }), 'targets')
    // Ratios that nothing multiplies: steps whose differences are 0.
    const zero = Type.of(0, 0, 0, 0, 0)
    const still = { ...huge, rewards: zero, values: zero }
    expect([...vtrace(still, open).targets]).toEqual([0, 0, 0, 0, 0])
    expect([...retrace(still, { cClip: null }).targets]).toEqual([0, 0, 0, 0, 0])
  })
})

describe('options', () => {
  it('that no one knows are answered with the nearest, and a mistyped word with those that there are', async () => {
    const input = sequences(Float32Array, (bytes) => new ArrayBuffer(bytes))
    for (const call of Object.values(forms)) {
      for (const use of [() => call(input, { gama: 1 }), () => call.prepare({ gama: 1 })]) {
        const error = refusal(use)
        expect(error.code).toBe('ARGUMENT_INVALID')
        expect(error.message).toBe('unknown option "gama"; did you mean "gamma"?')
      }
    }
    await expect(forms['vtrace']!.async(input, { rhoClipp: 2 })).rejects.toMatchObject({
      message: expect.stringContaining('"rhoClip"') as string
    })
    const error = refusal(() => forms['gae']!(input, { maskedReturn: 'trough' }))
    expect(error.message).toBe('maskedReturn is trough, expected skip or through')
  })
})
