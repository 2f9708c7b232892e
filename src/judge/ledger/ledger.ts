/**
 * The ledger: every verdict, durable before it is used. An LMDB folder, opened by any number of processes at once.
 * Scored verdicts are found again by key; failures are kept for the record and never found.
 */
import { mkdirSync, realpathSync } from 'node:fs'
import { randomUUID } from 'node:crypto'
import { open, type Database, type RootDatabase } from 'lmdb'
import { AdjudgeError } from '../../errors.js'
import type { JudgeMessage, Verdict } from '../types.js'

export const ledgerFormat = 1

export interface LedgerRecord {
  /** sha256 of judge, parameters, rubric and input, as rendered. */
  key: string
  /** ISO 8601, UTC. */
  at: string
  judge: string
  model: string
  parameters: Record<string, unknown>
  messages: JudgeMessage[]
  /** Raw reply text; null for judges that only compare continuations. */
  reply: string | null
  verdict: Verdict
}

export interface LedgerStats {
  verdicts: number
  failures: number
  inputTokens: number
  outputTokens: number
  /** US dollars of the records with a known price. */
  cost: number
}

/** The verdicts, where the format is one that this adjudge reads. */
function readyDatabase(root: RootDatabase, path: string): Database<string, string> {
  const meta = root.openDB<number, string>({ name: 'meta', encoding: 'json' })
  const format = meta.get('format')
  if (format !== undefined && format > ledgerFormat) {
    throw new AdjudgeError(
      'LEDGER_FORMAT',
      `ledger ${path}: format ${format} was written by a newer adjudge; this one reads up to ${ledgerFormat}`
    )
  }
  if (format === undefined) meta.putSync('format', ledgerFormat)
  return root.openDB<string, string>({ name: 'verdicts', encoding: 'string' })
}

function recordText({ messages: _, ...record }: LedgerRecord, messages: string): string {
  return `{"messages":${messages},${JSON.stringify(record).slice(1)}`
}

const openLedgers = new Map<string, { ledger: Ledger; users: number }>()

export class Ledger {
  /** Work in flight by key: judges that share a ledger never ask the same thing twice. */
  readonly working = new Map<string, Promise<Verdict>>()

  private constructor(
    readonly path: string,
    private readonly root: RootDatabase,
    private readonly verdicts: Database<string, string>,
    private readonly failures: Database<string, string>
  ) {}

  /**
   * Opens or makes a ledger; the same folder gives the same object. Throws LEDGER_OPEN where it cannot be opened and
   * LEDGER_FORMAT where a newer adjudge wrote it.
   */
  static open(path: string): Ledger {
    let root: RootDatabase | undefined
    try {
      mkdirSync(path, { recursive: true })
      const folder = realpathSync(path)
      const known = openLedgers.get(folder)
      if (known) {
        known.users++
        return known.ledger
      }
      // Not overlapping: a commit is on the disk before its promise resolves. Puts that wait share one commit.
      root = open({ path: folder, encoding: 'json', maxDbs: 4, noSubdir: false, overlappingSync: false })
      const ledger = new Ledger(
        folder,
        root,
        readyDatabase(root, path),
        root.openDB<string, string>({ name: 'failures', encoding: 'string' })
      )
      openLedgers.set(folder, { ledger, users: 1 })
      return ledger
    } catch (cause) {
      void root?.close().catch(() => undefined)
      if (cause instanceof AdjudgeError) throw cause
      throw new AdjudgeError(
        'LEDGER_OPEN',
        `ledger ${path}: cannot be opened (${(cause as Error).message}); expected a folder that can be written, with room`,
        { cause }
      )
    }
  }

  /** The scored verdict of a key, if there is one. */
  get(key: string): LedgerRecord | undefined {
    const text = this.verdicts.get(key)
    return text === undefined ? undefined : (JSON.parse(text) as LedgerRecord)
  }

  /**
   * Resolves when the record is on the disk (LMDB commits with fsync; appends that wait together share one). Throws
   * LEDGER_WRITE. `messages`: the record's, where they are written as JSON already.
   */
  async append(record: LedgerRecord, messages?: string): Promise<void> {
    const text = messages === undefined ? JSON.stringify(record) : recordText(record, messages)
    try {
      if (record.verdict.score === null) await this.failures.put(`${record.key}:${record.at}:${randomUUID()}`, text)
      else await this.verdicts.put(record.key, text)
    } catch (cause) {
      throw new AdjudgeError(
        'LEDGER_WRITE',
        `ledger ${this.path}: a verdict could not be written (${(cause as Error).message}); is the disk full?`,
        { cause }
      )
    }
  }

  /** All records by key: the scored verdicts, or the failures. */
  *list(kind: 'verdicts' | 'failures' = 'verdicts'): Generator<LedgerRecord> {
    for (const { value } of (kind === 'verdicts' ? this.verdicts : this.failures).getRange()) {
      yield JSON.parse(value) as LedgerRecord
    }
  }

  /** Deletes the failures, or those before a time (ISO 8601, UTC), and says how many. Throws LEDGER_WRITE. */
  async dropFailures(until?: string): Promise<number> {
    try {
      return await this.failures.transaction(() => {
        let count = 0
        for (const { key, value } of this.failures.getRange()) {
          if (until !== undefined && (JSON.parse(value) as LedgerRecord).at >= until) continue
          this.failures.removeSync(key)
          count++
        }
        return count
      })
    } catch (cause) {
      throw new AdjudgeError(
        'LEDGER_WRITE',
        `ledger ${this.path}: failures could not be deleted (${(cause as Error).message}); is the disk full?`,
        { cause }
      )
    }
  }

  /** Counts over the whole ledger (reads it through). */
  stats(): LedgerStats {
    const stats: LedgerStats = { verdicts: 0, failures: 0, inputTokens: 0, outputTokens: 0, cost: 0 }
    for (const kind of ['verdicts', 'failures'] as const) {
      for (const { verdict } of this.list(kind)) {
        stats[kind]++
        stats.inputTokens += verdict.usage.inputTokens
        stats.outputTokens += verdict.usage.outputTokens
        stats.cost += verdict.cost ?? 0
      }
    }
    return stats
  }

  /** Closes the folder when the last user of it is done. */
  async close(): Promise<void> {
    const entry = openLedgers.get(this.path)
    if (entry?.ledger !== this || --entry.users > 0) return
    openLedgers.delete(this.path)
    await this.root.close()
  }
}
