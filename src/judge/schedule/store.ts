/**
 * Where processes that share a key keep its limits together: a small LMDB file beside the ledger's own. Nothing is
 * leased ahead: a call that starts is written down in the transaction that lets it start, so a process that dies
 * leaves nothing to take back.
 */
import { readdirSync, readFileSync, realpathSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { open, type RootDatabase } from 'lmdb'
import { AdjudgeError } from '../../errors.js'
import { Rates } from './rates.js'

const openStores = new Map<string, { store: RateStore; users: number }>()

export class RateStore {
  private constructor(
    readonly path: string,
    private readonly database: RootDatabase<Buffer, string>
  ) {}

  /** `folder`: the ledger's; the same folder gives the same object. Throws LEDGER_OPEN. */
  static open(folder: string): RateStore {
    try {
      const boot = bootOf()
      const path = join(realpathSync(folder), boot === undefined ? 'limits' : `limits-${boot}`)
      const known = openStores.get(path)
      if (known) {
        known.users++
        return known.store
      }
      if (boot !== undefined) removeOlder(folder, boot)
      const settings = { path, encoding: 'binary', noSubdir: true, mapSize: 2 ** 24 } as const
      const store = new RateStore(path, open<Buffer, string>({ ...settings, noSync: boot !== undefined }))
      openStores.set(path, { store, users: 1 })
      return store
    } catch (cause) {
      throw new AdjudgeError(
        'LEDGER_OPEN',
        `ledger ${folder}: its rate limits cannot be opened (${(cause as Error).message}); expected a folder that can be written`,
        { cause }
      )
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

  /** Closes the file when the last user of it is done. */
  async close(): Promise<void> {
    const entry = openStores.get(this.path)
    if (entry?.store !== this || --entry.users > 0) return
    openStores.delete(this.path)
    await this.database.close()
  }
}

/**
 * Names this start of the machine, where it has a name. Then each has a file of its own, which need not reach the disk:
 * nobody reads it after a power cut, which might leave it broken.
 */
function bootOf(): string | undefined {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim().slice(0, 13)
  } catch {
    return undefined
  }
}

function removeOlder(folder: string, boot: string): void {
  for (const name of readdirSync(folder)) {
    if (/^limits-[\da-f-]+$/.test(name.replace(/-lock$/, '')) && !name.startsWith(`limits-${boot}`)) {
      rmSync(join(folder, name), { force: true })
    }
  }
}

function numbersOf(bytes: Buffer | undefined): Float64Array | undefined {
  if (!bytes || bytes.byteLength % 8 !== 0) return undefined
  // The database's memory need not be aligned.
  return new Float64Array(new Uint8Array(bytes).buffer)
}
