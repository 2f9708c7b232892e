/** Numbers that are the same in every run. */

/** Numbers in [0, 1): a linear congruential generator of 32 bits, its upper 24. */
export function uniforms(count: number, seed: number): Float32Array {
  const values = new Float32Array(count)
  let state = seed >>> 0
  for (let i = 0; i < count; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    values[i] = (state >>> 8) / 2 ** 24
  }
  return values
}

/** Log-probs between -2 and 0. */
export const logProbsOf = (count: number, seed: number): Float32Array => uniforms(count, seed).map((x) => -2 * x - 0.01)

/** Other log-probs, at most `width` away. */
export function near(logProbs: Float32Array, width: number, seed: number): Float32Array {
  const noise = uniforms(logProbs.length, seed)
  return logProbs.map((value, i) => value + width * (2 * noise[i]! - 1))
}

/** Boundaries of `rows` rows of `length` each. */
export const even = (rows: number, length: number): Int32Array =>
  Int32Array.from({ length: rows + 1 }, (_, i) => i * length)

/** Boundaries of rows of 1 to `longest` elements, `total` in all. */
export function ragged(total: number, longest: number, seed: number): Int32Array {
  const boundaries = [0]
  for (let state = seed >>> 0; boundaries.at(-1)! < total;) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    boundaries.push(Math.min(total, boundaries.at(-1)! + 1 + Math.floor((state / 2 ** 32) * longest)))
  }
  return Int32Array.from(boundaries)
}

/** @throws Error where two results differ by more than `tolerance` of the largest: then one is not the other's work. */
export function mustAgree(what: string, ours: ArrayLike<number>, theirs: ArrayLike<number>, tolerance = 1e-3): void {
  let largest = 0
  for (let i = 0; i < theirs.length; i++) largest = Math.max(largest, Math.abs(theirs[i]!))
  for (let i = 0; i < theirs.length; i++) {
    if (Math.abs(ours[i]! - theirs[i]!) <= tolerance * largest) continue
    throw new Error(`${what}: element ${i} is ${ours[i]}, expected about ${theirs[i]}`)
  }
}
