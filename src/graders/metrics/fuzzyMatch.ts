/** fuzzy_match: rapidfuzz's `fuzz.ratio`. */
import { commonSubsequence } from './commonSubsequence.js'

/** rapidfuzz's `fuzz.ratio` / 100: 2 · LCS / (|a| + |b|) over code points, in [0, 1]; two empty texts are equal. */
export function fuzzyMatch(a: string, b: string): number {
  const left = Array.from(a)
  const right = Array.from(b)
  const total = left.length + right.length
  return total === 0 ? 1 : (2 * commonSubsequence(left, right)) / total
}
