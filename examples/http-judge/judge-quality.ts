/**
 * How well does a run's judge tell good answers from bad ones?
 *
 *     npx jiti examples/http-judge/judge-quality.ts RUN_YAML ANSWERS [LEDGER]
 *
 * ANSWERS has `prompt`, `completion`, `quality` (1 or 0) and `kind`. Prints the area under the ROC curve (the chance that
 * a good answer has a higher score than a bad one) with a 95 % interval from 2000 bootstrap samples of whole questions.
 */
import { createJudge, Dataset, judgeOptionsFrom, loadConfig, type JudgeInput } from 'adjudge'
import { dirname } from 'node:path'

const [file, answers, ledger] = process.argv.slice(2)
if (!file || !answers) throw new Error('usage: judge-quality.ts <run.yaml> <answers.jsonl> [<ledger folder>]')
const { config } = loadConfig(file)
const judgeConfig = config.rewards.find(({ judge }) => judge)?.judge
if (!judgeConfig) throw new Error(`${file}: no reward has a judge`)
const judge = await createJudge({ ...judgeOptionsFrom(judgeConfig, dirname(file)), ...(ledger ? { ledger } : {}) })

interface Scored {
  prompt: string
  kind: string
  good: boolean
  score: number
}
const rows: Omit<Scored, 'score'>[] = []
const inputs: JudgeInput[] = []
await using data = await Dataset.open(answers)
for await (const { messages, item } of data.items()) {
  inputs.push({ messages, completion: String(item.completion) })
  rows.push({ prompt: messages.at(-1)!.content, kind: String(item.kind), good: item.quality === 1 })
}
const scored: Scored[] = []
const masses: number[] = []
for await (const verdict of judge.score(inputs)) {
  const row = rows[scored.length]!
  if (verdict.score === null) throw new Error(`unscored: ${verdict.reason}, ${verdict.detail}`)
  if (verdict.mass !== undefined) masses.push(verdict.mass)
  scored.push({ ...row, score: verdict.score })
}
await judge.close()

function groupBy(rows: Scored[], key: (row: Scored) => string): Map<string, Scored[]> {
  const groups = new Map<string, Scored[]>()
  for (const row of rows) groups.set(key(row), [...(groups.get(key(row)) ?? []), row])
  return groups
}
const mean = (values: number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length
function area(rows: Scored[]): number {
  const bad = rows.filter(({ good }) => !good)
  const wins = rows
    .filter(({ good }) => good)
    .flatMap((one) => bad.map((other) => (one.score > other.score ? 1 : one.score === other.score ? 0.5 : 0)))
  return mean(wins)
}

const questions = [...groupBy(scored, ({ prompt }) => prompt).values()]
let state = 1
const random = (): number => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32
const draws = Array.from({ length: 2000 }, () =>
  area(questions.flatMap(() => questions[Math.floor(random() * questions.length)]!))
).sort((a, b) => a - b)
const kinds = groupBy(scored, ({ kind }) => kind)
const good = scored.filter((row) => row.good)
console.log(
  `AUC ${area(scored).toFixed(3)}, 95 % interval ${draws[50]!.toFixed(3)} to ${draws[1949]!.toFixed(3)}; ` +
    `${good.length} good and ${scored.length - good.length} bad answers to ${questions.length} questions`
)
for (const [kind, of] of kinds) {
  const against = of[0]!.good ? '' : `, AUC ${area([...good, ...of]).toFixed(3)}`
  console.log(`${kind.padEnd(14)} mean score ${mean(of.map(({ score }) => score)).toFixed(3)}${against}`)
}
if (masses.length > 0)
  console.log(`probability on the scores: mean ${mean(masses).toFixed(3)} (${masses.length} verdicts)`)
console.log(judge.metrics)
