/** The repetition penalty prepared, as a promise and into the caller's memory. */
import { describe, expect, it } from 'vitest'
import { repetitionPenalty } from '../../src/rl/index.js'
import { refusal } from './batch.js'
import { stream } from './stream.js'

/** Few different ids, so that n-grams come again; more tokens than one thread's share. */
function makeRows(rows: number): { tokens: Int32Array; cuSeqlens: Int32Array } {
  const random = stream(31)
  const cuSeqlens = new Int32Array(rows + 1)
  for (let row = 0; row < rows; row++) cuSeqlens[row + 1] = cuSeqlens[row]! + Math.floor(120 * random())
  return { tokens: Int32Array.from({ length: cuSeqlens[rows]! }, () => Math.floor(5 * random())), cuSeqlens }
}

/** By a set of the n-grams' words. */
function byDefinition(tokens: Int32Array, cuSeqlens: Int32Array, size: number, factor: number): number[] {
  return Array.from(cuSeqlens.subarray(1), (end, row) => {
    const all: string[] = []
    for (let t = cuSeqlens[row]!; t + size <= end; t++) all.push(tokens.subarray(t, t + size).join(' '))
    const share = all.length > 0 ? 1 - new Set(all).size / all.length : 0
    return share === 0 ? 0 : -factor * share
  })
}

const input = makeRows(300)
const rule = { size: 2, factor: 0.5 }
const expected = Float64Array.from(byDefinition(input.tokens, input.cuSeqlens, 2, 0.5))

describe('the repetition penalty', () => {
  it('is the definition’s in each of its forms', async () => {
    expect(expected.some((penalty) => penalty < -0.1)).toBe(true)
    expect(repetitionPenalty(input.tokens, input.cuSeqlens, rule)).toEqual(expected)
    const prepared = repetitionPenalty.prepare(rule)
    expect(prepared(input)).toEqual(expected)
    expect(await prepared.async(input)).toEqual(expected)
    expect(await repetitionPenalty.async(input.tokens, input.cuSeqlens, rule)).toEqual(expected)
  })

  it.each([Float32Array, Float64Array])('goes into memory of the caller, %o', async (Type) => {
    const out = { penalties: new Type(new SharedArrayBuffer(300 * Type.BYTES_PER_ELEMENT) as unknown as ArrayBuffer) }
    const prepared = repetitionPenalty.prepare(rule)
    expect(prepared({ ...input, out })).toBe(out.penalties)
    expect(Array.from(out.penalties)).toEqual(Array.from(Type.from(expected)))
    out.penalties.fill(7)
    expect(await prepared.async({ ...input, out })).toBe(out.penalties)
    expect(Array.from(out.penalties)).toEqual(Array.from(Type.from(expected)))
  })

  it('refuses memory that is written and read, or of another length, and a job that is cancelled', async () => {
    const prepared = repetitionPenalty.prepare(rule)
    const shared = new ArrayBuffer(8 * 300)
    const few = { tokens: new Int32Array(shared, 0, 4), cuSeqlens: Int32Array.of(0, 4) }
    const overlapping = { ...few, out: { penalties: new Float64Array(shared, 0, 1) } }
    expect(refusal(() => prepared(overlapping)).code).toBe('BUFFER_OVERLAP')
    const short = { ...input, out: { penalties: new Float64Array(299) } }
    expect(refusal(() => prepared(short)).message).toContain('penalties: expected 300 elements')
    const falling = { tokens: input.tokens.subarray(0, 2), cuSeqlens: Int32Array.of(0, 3, 2) }
    expect(refusal(() => prepared(falling)).message).toContain('never fall')
    await expect(prepared.async(input, { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'CANCELLED' })
    expect(refusal(() => repetitionPenalty.prepare({ length: 3 } as object)).message).toContain('unknown option')
  })
})
