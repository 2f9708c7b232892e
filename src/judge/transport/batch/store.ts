/** Which requests are in which batch: a file each beside the ledger, so that a later process finds what is paid for. */
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync
} from 'node:fs'
import { join } from 'node:path'

export interface BatchRecord {
  format: 1
  id: string
  /** Server and key (hashed): batches of others are left alone. */
  server: string
  /** ISO 8601, UTC. */
  submitted: string
  requests: string[]
}

/** Providers keep results for about as long. */
const kept = 29 * 24 * 60 * 60 * 1000

export class BatchStore {
  private readonly folder: string

  constructor(ledger: string) {
    this.folder = join(ledger, 'batches')
    mkdirSync(this.folder, { recursive: true })
  }

  /** Durable when it returns. */
  add(record: BatchRecord): void {
    const path = this.pathOf(record.id)
    const file = openSync(`${path}.new`, 'w', 0o600)
    try {
      writeSync(file, JSON.stringify(record))
      fsyncSync(file)
    } finally {
      closeSync(file)
    }
    renameSync(`${path}.new`, path)
  }

  remove(id: string): void {
    rmSync(this.pathOf(id), { force: true })
  }

  /** Those of one server; files of results that no provider has any more go. */
  list(server: string, now = Date.now()): BatchRecord[] {
    const records: BatchRecord[] = []
    for (const name of readdirSync(this.folder)) {
      if (!name.endsWith('.json')) continue
      const record = JSON.parse(readFileSync(join(this.folder, name), 'utf8')) as BatchRecord
      if (now - Date.parse(record.submitted) > kept) rmSync(join(this.folder, name), { force: true })
      else if (record.format === 1 && record.server === server) records.push(record)
    }
    return records
  }

  private pathOf(id: string): string {
    return join(this.folder, `${id.replace(/[^\w.-]/g, '_')}.json`)
  }
}
