/** The ledger of benchmarks: one record per suite and run, one JSON object a line, never changed afterwards. */
import { spawnSync } from 'node:child_process'
import { appendFileSync, existsSync, readFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { loadAddon } from '../../src/binding/load.js'

/** `of floor`, `of peak`: a share; `times`: how many times faster than what stands beside it; `µs`: of one call. */
export const units = ['of floor', 'of peak', 'times', 'µs'] as const
export type Unit = (typeof units)[number]

/** A median over the rounds of one run, with their quartiles. */
export interface Figure {
  value: number
  low: number
  high: number
  unit: Unit
}

export type Figures = Record<string, Figure>

/** Runs are compared where all of it is equal. */
export interface MachineKind {
  cpu: string
  cores: number
  isa: string
}

export interface LedgerRecord {
  format: 1
  /** ISO 8601, UTC. */
  date: string
  commit: string
  /** True where the working tree was not the commit. */
  changed: boolean
  machine: MachineKind
  node: string
  suite: string
  figures: Figures
}

export const kindOf = ({ cpu, cores, isa }: MachineKind): string => `${cpu}, ${cores} cores, ${isa}`

/** The model's name and, where Linux tells them, family and model: cloud machines share one name over generations. */
function processorName(): string {
  const name = cpus()[0]?.model.trim() ?? process.arch
  if (!existsSync('/proc/cpuinfo')) return name
  const information = readFileSync('/proc/cpuinfo', 'utf8')
  const [family, model] = ['cpu family', 'model'].map(
    (key) => new RegExp(`^${key}\\s*: (\\d+)$`, 'm').exec(information)?.[1]
  )
  return family && model ? `${name} (family ${family}, model ${model})` : name
}

export function thisMachine(): MachineKind {
  return { cpu: processorName(), cores: cpus().length, isa: loadAddon().instructionSet() }
}

function git(...args: string[]): string | undefined {
  const { status, stdout } = spawnSync('git', args, { encoding: 'utf8' })
  return status === 0 ? stdout.trim() : undefined
}

/** A record of this moment, machine and commit. */
export function recordOf(suite: string, figures: Figures): LedgerRecord {
  const others = ['.', ':(exclude)bench/ledger.jsonl', ':(exclude)bench/README.md']
  return {
    format: 1,
    date: new Date().toISOString(),
    commit: git('rev-parse', '--short=12', 'HEAD') ?? 'unknown',
    changed: git('status', '--porcelain', '--', ...others) !== '',
    machine: thisMachine(),
    node: process.version,
    suite,
    figures: Object.fromEntries(
      Object.entries(figures).map(([name, { value, low, high, unit }]) => [
        name,
        { value: rounded(value), low: rounded(low), high: rounded(high), unit }
      ])
    )
  }
}

/** Four digits: no measurement here is better than that. */
const rounded = (value: number): number => Number(value.toPrecision(4))

export function appendRecord(file: string, record: LedgerRecord): void {
  appendFileSync(file, JSON.stringify(record) + '\n')
}

/** Records, oldest first; none where there is no file. @throws Error naming the line that is no record. */
export function readLedger(file: string): LedgerRecord[] {
  if (!existsSync(file)) return []
  const lines = readFileSync(file, 'utf8').split('\n')
  return lines.flatMap((line, index) => {
    if (line.trim() === '') return []
    try {
      return [checkedRecord(JSON.parse(line))]
    } catch (error) {
      throw new Error(`${file}, line ${index + 1}: ${(error as Error).message}`, { cause: error })
    }
  })
}

function checkedRecord(value: unknown): LedgerRecord {
  const record = value as LedgerRecord
  if (record?.format !== 1) throw new Error('expected a record with "format": 1')
  const { date, commit, node, suite, machine } = record
  const words = { date, commit, node, suite, 'machine.cpu': machine?.cpu, 'machine.isa': machine?.isa }
  for (const [name, word] of Object.entries(words)) {
    if (typeof word !== 'string' || word === '') throw new Error(`${name}: expected a word and got ${String(word)}`)
  }
  if (!Number.isInteger(machine.cores)) throw new Error(`machine.cores: expected a whole number`)
  for (const [name, figure] of Object.entries(record.figures ?? {})) {
    const numbers = [figure.low, figure.value, figure.high]
    if (!numbers.every(Number.isFinite)) throw new Error(`figures["${name}"]: expected three numbers`)
    if (!units.includes(figure.unit)) throw new Error(`figures["${name}"]: unknown unit ${String(figure.unit)}`)
  }
  return record
}
