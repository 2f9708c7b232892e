/** The metrics of text_similarity that need nothing but the two texts. */
import { bleu } from './bleu.js'
import { fuzzyMatch } from './fuzzyMatch.js'
import { gleu } from './gleu.js'
import { meteor } from './meteor.js'
import { rougeL, rougeN, type RougeOptions } from './rouge.js'

export { bleu, fuzzyMatch, gleu, meteor, rougeL, rougeN, type RougeOptions }

export const textMetricNames = [
  'fuzzy_match',
  'bleu',
  'gleu',
  'meteor',
  'rouge_1',
  'rouge_2',
  'rouge_3',
  'rouge_4',
  'rouge_5',
  'rouge_l'
] as const

export type TextMetric = (typeof textMetricNames)[number]

/** How like the output is to the reference, in [0, 1]; by OpenAI's name of the metric. */
export function textMetric(name: TextMetric, output: string, reference: string, options: RougeOptions = {}): number {
  switch (name) {
    case 'fuzzy_match':
      return fuzzyMatch(output, reference)
    case 'bleu':
      return bleu(output, reference)
    case 'gleu':
      return gleu(output, reference)
    case 'meteor':
      return meteor(output, reference)
    case 'rouge_l':
      return rougeL(output, reference, options)
    default:
      return rougeN(output, reference, Number(name.slice('rouge_'.length)), options)
  }
}
