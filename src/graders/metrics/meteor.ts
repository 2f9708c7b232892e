/** METEOR (Lavie and Agarwal 2007), as NLTK has it, with the matches of words and of stems. */
import { porterStem } from './porterStem.js'
import { wordsOf } from './words.js'

const alpha = 0.9
const beta = 3
const gamma = 0.5

/**
 * NLTK's `single_meteor_score(reference.split(), output.split())` in [0, 1], without WordNet: the last word of the output
 * takes the last equal word of the reference, and so on; what is left over is matched by its stem in the same way. No
 * search for the alignment with the fewest crossings (NLTK has none either). Linear in the number of words.
 */
export function meteor(output: string, reference: string): number {
  const found = lowerWords(output)
  const wanted = lowerWords(reference)
  /** The reference's word that each word of the output is matched with, or -1. */
  const matched = new Int32Array(found.length).fill(-1)
  const taken = new Uint8Array(wanted.length)
  match(found, wanted, matched, taken)
  match(found, wanted, matched, taken, porterStem)
  const count = matched.reduce((sum, place) => sum + (place >= 0 ? 1 : 0), 0)
  if (count === 0) return 0
  const precision = count / found.length
  const recall = count / wanted.length
  const mean = (precision * recall) / (alpha * precision + (1 - alpha) * recall)
  return (1 - gamma * (chunks(matched) / count) ** beta) * mean
}

const lowerWords = (text: string): string[] => wordsOf(text).map((word) => word.toLowerCase())

function match(
  found: readonly string[],
  wanted: readonly string[],
  matched: Int32Array,
  taken: Uint8Array,
  form: (word: string) => string = (word) => word
): void {
  const places = new Map<string, number[]>()
  wanted.forEach((word, index) => {
    if (taken[index]) return
    const key = form(word)
    const list = places.get(key)
    if (list) list.push(index)
    else places.set(key, [index])
  })
  for (let index = found.length - 1; index >= 0; index--) {
    if (matched[index] >= 0) continue
    const place = places.get(form(found[index]))?.pop()
    if (place === undefined) continue
    matched[index] = place
    taken[place] = 1
  }
}

/** Runs of matches that stand side by side in both texts. */
function chunks(matched: Int32Array): number {
  let count = 0
  matched.forEach((place, index) => {
    if (place >= 0 && !(index > 0 && matched[index - 1] >= 0 && matched[index - 1] + 1 === place)) count++
  })
  return count
}
