/** Counted n-grams of words. */

/** n-gram → count; the key is the words with a space between, which no word holds. */
export type Counts = Map<string, number>

export function countNgrams(words: readonly string[], n: number): Counts {
  const counts: Counts = new Map()
  for (let at = 0; at + n <= words.length; at++) {
    const key = n === 1 ? words[at] : words.slice(at, at + n).join(' ')
    counts.set(key, (counts.get(key) ?? 0) + 1)
  }
  return counts
}

/** How many n-grams both have, each as often as it stands in both. */
export function overlap(a: Counts, b: Counts): number {
  if (a.size > b.size) return overlap(b, a)
  let common = 0
  for (const [key, count] of a) common += Math.min(count, b.get(key) ?? 0)
  return common
}

export const ngramTotal = (words: number, n: number): number => Math.max(0, words - n + 1)

/** Harmonic mean of precision and recall, in [0, 1]; 0 where both are. */
export const fMeasure = (precision: number, recall: number): number =>
  precision + recall > 0 ? (2 * precision * recall) / (precision + recall) : 0
