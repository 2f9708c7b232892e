/**
 * The torch code of TRL and verl (rl_torch.py) on the same inputs, in turns with ours: one process each, never both at
 * once. Prints and gives the ratios of times; every result is compared first.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { Contender, peerEnvironment } from '../contender.js'
import { mustAgree } from '../inputs.js'
import type { Figures } from '../ledger/record.js'
import { figureOf, median, words } from '../ledger/statistics.js'
import { wholeNumber } from '../suite.js'
import { inputsOf, ourCases, type Input, type OurCase } from './cases.js'

const here = (name: string) => fileURLToPath(new URL(name, import.meta.url))
const environment = here('../../build/bench/peer')

const help = `npm run bench -- peers [options]      the torch code of TRL and verl, in turns with ours
  --peer-python PATH  a Python with torch, trl and verl (ADJUDGE_PEER_PYTHON; else build/bench/peer, which
                      bench/peers/setup fills the first time)
  --rounds N          that count, after one that does not (7)
  --threads N         of the peer; ours takes all processors (all processors)
  --quick             inputs of a sixteenth: a look, not a measurement`

interface Answer {
  seconds: number
  /** Of each tensor of the result. */
  samples: number[][]
}

export async function main(args: string[]): Promise<Figures | undefined> {
  const { values } = parseArgs({
    args,
    options: {
      'peer-python': { type: 'string', default: process.env['ADJUDGE_PEER_PYTHON'] ?? '' },
      rounds: { type: 'string', default: '7' },
      threads: { type: 'string', default: String(availableParallelism()) },
      quick: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false }
    }
  })
  if (values.help) return void console.log(help)
  const [rounds, threads] = [wholeNumber('rounds', values.rounds), wholeNumber('threads', values.threads)]
  const python = values['peer-python'] || installed()
  if (!python) return void console.log('peers: skipped, as the virtual environment cannot be made (see above)')
  const folder = mkdtempSync(join(tmpdir(), 'adjudge-peers-'))
  try {
    const inputs = inputsOf(values.quick ? 1 / 16 : 1)
    writeInputs(folder, inputs)
    const contender = await Contender.start<Answer>({
      name: 'the peer',
      command: python,
      args: [here('rl_torch.py'), folder, String(threads)],
      env: peerEnvironment(threads)
    })
    console.log(`peer: ${contender.description}`)
    try {
      const figures = await compare(contender, ourCases(inputs), rounds)
      return values.quick || threads !== availableParallelism() ? undefined : figures
    } finally {
      await contender.end()
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** The Python of the environment in build/bench, made now where it is not there yet. */
function installed(): string | undefined {
  const python = join(environment, 'bin', 'python')
  if (existsSync(python)) return python
  console.log(`peers: installing torch, TRL and verl into ${environment} ...`)
  const attempt = `${environment}-new`
  rmSync(attempt, { recursive: true, force: true })
  const { status, error } = spawnSync(here('setup'), [attempt], { stdio: ['ignore', 'inherit', 'inherit'] })
  if (status !== 0) {
    console.log(`bench/peers/setup: ${error ? error.message : `ended with code ${status}`}`)
    rmSync(attempt, { recursive: true, force: true })
    return undefined
  }
  renameSync(attempt, environment)
  return python
}

function writeInputs(folder: string, inputs: Record<string, Input>): void {
  for (const [name, { values }] of Object.entries(inputs)) writeFileSync(join(folder, `${name}.bin`), values)
  const shapes = Object.entries(inputs).map(([name, { values, shape }]) => [
    name,
    [values instanceof Int32Array ? 'int32' : 'float32', shape]
  ])
  writeFileSync(join(folder, 'inputs.json'), JSON.stringify(Object.fromEntries(shapes)))
}

/** As the peer takes them: 64 numbers, evenly spaced. */
function sampleOf(tensor: ArrayLike<number>): number[] {
  const stride = Math.max(1, Math.floor(tensor.length / 64))
  return Array.from({ length: Math.min(64, tensor.length) }, (_, i) => tensor[i * stride]!)
}

async function compare(peer: Contender<Answer>, ours: Record<string, OurCase>, rounds: number): Promise<Figures> {
  const figures: Figures = {}
  console.log(`${`medians of ${rounds} rounds`.padEnd(28)}${'ours ms'.padStart(10)}${'peer ms'.padStart(10)}  times`)
  for (const [name, run] of Object.entries(ours)) {
    if (!peer.cases.includes(name)) {
      console.log(`${name.padEnd(32)}skipped: the peer does not have it`)
      continue
    }
    const first = await peer.ask(name)
    const result = run()
    for (const [index, sample] of first.samples.entries()) mustAgree(name, sampleOf(result[index]!), sample)
    const seconds: { ours: number; peer: number }[] = []
    for (let round = 0; round < rounds; round++) {
      const theirs = (await peer.ask(name)).seconds
      // The peer's threads spin a little after their work; they must be at rest.
      await setTimeout(20)
      const began = performance.now()
      run()
      seconds.push({ ours: (performance.now() - began) / 1000, peer: theirs })
    }
    const figure = figureOf(
      seconds.map((one) => one.peer / one.ours),
      'times'
    )
    figures[name] = figure
    const [mine, theirs] = [median(seconds.map((one) => one.ours)), median(seconds.map((one) => one.peer))]
    console.log(
      `${name.padEnd(28)}${(mine * 1e3).toFixed(2).padStart(10)}${(theirs * 1e3).toFixed(2).padStart(10)}  ${words(figure)}`
    )
  }
  return figures
}
