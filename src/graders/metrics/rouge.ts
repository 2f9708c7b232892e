/** ROUGE (Lin 2004), as the package rouge-score has it. */
import { commonSubsequence } from './commonSubsequence.js'
import { countNgrams, fMeasure, ngramTotal, overlap } from './ngrams.js'
import { porterStem } from './porterStem.js'

export interface RougeOptions {
  /** Words of more than three letters are stemmed (Porter). Default false, as in rouge-score. */
  stemmer?: boolean
}

/** F-measure of the n-grams that both have, in [0, 1]. */
export function rougeN(output: string, reference: string, n: number, options: RougeOptions = {}): number {
  const found = tokens(output, options)
  const wanted = tokens(reference, options)
  const common = overlap(countNgrams(found, n), countNgrams(wanted, n))
  const precision = common / Math.max(ngramTotal(found.length, n), 1)
  const recall = common / Math.max(ngramTotal(wanted.length, n), 1)
  return fMeasure(precision, recall)
}

/** F-measure of the longest common subsequence of words, in [0, 1]. */
export function rougeL(output: string, reference: string, options: RougeOptions = {}): number {
  const found = tokens(output, options)
  const wanted = tokens(reference, options)
  if (found.length === 0 || wanted.length === 0) return 0
  const common = commonSubsequence(found, wanted)
  return fMeasure(common / found.length, common / wanted.length)
}

/** Runs of a–z and 0–9, in lower case: other scripts have no words here, as in rouge-score. */
function tokens(text: string, { stemmer = false }: RougeOptions): string[] {
  const words = text.toLowerCase().match(/[a-z0-9]+/g) ?? []
  return stemmer ? words.map((word) => (word.length > 3 ? porterStem(word) : word)) : words
}
