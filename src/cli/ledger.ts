/** `adjudge ledger`: what judges said and what it cost, read from the folder that keeps their verdicts. */
import { createWriteStream, existsSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { Command, InvalidArgumentError } from 'commander'
import { AdjudgeError } from '../errors.js'
import { Ledger, type LedgerRecord } from '../judge/index.js'
import { positiveInteger } from './numbers.js'

interface Filters {
  judge?: string
  model?: string
  reason?: string
  since?: string
  until?: string
  scored?: boolean
  failures?: boolean
}

export function ledgerCommand(): Command {
  const command = new Command('ledger').description('look into a ledger of verdicts: list, show, stats, export, gc')
  command.addCommand(
    filtered('list', 'one line per verdict: time, key, judge, and score or why there is none', [
      'ledger list run/ledger --reason timeout --since 2026-11-01',
      'ledger list run/ledger --scored --limit 20'
    ])
      .option('--limit <n>', 'only the first n', positiveInteger)
      .action((folder: string, filters: Filters & { limit?: number }) =>
        using(folder, (ledger) => {
          let left = filters.limit ?? Infinity
          for (const record of chosen(ledger, filters)) {
            if (left-- <= 0) break
            console.log(lineOf(record))
          }
        })
      )
  )
  command.addCommand(
    new Command('show')
      .description('everything that is kept of a verdict: prompt, reply, parameters, cost')
      .argument('<folder>', 'the ledger')
      .argument('<key>', 'as `list` shows it: the key, or its beginning')
      .addHelpText('after', '\nExample:\n  adjudge ledger show run/ledger 3f9a0c')
      .action((folder: string, key: string) =>
        using(folder, (ledger) => {
          const found = [...chosen(ledger, {})].filter((record) => record.key.startsWith(key))
          if (found.length === 0) {
            throw new AdjudgeError('LEDGER_OPEN', `ledger ${folder}: no verdict has a key that begins with ${key}`)
          }
          for (const record of found) console.log(JSON.stringify(record, null, 2))
        })
      )
  )
  command.addCommand(
    filtered('stats', 'verdicts, failures by reason, tokens and cost, by judge', [
      'ledger stats run/ledger --since 2026-11-24'
    ]).action((folder: string, filters: Filters) =>
      using(folder, (ledger) => {
        for (const line of statistics(chosen(ledger, filters))) console.log(line)
      })
    )
  )
  command.addCommand(
    filtered('export', 'the records as JSONL, prompts and replies included', [
      'ledger export run/ledger --scored --out verdicts.jsonl'
    ])
      .option('--out <file>', 'where to; default: standard output')
      .action((folder: string, filters: Filters & { out?: string }) =>
        using(folder, async (ledger) => {
          const lines = Readable.from(linesOf(chosen(ledger, filters)))
          if (filters.out === undefined) await pipeline(lines, process.stdout, { end: false })
          else
            await pipeline(lines, createWriteStream(filters.out)).catch((cause: unknown) =>
              unwritable(filters.out!, cause)
            )
        })
      )
  )
  command.addCommand(
    new Command('gc')
      .description('delete the failures, which are kept for the record only; later verdicts use the room again')
      .argument('<folder>', 'the ledger')
      .option('--until <time>', 'only those before that time (ISO 8601)', time)
      .addHelpText('after', '\nExample:\n  adjudge ledger gc run/ledger --until 2026-11-01')
      .action((folder: string, { until }: { until?: string }) =>
        using(folder, async (ledger) => console.log(`${await ledger.dropFailures(until)} failures deleted`))
      )
  )
  for (const one of command.commands) one.exitOverride().showHelpAfterError('(--help lists the options)')
  return command
}

const filtered = (name: string, description: string, examples: string[]): Command =>
  new Command(name)
    .description(description)
    .argument('<folder>', 'the ledger')
    .option('--judge <name>', 'of this judge')
    .option('--model <name>', 'of this model')
    .option('--reason <reason>', 'unscored for this reason, e.g. timeout')
    .option('--since <time>', 'from that time on (ISO 8601, UTC)', time)
    .option('--until <time>', 'before that time', time)
    .option('--scored', 'only verdicts with a score')
    .option('--failures', 'only those without')
    .addHelpText(
      'after',
      `\n${examples.length > 1 ? 'Examples' : 'Example'}:\n${examples.map((one) => `  adjudge ${one}`).join('\n')}`
    )

function unwritable(file: string, cause: unknown): never {
  throw new AdjudgeError('FILE_UNWRITABLE', `${file}: cannot be written (${(cause as Error).message})`, { cause })
}

function time(text: string): string {
  const milliseconds = Date.parse(text)
  if (Number.isNaN(milliseconds)) throw new InvalidArgumentError('expected a time, e.g. 2026-11-24T10:00:00Z')
  return new Date(milliseconds).toISOString()
}

async function using(folder: string, work: (ledger: Ledger) => void | Promise<void>): Promise<void> {
  if (!existsSync(join(folder, 'data.mdb'))) {
    throw new AdjudgeError('LEDGER_OPEN', `ledger ${folder}: there is none; expected the folder of a ledger`)
  }
  const ledger = Ledger.open(folder)
  try {
    await work(ledger)
  } finally {
    await ledger.close()
  }
}

/** One record at a time: a ledger may be larger than the memory. */
function* chosen(ledger: Ledger, filters: Filters): Generator<LedgerRecord> {
  const kinds = (['verdicts', 'failures'] as const).filter(
    (kind) =>
      !(kind === 'verdicts' && (filters.failures || filters.reason !== undefined)) &&
      !(kind === 'failures' && filters.scored)
  )
  for (const kind of kinds) {
    for (const record of ledger.list(kind)) {
      if (filters.judge !== undefined && record.judge !== filters.judge) continue
      if (filters.model !== undefined && record.model !== filters.model) continue
      if (filters.reason !== undefined && record.verdict.reason !== filters.reason) continue
      if (filters.since !== undefined && record.at < filters.since) continue
      if (filters.until !== undefined && record.at >= filters.until) continue
      yield record
    }
  }
}

const lineOf = ({ at, key, judge, verdict }: LedgerRecord): string =>
  [at, key.slice(0, 12), judge, verdict.score === null ? `unscored: ${verdict.reason}` : String(verdict.score)].join(
    '  '
  )

function* linesOf(records: Iterable<LedgerRecord>): Generator<string> {
  for (const record of records) yield JSON.stringify(record) + '\n'
}

interface Sums {
  scored: number
  total: number
  reasons: Map<string, number>
  tokens: number
  cost: number
  unpriced: number
}

function statistics(records: Iterable<LedgerRecord>): string[] {
  const judges = new Map<string, Sums>()
  for (const { judge, verdict } of records) {
    const sums = judges.get(judge) ?? { scored: 0, total: 0, reasons: new Map(), tokens: 0, cost: 0, unpriced: 0 }
    judges.set(judge, sums)
    if (verdict.score === null) {
      const reason = verdict.reason ?? 'unknown'
      sums.reasons.set(reason, (sums.reasons.get(reason) ?? 0) + 1)
    } else {
      sums.scored++
      sums.total += verdict.score
    }
    sums.tokens += verdict.usage.inputTokens + verdict.usage.outputTokens
    if (verdict.cost === null) sums.unpriced++
    else sums.cost += verdict.cost
  }
  return [...judges].map(([judge, { scored, total, reasons, tokens, cost, unpriced }]) => {
    const mean = scored === 0 ? '' : `, mean ${(total / scored).toFixed(3)}`
    const failed = [...reasons].map(([reason, count]) => `${reason} ${count}`).join(', ')
    const unknown = unpriced === 0 ? '' : ` and ${unpriced} of unknown cost`
    return `${judge}: ${scored} verdicts${mean}; failures: ${failed || 'none'}; ${tokens} tokens, $${cost.toFixed(4)}${unknown}`
  })
}
