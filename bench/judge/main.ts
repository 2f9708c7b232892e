/**
 * Judges over HTTP: the bare undici loop as the ceiling, the official client, and adjudge with its ledger, in turns
 * against a server of our own (server.cpp). Prints verdicts per second and processor time, and gives their ratios.
 */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { Contender } from '../contender.js'
import type { Figures } from '../ledger/record.js'
import { figureOf, median, quantile, words } from '../ledger/statistics.js'
import { wholeNumber } from '../suite.js'
import type { Result, Task } from './task.js'

const root = fileURLToPath(new URL('../..', import.meta.url))
const folder = join(root, 'build', 'bench')

const help = `npm run bench -- judge [options]      judges over HTTP, in turns with the bare loop and openai-node; Linux
  --rounds N    that count, after one that does not (5)
  --verdicts N  of each round with no delay (10000)
  --quick       a tenth of the verdicts: a look, not a measurement`

/** What is measured: the server's path, calls at once, share of the verdicts. */
const cases = [
  { name: 'no delay, 64 at once', path: '', concurrency: 64, share: 1, timed: false },
  { name: '50 ms, 256 at once', path: 'fixed-50/', concurrency: 256, share: 1, timed: false },
  { name: '50 ms, 64 at once', path: 'fixed-50/', concurrency: 64, share: 0.4, timed: true },
  { name: 'heavy tail of median 50 ms, 256 at once', path: 'tail-50/', concurrency: 256, share: 1, timed: false }
]

export async function main(args: string[]): Promise<Figures | undefined> {
  const { values } = parseArgs({
    args,
    options: {
      rounds: { type: 'string', default: '5' },
      verdicts: { type: 'string', default: '10000' },
      quick: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false }
    }
  })
  if (values.help) return void console.log(help)
  if (process.platform !== 'linux') return void console.log('judge: skipped, as its server is written for Linux')
  const verdicts = wholeNumber('verdicts', values.verdicts) / (values.quick ? 10 : 1)
  const rounds = wholeNumber('rounds', values.rounds)
  const server = await startServer()
  const contenders: Contender<Result>[] = []
  const figures: Figures = {}
  try {
    for (const name of ['ours', 'bare', 'openai']) contenders.push(await contender(name))
    for (const { name, path, concurrency, share, timed } of cases) {
      const task = { url: `${server.url}/${path}v1`, verdicts: Math.round(verdicts * share), concurrency, timed }
      Object.assign(figures, await compare(name, contenders, task, rounds))
    }
  } finally {
    for (const one of contenders) await one.end()
    await server.end()
  }
  return values.quick ? undefined : figures
}

async function startServer(): Promise<{ url: string; end(): Promise<void> }> {
  const jobs = String(availableParallelism())
  for (const command of [
    ['-S', root, '-B', folder, '-DADJUDGE_BENCH=ON', '-DCMAKE_BUILD_TYPE=Release'],
    ['--build', folder, '--target', 'bench_judge_server', '--parallel', jobs]
  ]) {
    const { status, error } = spawnSync('cmake', command, { stdio: ['ignore', 'ignore', 'inherit'] })
    if (error) throw error
    if (status !== 0) throw new Error(`cmake ended with code ${status}`)
  }
  const child = spawn(join(folder, 'bench_judge_server'), { stdio: ['pipe', 'pipe', 'inherit'] })
  const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string]
  const { port } = JSON.parse(line) as { port: number }
  return {
    url: `http://127.0.0.1:${port}`,
    end: async () => {
      const closed = once(child, 'close')
      child.stdin.end()
      await closed
    }
  }
}

function contender(name: string): Promise<Contender<Result>> {
  const jiti = fileURLToPath(import.meta.resolve('jiti/package.json')).replace('package.json', 'lib/jiti-cli.mjs')
  const script = fileURLToPath(new URL(`./${name}.ts`, import.meta.url))
  return Contender.start<Result>({ name, command: process.execPath, args: [jiti, script], env: process.env })
}

async function compare(
  name: string,
  contenders: Contender<Result>[],
  task: Omit<Task, 'round'>,
  rounds: number
): Promise<Figures> {
  const results = new Map<string, Result[]>(contenders.map((one) => [one.name, []]))
  for (let round = 0; round <= rounds; round++) {
    for (const one of contenders) {
      const result = await one.ask(JSON.stringify({ ...task, round } satisfies Task))
      if (result.scored !== task.verdicts) {
        throw new Error(`${one.name}: ${result.scored} of ${task.verdicts} have a score`)
      }
      if (round > 0) results.get(one.name)!.push(result)
    }
  }
  console.log(`\n${name}, medians of ${rounds} rounds of ${task.verdicts}`)
  for (const { name: who, description } of contenders) print(description, results.get(who)!, task)
  const ours = results.get('ours')!
  return Object.fromEntries(
    ['bare', 'openai'].map((other) => {
      const times = results.get(other)!.map(({ seconds }, round) => seconds / ours[round]!.seconds)
      const figure = figureOf(times, 'times')
      console.log(`  adjudge against ${other}: ${words(figure)} times the verdicts`)
      return [`${name}: adjudge against ${other}`, figure]
    })
  )
}

function print(who: string, results: Result[], { verdicts, timed }: Omit<Task, 'round'>): void {
  const of = (value: (result: Result) => number): number => median(results.map(value))
  const latencies = results.flatMap((result) => result.latencies)
  const spread = timed
    ? `, ${quantile(latencies, 0.5).toFixed(1)} ms, one in a hundred over ${quantile(latencies, 0.99).toFixed(1)}`
    : ''
  console.log(
    `  ${who.padEnd(30)}${of(({ seconds }) => verdicts / seconds).toFixed(0)} a second, ` +
      `${of(({ cpu }) => (1000 * cpu) / verdicts).toFixed(3)} s of processor per 1,000, ` +
      `longest stall ${of(({ stall }) => stall).toFixed(0)} ms${spread}`
  )
}
