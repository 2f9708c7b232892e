/**
 * Where processes that share a key keep its limits together: a small LMDB file beside the ledger's own. Nothing is
 * leased ahead: a call that starts is written down in the transaction that lets it start, so a process that dies
 * leaves nothing to take back. Not synced to the disk: after a power cut the minute is over anyway.
 */
import { join } from 'node:path'
import { open, type RootDatabase } from 'lmdb'
import { AdjudgeError } from '../../errors.js'
import { Rates } from './rates.js'

export class RateStore {
  private constructor(
    readonly path: string,
    private readonly database: RootDatabase<Buffer, string>
  ) {}

  /** `folder`: the ledger's. Throws LEDGER_OPEN. */
  static open(folder: string): RateStore {
    const path = join(folder, 'limits')
    try {
      return new RateStore(
        path,
        open<Buffer, string>({ path, encoding: 'binary', noSubdir: true, noSync: true, mapSize: 2 ** 24 })
      )
    } catch (cause) {
      throw new AdjudgeError('LEDGER_OPEN', `ledger ${path}: cannot be opened (${(cause as Error).message})`, { cause })
    }
  }

  /** Reads a key's numbers, lets `change` work on them and writes them back, while no other process can. */
  update<Result>(key: string, now: number, change: (rates: Rates) => Result): Result {
    return this.database.transactionSync(() => {
      const rates = new Rates(now, numbersOf(this.database.get(key)))
      const result = change(rates)
      const { buffer, byteOffset, byteLength } = rates.numbers
      this.database.putSync(key, Buffer.from(buffer as ArrayBuffer, byteOffset, byteLength))
      return result
    })
  }

  close(): Promise<void> {
    return this.database.close()
  }
}

function numbersOf(bytes: Buffer | undefined): Float64Array | undefined {
  if (!bytes || bytes.byteLength % 8 !== 0) return undefined
  // The database's memory need not be aligned.
  return new Float64Array(new Uint8Array(bytes).buffer)
}
