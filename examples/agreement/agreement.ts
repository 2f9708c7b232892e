/**
 * How far a judge agrees with people on pairs of answers:
 *
 *   npx jiti examples/agreement/agreement.ts judge.yaml pairs.jsonl [ledger]
 *
 * A row: { "input", "output_1", "output_2", "label": 1 | 2 | 0 } (0 = a tie), or PandaLM's { "instruction", "input",
 * "response1", "response2", "annotator1", … }, whose majority counts and whose rows without one are left out.
 */
import { readFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { parse } from 'yaml'
import { agreementWithLabels, createJudge, judgeOptionsFrom, kappaOf, type JudgeConfig, type PairLabel } from 'adjudge'

interface Pair {
  prompt: string
  answers: [string, string]
  label: PairLabel
  annotators?: PairLabel[]
}

const labels: PairLabel[] = ['tie', 'first', 'second']

function pairOf(line: string): Pair[] {
  const row = JSON.parse(line) as Record<string, string | number>
  if (!('annotator1' in row)) {
    const answers: [string, string] = [String(row.output_1), String(row.output_2)]
    return [{ prompt: String(row.input), answers, label: labels[Number(row.label)] }]
  }
  const annotators = [row.annotator1, row.annotator2, row.annotator3].map((label) => labels[Number(label)])
  const label = annotators.find((one, index) => annotators.indexOf(one) !== index)
  const prompt = row.input === '' ? String(row.instruction) : `${row.instruction}\n\n${row.input}`
  return label ? [{ prompt, answers: [String(row.response1), String(row.response2)], label, annotators }] : []
}

const [config, data, ledger] = process.argv.slice(2)
if (!config || !data) throw new Error('usage: agreement.ts judge.yaml pairs.jsonl [ledger]')
const pairs = readFileSync(data, 'utf8').trim().split('\n').flatMap(pairOf)
const options = judgeOptionsFrom(parse(readFileSync(config, 'utf8')) as JudgeConfig, dirname(resolve(config)))
const judge = await createJudge({ ...options, ...(ledger ? { ledger } : {}) })
let done = 0
const started = performance.now()
const comparisons = await Promise.all(
  pairs.map(async ({ prompt, answers }) => {
    const messages = [{ role: 'user' as const, content: prompt }]
    const comparison = await judge.compare({ messages, completion: answers[0] }, { messages, completion: answers[1] })
    if (process.stderr.isTTY) process.stderr.write(`\r${++done} of ${pairs.length} pairs`)
    return comparison
  })
)
const seconds = (performance.now() - started) / 1000
await judge.close()

const percent = (share: number | null): string => (share === null ? '-' : `${(100 * share).toFixed(1)} %`)
const { agreement, interval, kappa, swapFlips, judged, unscored, firstShown } = agreementWithLabels(
  comparisons,
  pairs.map(({ label }) => label)
)
const range = interval ? ` (95 % interval ${percent(interval.low)} to ${percent(interval.high)})` : ''
console.log(
  `\n${judge.name} on ${data}: ${pairs.length} pairs, ${judged} judged, ${unscored} unscored, ${seconds.toFixed(0)} s`
)
console.log(`agrees with people on ${percent(agreement)}${range}; kappa ${kappa?.toFixed(3) ?? '-'}`)
console.log(
  `swap flips ${swapFlips} (${percent(swapFlips / Math.max(1, judged))}); prefers what is shown first ${percent(firstShown)}`
)
const two = pairs.flatMap(({ annotators }) => (annotators ? [[annotators[0], annotators[1]] as const] : []))
if (two.length > 0) {
  const same = two.filter(([a, b]) => a === b).length / two.length
  console.log(`two people agree with each other on ${percent(same)}; kappa ${kappaOf(two)?.toFixed(3) ?? '-'}`)
}
