/**
 * What a trial's logs say: npx jiti examples/http-judge/count-report.ts FOLDER
 *
 * Calls, verdicts and what was asked twice; the judge's held-out scores before and after with the paired standard error;
 * and the program metric beside them.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

interface Call {
  at: string
  call: string
  status: number
  milliseconds: number
}
interface Row {
  id: string
  index: number
  completion: string
  tokens: number
  messages: { content: string }[]
  verdicts: Record<string, { score: number | null; criteria?: Record<string, number>; reason?: string }>
}

const folder = process.argv[2]
if (!folder) throw new Error('usage: count-report.ts <folder of a trial>')
const lines = <T>(file: string): T[] =>
  readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as T)

const run = join(folder, 'runs', readdirSync(join(folder, 'runs'))[0]!)
const events = lines<{ at: string; event: string }>(join(folder, 'events.jsonl'))
const calls = lines<Call>(join(folder, 'calls.jsonl'))
const when = (event: string): number => Date.parse(events.find((one) => one.event === event)?.at ?? '')
const end = ({ at, milliseconds }: Call): number => Date.parse(at) + milliseconds

const answered = calls.filter(({ status }) => status === 200)
const unanswered = calls.filter(({ status }) => status !== 200)
const times = new Map<string, Call[]>()
for (const call of answered) times.set(call.call, [...(times.get(call.call) ?? []), call])
const twice = [...times.values()].filter((list) => list.length > 1)
// The kill lies between two notes. An answer on its way, or not yet on the disk when the run died, is in flight too.
const [killFrom, killTo] = [when('run is about to be killed'), when('run killed with -9')]
const onItsWay = 500
const started = (call: Call): number => Date.parse(call.at)
const inFlight = (call: Call): boolean => started(call) <= killTo && end(call) >= killFrom - onItsWay
console.log(`calls ${calls.length}, answered ${answered.length}, different ${times.size}`)
console.log(`no answer (server down, or the run killed): ${unanswered.length}`)
const down = when('server killed with -9')
const up = when('server answers again')
const during = calls.filter((call) => started(call) >= down && started(call) < up)
console.log(`  of these, tries while the server was down (${((up - down) / 1000).toFixed(0)} s): ${during.length}`)
console.log(`in flight when the run was killed: ${calls.filter(inFlight).length}`)
const others = twice.filter((list) => !list.slice(0, -1).every(inFlight))
console.log(`asked and answered twice: ${twice.length}, of these not in flight at the kill: ${others.length}`)

const rollouts = readdirSync(join(run, 'rollouts')).flatMap((file) => lines<Row>(join(run, 'rollouts', file)))
const judged = rollouts.map(({ verdicts }) => verdicts.judge!)
const unscored = judged.filter(({ score }) => score === null)
console.log(
  `completions of the run ${judged.length}, unscored ${unscored.length}, score 0 ${judged.filter(({ score }) => score === 0).length}`
)

const files = readdirSync(join(run, 'evaluations')).sort()
const first = lines<Row>(join(run, 'evaluations', files[0]!))
const last = lines<Row>(join(run, 'evaluations', files.at(-1)!))
function compare(name: string, value: (row: Row) => number | null): void {
  const pairs = first.flatMap((row, index) => {
    const before = value(row)
    const after = value(last[index]!)
    return before === null || after === null ? [] : [{ before, after }]
  })
  const mean = (values: number[]): number => values.reduce((sum, one) => sum + one, 0) / values.length
  const error = (values: number[]): number => {
    const middle = mean(values)
    return Math.sqrt(values.reduce((sum, one) => sum + (one - middle) ** 2, 0) / (values.length - 1) / values.length)
  }
  const before = pairs.map((pair) => pair.before)
  const after = pairs.map((pair) => pair.after)
  const rise = pairs.map((pair) => pair.after - pair.before)
  console.log(
    `${name.padEnd(16)} ${mean(before).toFixed(3)} ± ${error(before).toFixed(3)} -> ${mean(after).toFixed(3)} ± ` +
      `${error(after).toFixed(3)}   rise ${mean(rise).toFixed(3)} ± ${error(rise).toFixed(3)} (paired, n ${pairs.length})`
  )
}
console.log(`\nheld-out prompts, ${files[0]} -> ${files.at(-1)}`)
compare('judge', ({ verdicts }) => verdicts.judge!.score)
compare('sound', ({ verdicts }) => verdicts.sound!.score)
for (const part of ['subject', 'complete', 'length', 'fresh']) {
  compare(`  ${part}`, ({ verdicts }) => verdicts.sound!.criteria?.[part] ?? null)
}
compare('tokens', ({ tokens }) => tokens)
for (const index of [0, 8, 16, 24, 32, 40]) {
  const [before, after] = [first[index], last[index]]
  if (!before || !after) continue
  console.log(`\n${before.messages.at(-1)!.content}`)
  for (const row of [before, after]) {
    console.log(
      `  ${row.verdicts.judge!.score?.toFixed(2)}  ${row.verdicts.sound!.score}  ${JSON.stringify(row.completion)}`
    )
  }
}
