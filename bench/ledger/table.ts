/** The table of bench/README.md: the last record of each suite on each kind of machine. */
import { kindOf, type LedgerRecord } from './record.js'
import { words } from './statistics.js'

const begin = '<!-- ledger: begin (npm run bench:table writes it) -->'
const end = '<!-- ledger: end -->'

export function tableOf(records: readonly LedgerRecord[]): string {
  if (records.length === 0) return 'The ledger has no record yet.'
  const kinds = new Map<string, Map<string, LedgerRecord>>()
  for (const record of records) {
    const kind = kindOf(record.machine)
    const suites = kinds.get(kind) ?? new Map<string, LedgerRecord>()
    kinds.set(kind, suites.set(record.suite, record))
  }
  return [...kinds]
    .flatMap(([kind, suites]) => [
      `### ${kind}`,
      ...[...suites.values()].map(({ suite, commit, changed, date, node, figures }) =>
        [
          `**${suite}**, commit ${commit}${changed ? ' with changes' : ''}, ${date.slice(0, 10)}, Node ${node}`,
          '',
          '| | median (quartiles) | |',
          '|---|---|---|',
          ...Object.entries(figures).map(([name, figure]) => `| ${name} | ${words(figure)} | ${figure.unit} |`)
        ].join('\n')
      )
    ])
    .join('\n\n')
}

/** The document with a new table between its two marks. @throws Error where it has not both. */
export function withTable(document: string, table: string): string {
  const [from, to] = [document.indexOf(begin), document.indexOf(end)]
  if (from < 0 || to < from) throw new Error(`bench/README.md: the lines "${begin}" and "${end}" are needed`)
  return `${document.slice(0, from)}${begin}\n\n${table}\n\n${document.slice(to)}`
}
