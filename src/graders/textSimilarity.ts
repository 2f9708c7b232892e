/** Text similarity for graders. */

/**
 * rapidfuzz's `fuzz.ratio` / 100: 2 · LCS / (|a| + |b|) over code points, in [0, 1]; two empty texts are equal.
 * Bit-parallel longest common subsequence (Hyyrö 2004), 32 columns to a word.
 */
export function fuzzyMatch(a: string, b: string): number {
  const left = Array.from(a)
  const right = Array.from(b)
  const total = left.length + right.length
  return total === 0 ? 1 : (2 * commonSubsequence(left, right)) / total
}

function commonSubsequence(a: string[], b: string[]): number {
  const words = Math.ceil(a.length / 32)
  const places = new Map<string, Uint32Array>()
  a.forEach((mark, index) => {
    let bits = places.get(mark)
    if (!bits) places.set(mark, (bits = new Uint32Array(words)))
    bits[index >>> 5] |= 1 << (index & 31)
  })
  // A zero bit marks a column where the subsequence grew.
  const state = new Uint32Array(words).fill(0xffffffff)
  for (const mark of b) {
    const bits = places.get(mark)
    if (!bits) continue
    let carry = 0
    for (let word = 0; word < words; word++) {
      const value = state[word]
      const both = (value & bits[word]) >>> 0
      const sum = value + both + carry
      carry = sum > 0xffffffff ? 1 : 0
      state[word] = (sum >>> 0) | (value & ~both)
    }
  }
  let length = 0
  for (let index = 0; index < a.length; index++) length += (state[index >>> 5] >>> (index & 31)) & 1 ? 0 : 1
  return length
}
