import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { readLedger } from './record.js'
import { tableOf, withTable } from './table.js'

const here = (name: string): string => fileURLToPath(new URL(name, import.meta.url))

export const ledgerFile = here('../ledger.jsonl')
export const documentFile = here('../README.md')

/** Writes the table of the project's own ledger into bench/README.md. */
export function writeTable(): void {
  writeFileSync(documentFile, withTable(readFileSync(documentFile, 'utf8'), tableOf(readLedger(ledgerFile))))
}
