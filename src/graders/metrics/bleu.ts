/** BLEU of one sentence, as sacrebleu has it. */
import { countNgrams, ngramTotal, overlap } from './ngrams.js'
import { wordsOf } from './words.js'

const orders = [1, 2, 3, 4]

/**
 * sacrebleu's `sentence_bleu(output, [reference])` / 100 with its defaults, in [0, 1]: tokenizer 13a, case kept, n-grams
 * of 1 to 4 words, exponential smoothing (Chen and Cherry 2014, method 3), only the orders that the output has.
 */
export function bleu(output: string, reference: string): number {
  const found = tokens13a(output)
  const wanted = tokens13a(reference)
  let smoothing = 1
  let logs = 0
  let order = 0
  let matched = false
  for (const n of orders) {
    const total = ngramTotal(found.length, n)
    if (total === 0) break
    order = n
    const correct = overlap(countNgrams(found, n), countNgrams(wanted, n))
    if (correct > 0) matched = true
    else smoothing *= 2
    logs += Math.log(correct > 0 ? correct / total : 1 / (smoothing * total))
  }
  if (!matched) return 0
  const brevity = found.length < wanted.length ? Math.exp(1 - wanted.length / found.length) : 1
  return Math.min(1, brevity * Math.exp(logs / order))
}

/** mteval-v13a's tokens: marks stand alone, full stops and commas too unless between digits. */
export function tokens13a(text: string): string[] {
  let line = trimmedEnd(text).replaceAll('<skipped>', '').replaceAll('-\n', '').replaceAll('\n', ' ')
  if (line.includes('&')) {
    line = line.replaceAll('&quot;', '"').replaceAll('&amp;', '&').replaceAll('&lt;', '<').replaceAll('&gt;', '>')
  }
  const separated = ` ${line} `
    .replace(/[{-~[-` -&(-+:-@/]/gu, ' $& ')
    .replace(/([^0-9])([.,])/gu, '$1 $2 ')
    .replace(/([.,])([^0-9])/gu, ' $1 $2')
    .replace(/([0-9])(-)/gu, '$1 $2 ')
  return wordsOf(separated)
}

/** Without the white space at its end, so that a hyphen there is not taken for a broken word. */
function trimmedEnd(text: string): string {
  let end = text.length
  while (end > 0 && wordsOf(text[end - 1]).length === 0) end--
  return text.slice(0, end)
}
