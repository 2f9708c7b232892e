/** The forms of preferenceLoss: prepared, as a promise, into the caller's memory, on a device. */
import { describe, expect, it } from 'vitest'
import {
  preferenceLoss,
  preferencePresetNames,
  resolvePreference,
  type FloatArray,
  type PreferenceBatch
} from '../../src/rl/index.js'
import { refusal, type FloatType } from './batch.js'
import { stream } from './stream.js'

/** Completions of 1 to 6 tokens, each chosen or rejected in several pairs; what is masked is NaN. */
function makePairs(preset: string, completions: number, seed: number, Type: FloatType = Float64Array): PreferenceBatch {
  const { kind, reference } = resolvePreference(preset)
  const random = stream(seed)
  const index = (): number => Math.floor(random() * completions)
  const draw = (length: number, from: number, to: number): FloatArray =>
    (Type as typeof Float64Array).from({ length }, () => from + (to - from) * random())
  const chosen = Int32Array.from({ length: completions }, index)
  const rejected = chosen.map((other) => (other + 1 + Math.floor(random() * (completions - 1))) % completions)
  if (kind === 'bradley_terry') return { scores: draw(completions, -2, 2), chosen, rejected }
  const cuSeqlens = new Int32Array(completions + 1)
  for (let row = 0; row < completions; row++) cuSeqlens[row + 1] = cuSeqlens[row]! + 1 + Math.floor(6 * random())
  const tokens = cuSeqlens.at(-1)!
  // Every completion's first token counts.
  const mask = Uint8Array.from({ length: tokens }, (_, token) => (cuSeqlens.includes(token) || random() < 0.8 ? 1 : 0))
  const hidden = (values: FloatArray): FloatArray => values.map((value, token) => (mask[token] ? value : NaN))
  const shared = {
    logProbs: hidden(draw(tokens, -3, -0.1)),
    ...(reference ? { referenceLogProbs: hidden(draw(tokens, -3, -0.1)) } : {}),
    cuSeqlens,
    mask
  }
  return kind === 'kto'
    ? { ...shared, desirable: Uint8Array.from(chosen, (one) => one % 2), klBaseline: 0.2 }
    : { ...shared, chosen, rejected }
}

const tokensOf = ({ logProbs, scores }: PreferenceBatch): number => (logProbs ?? scores)!.length

describe('preferenceLoss, prepared', () => {
  it.each(preferencePresetNames)(
    '%s gives what the plain call and the promise give, batch after batch',
    async (name) => {
      const preference = resolvePreference(name)
      const prepared = preferenceLoss.prepare(name)
      const small = makePairs(name, 4, 1)
      for (const batch of [small, makePairs(name, 40, 2), small]) {
        const expected = preferenceLoss(preference, batch)
        expect(Number.isFinite(expected.loss)).toBe(true)
        expect(expected.gradients.some((value) => value !== 0)).toBe(true)
        expect(expected.gradients.every(Number.isFinite)).toBe(true)
        expect(prepared(batch)).toEqual(expected)
        expect(await prepared.async(batch)).toEqual(expected)
        expect(await preferenceLoss.async(preference, batch)).toEqual(expected)
      }
    }
  )

  it('refuses a record when it is prepared, with the nearest name', () => {
    const error = refusal(() => preferenceLoss.prepare('dop'))
    expect([error.code, error.message]).toEqual(['ALGORITHM_INVALID', expect.stringContaining('dpo')])
    expect(refusal(() => preferenceLoss.prepare('dpo', { device: 'gpu' as 'cuda' })).code).toBe('ARGUMENT_INVALID')
  })

  it('a GPU takes no Float64Array', () => {
    const loss = preferenceLoss.prepare('dpo', { device: 'cuda' })
    expect(refusal(() => loss(makePairs('dpo', 4, 1))).code).toBe('DEVICE_UNSUPPORTED')
  })
})

describe.each(['dpo', 'bradley_terry', 'kto'])('results of %s in the caller’s memory', (name) => {
  const loss = preferenceLoss.prepare(name)

  it.each([
    ['Float32Array', Float32Array],
    ['Float64Array', Float64Array]
  ] as [string, FloatType][])('%s, shared or not', async (_, Type) => {
    const batch = makePairs(name, 6, 3, Type)
    const count = tokensOf(batch)
    const expected = loss(batch)
    for (const Memory of [ArrayBuffer, SharedArrayBuffer]) {
      const bytes = Type.BYTES_PER_ELEMENT
      const all = new (Type as typeof Float64Array)(new Memory((count + 2) * bytes) as ArrayBuffer)
      const gradients = all.subarray(1, count + 1)
      for (const form of [loss, (input: PreferenceBatch) => loss.async(input)]) {
        all.fill(-77)
        const result = await form({ ...batch, out: { gradients } })
        expect(result.gradients).toBe(gradients)
        expect([...all]).toEqual([-77, ...expected.gradients, -77])
        expect(result.loss).toBe(expected.loss)
        expect(result.metrics).toEqual(expected.metrics)
      }
    }
  })

  it('is refused where an input lies, after a transfer, of another length or type', async () => {
    const batch = makePairs(name, 6, 3, Float32Array)
    const count = tokensOf(batch)
    const gone = new Float32Array(count)
    structuredClone(null, { transfer: [gone.buffer] })
    const refused: [FloatArray, string][] = [
      [(batch.logProbs ?? batch.scores)!, 'BUFFER_OVERLAP'],
      [gone, 'BUFFER_DETACHED'],
      [new Float32Array(count + 1), 'ARGUMENT_INVALID'],
      [new Float64Array(count), 'ARGUMENT_INVALID']
    ]
    for (const [gradients, code] of refused) {
      const error = refusal(() => loss({ ...batch, out: { gradients } }))
      expect([error.code, error.message]).toEqual([code, expect.stringContaining('gradients')])
      await expect(loss.async({ ...batch, out: { gradients } })).rejects.toMatchObject({ code })
    }
  })
})

describe('numbers that are not finite', () => {
  it('are named where they count, in every array', () => {
    const finite = makePairs('dpo', 4, 5)
    const broken = (values: FloatArray): FloatArray => values.slice().fill(Infinity, 0, 1)
    const pairs = finite.chosen!.length
    const changes: PreferenceBatch[] = [
      { logProbs: broken(finite.logProbs!) },
      { referenceLogProbs: broken(finite.referenceLogProbs!) },
      { margins: broken(new Float64Array(pairs)) },
      { weights: broken(new Float64Array(pairs)) }
    ]
    for (const change of changes) {
      const [field] = Object.keys(change)
      const error = refusal(() => preferenceLoss.prepare('dpo')({ ...finite, ...change }))
      expect([error.code, error.message]).toEqual(['ARGUMENT_INVALID', expect.stringContaining(`${field}[0] is Inf`)])
    }
    const scores = Float64Array.of(0, 1, NaN, 2)
    const sides = { chosen: Int32Array.of(0), rejected: Int32Array.of(1) }
    expect(() => preferenceLoss.prepare('bradley_terry')({ scores, ...sides })).toThrow(/scores\[2\] is NaN/)
    const mismatchedLogProbs = Float64Array.of(-1, NaN)
    const kto = { ...makePairs('kto', 4, 5), klBaseline: undefined, mismatchedLogProbs }
    const mismatchedReferenceLogProbs = Float64Array.of(-1, -1)
    expect(() => preferenceLoss.prepare('kto')({ ...kto, mismatchedReferenceLogProbs })).toThrow(
      /mismatchedLogProbs\[1\] is NaN/
    )
  })

  it('must be there for the token loss where only that counts them', () => {
    const loss = preferenceLoss.prepare('cpo')
    const batch = makePairs('cpo', 4, 6)
    const hidden = batch.mask!.indexOf(0)
    const nllMask = new Uint8Array(batch.mask!.length)
    expect(Number.isFinite(loss({ ...batch, nllMask }).loss)).toBe(true)
    nllMask[hidden] = 1
    expect(() => loss({ ...batch, nllMask })).toThrow(`logProbs[${hidden}] is NaN`)
  })
})
