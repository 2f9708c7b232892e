/** GLEU (Wu et al. 2016), as NLTK has it. */
import { countNgrams, ngramTotal, overlap } from './ngrams.js'
import { wordsOf } from './words.js'

/**
 * NLTK's `sentence_gleu([reference.split()], output.split())`, in [0, 1]: n-grams of 1 to 4 words that both have, over
 * the number of n-grams of the longer one.
 */
export function gleu(output: string, reference: string): number {
  const found = wordsOf(output)
  const wanted = wordsOf(reference)
  let common = 0
  let [inFound, inWanted] = [0, 0]
  for (const n of [1, 2, 3, 4]) {
    common += overlap(countNgrams(found, n), countNgrams(wanted, n))
    inFound += ngramTotal(found.length, n)
    inWanted += ngramTotal(wanted.length, n)
  }
  const all = Math.max(inFound, inWanted)
  return all === 0 ? 0 : common / all
}
