/** How well the judge agrees with the generator's truth on text that it never saw, as Markdown. */
import { join } from 'node:path'
import { createJudge } from '../../src/judge/index.js'
import { checkReply, type CustomerMessage, type Random, type Reply } from '../../src/tasks/replies/index.js'

const count = 1000

export async function measure(
  assets: string,
  draw: (random: Random) => { message: CustomerMessage; reply: Reply },
  random: Random
): Promise<string> {
  const samples = Array.from({ length: count }, () => draw(random))
  const judge = await createJudge({
    provider: 'native',
    model: join(assets, 'judge'),
    rubric: join(assets, 'rubric.yaml')
  })
  const verdicts = await judge.scoreAll(
    samples.map(({ message, reply }) => ({
      messages: [{ role: 'user', content: message.text }],
      completion: reply.text
    }))
  )
  await judge.close()
  const pairs = samples.map(({ message, reply }, index) => ({
    truth: reply.truth.score,
    check: checkReply(message.subject, reply.text).score,
    score: verdicts[index]!.score
  }))
  const scored = pairs.flatMap(({ truth, score }) => (score === null ? [] : [{ truth, score }]))
  const share = (holds: number): string => `${((100 * holds) / scored.length).toFixed(1)} %`
  const lines = [
    `Judge against the generator's truth, ${count} held-out pairs (phrases and products not in its training):`,
    '',
    '| | |',
    '| --- | --- |',
    `| unscored | ${count - scored.length} |`,
    `| rounded score equals the truth | ${share(scored.filter(({ truth, score }) => Math.round(score) === truth).length)} |`,
    `| within one point | ${share(scored.filter(({ truth, score }) => Math.abs(score - truth) <= 1).length)} |`,
    `| correlation (Pearson) | ${correlation(scored).toFixed(3)} |`,
    `| AUC, replies of truth 5 against the rest | ${areaUnderCurve(scored).toFixed(3)} |`,
    '',
    '| truth | pairs | mean score |',
    '| --- | --- | --- |'
  ]
  for (const truth of [1, 2, 3, 4, 5]) {
    const scores = scored.filter((pair) => pair.truth === truth).map(({ score }) => score)
    lines.push(`| ${truth} | ${scores.length} | ${mean(scores).toFixed(2)} |`)
  }
  const agreeing = pairs.filter(({ truth, check }) => truth === check).length
  lines.push(
    '',
    `The program that checks replies (src/tasks/replies/check.ts) gives the truth's score on ${agreeing} of ${count}.`,
    ''
  )
  return lines.join('\n')
}

const mean = (values: number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length

function correlation(pairs: { truth: number; score: number }[]): number {
  const truthMean = mean(pairs.map(({ truth }) => truth))
  const scoreMean = mean(pairs.map(({ score }) => score))
  let both = 0
  let truths = 0
  let scores = 0
  for (const { truth, score } of pairs) {
    both += (truth - truthMean) * (score - scoreMean)
    truths += (truth - truthMean) ** 2
    scores += (score - scoreMean) ** 2
  }
  return both / Math.sqrt(truths * scores)
}

/** Probability that a reply of truth 5 is scored above another one; ties count half. */
function areaUnderCurve(pairs: { truth: number; score: number }[]): number {
  const good = pairs.filter(({ truth }) => truth === 5)
  const rest = pairs.filter(({ truth }) => truth < 5)
  let wins = 0
  for (const { score } of good)
    for (const other of rest) wins += score > other.score ? 1 : score === other.score ? 0.5 : 0
  return wins / (good.length * rest.length)
}
