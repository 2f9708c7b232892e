import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { textMetric, textMetricNames } from '../../src/graders/index.js'
import { porterStem } from '../../src/graders/metrics/porterStem.js'

interface Pair extends Record<string, number | string> {
  output: string
  reference: string
}

// Made by scripts/golden/text_metrics.py.
const golden = JSON.parse(readFileSync(new URL('golden/text-metrics.json', import.meta.url), 'utf8')) as {
  pairs: Pair[]
  stems: Record<string, string>
}

describe('text metrics', () => {
  it('has pairs enough', () => expect(golden.pairs.length).toBeGreaterThan(200))

  it.each(textMetricNames)('%s equals the package that it is named after', (name) => {
    for (const pair of golden.pairs) {
      const { output, reference } = pair
      const place = JSON.stringify([output, reference])
      expect(Math.abs(textMetric(name, output, reference) - (pair[name] as number)), place).toBeLessThan(1e-9)
    }
  })

  it.each(textMetricNames.filter((name) => name.startsWith('rouge')))('%s with stems does, too', (name) => {
    for (const pair of golden.pairs) {
      const found = textMetric(name, pair.output, pair.reference, { stemmer: true })
      expect(Math.abs(found - (pair[`${name}_stemmer`] as number)), JSON.stringify(pair)).toBeLessThan(1e-9)
    }
  })

  it('stems as NLTK does', () => {
    const words = Object.keys(golden.stems)
    expect(Object.fromEntries(words.map((word) => [word, porterStem(word)]))).toEqual(golden.stems)
  })

  it('rouge_l of 10,000 words takes memory for a few rows, not for a table', () => {
    const words = (factor: number): string =>
      Array.from({ length: 10_000 }, (_, index) => `w${(index * factor) % 9_973}`).join(' ')
    const [a, b] = [words(7), words(11)]
    const before = process.memoryUsage().arrayBuffers
    textMetric('rouge_l', a, b)
    // A table of 10^8 cells, or 10^4 rows of bits for as many words (12 MB), would show here.
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(2e6)
  })
})
