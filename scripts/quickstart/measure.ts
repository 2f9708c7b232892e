/** How well the judge agrees with the generator's truth on text that it never saw, as Markdown. */
import { join } from 'node:path'
import { createJudge, type Judge } from '../../src/judge/index.js'
import { Random } from '../../src/tasks/replies/index.js'
import { areaUnderCurve, correlation, mean, type Pair } from './agreement.js'
import { judged, type Judged } from './text.js'

const count = 1000

/** Measures the judge as a user has it: adjudge's own prompt, the provider `native`, the weights as they are on disk. */
export async function measure(assets: string, seed: number): Promise<string> {
  const judge = await createJudge({
    provider: 'native',
    model: join(assets, 'judge'),
    rubric: join(assets, 'rubric.yaml')
  })
  try {
    const random = new Random(seed)
    const heldOut = await score(
      judge,
      Array.from({ length: count }, () => judged(random, 'heldOut'))
    )
    const known = await score(
      judge,
      Array.from({ length: count }, () => judged(random, 'train'))
    )
    return tables(heldOut, known)
  } finally {
    await judge.close()
  }
}

interface Scored extends Pair {
  kind: string
}

async function score(judge: Judge, samples: Judged[]): Promise<Scored[]> {
  const verdicts = await judge.scoreAll(
    samples.map(({ message, text }) => ({ messages: [{ role: 'user', content: message.text }], completion: text }))
  )
  return samples.map(({ score: truth, kind }, index) => {
    const found = verdicts[index]!.score
    if (found === null) throw new Error(`a reply stayed unscored: ${verdicts[index]!.detail}`)
    return { truth, score: found, kind }
  })
}

function tables(heldOut: Scored[], known: Scored[]): string {
  const row = (name: string, of: (pairs: Scored[]) => string): string => `| ${name} | ${of(heldOut)} | ${of(known)} |`
  const share = (holds: (pair: Scored) => boolean) => (pairs: Scored[]) =>
    `${((100 * pairs.filter(holds).length) / pairs.length).toFixed(1)} %`
  const named = (pairs: Scored[], kind: string): Scored[] => pairs.filter((pair) => pair.kind === kind)
  const kinds = [...new Set(heldOut.map(({ kind }) => kind))].sort()
  const means = (pairs: Scored[]): string =>
    `${mean(pairs.map(({ truth }) => truth)).toFixed(2)} | ${mean(pairs.map(({ score }) => score)).toFixed(2)}`
  return [
    `${count} messages with replies each; "held out": phrases, words and products that are in no training text.`,
    '',
    '| judge against the truth | held out | words of its training |',
    '| --- | --- | --- |',
    row('correlation (Pearson)', (pairs) => correlation(pairs).toFixed(3)),
    row('AUC, replies of truth 5 against the rest', (pairs) => areaUnderCurve(pairs).toFixed(3)),
    row(
      'rounded score equals the truth',
      share((pair) => Math.round(pair.score) === pair.truth)
    ),
    row(
      'within one point',
      share((pair) => Math.abs(pair.score - pair.truth) <= 1)
    ),
    '',
    '| manner, held out | replies | true mean | mean score |',
    '| --- | --- | --- | --- |',
    ...kinds.map((kind) => `| ${kind} | ${named(heldOut, kind).length} | ${means(named(heldOut, kind))} |`),
    ''
  ].join('\n')
}
