/**
 * What was spent, kept by name in the ledger's folder: processes that share a day's budget see each other's calls, and
 * a run that was killed knows what it had paid. A call is written down with its estimate before it is sent, in the
 * transaction that allows it, and put right afterwards: one that never comes back stays paid at its estimate.
 */
import { join } from 'node:path'
import { open, type RootDatabase } from 'lmdb'
import { AdjudgeError } from '../errors.js'

export interface Amount {
  /** US dollars. */
  money: number
  tokens: number
}

/** Sums by name, read and changed in one step. */
export interface Spending {
  get(name: string): Amount
  /** Adds to all names where `allowed` says so of the sums before; false: nothing was added. */
  add(names: readonly string[], amount: Amount, allowed?: (name: string, before: Amount) => boolean): boolean
  clear(names: readonly string[]): void
}

export class MemorySpending implements Spending {
  protected readonly sums = new Map<string, Amount>()

  get(name: string): Amount {
    return this.sums.get(name) ?? { money: 0, tokens: 0 }
  }

  add(names: readonly string[], amount: Amount, allowed?: (name: string, before: Amount) => boolean): boolean {
    if (allowed && !names.every((name) => allowed(name, this.get(name)))) return false
    for (const name of names) this.sums.set(name, plus(this.get(name), amount))
    return true
  }

  clear(names: readonly string[]): void {
    for (const name of names) this.sums.delete(name)
  }
}

export class StoredSpending implements Spending {
  private constructor(private readonly database: RootDatabase<Amount, string>) {}

  /** `folder`: the ledger's. Throws LEDGER_OPEN. */
  static open(folder: string): StoredSpending {
    const path = join(folder, 'spending')
    try {
      return new StoredSpending(open<Amount, string>({ path, encoding: 'json', noSubdir: true, noSync: true }))
    } catch (cause) {
      throw new AdjudgeError('LEDGER_OPEN', `ledger ${path}: cannot be opened (${(cause as Error).message})`, { cause })
    }
  }

  get(name: string): Amount {
    return this.database.get(name) ?? { money: 0, tokens: 0 }
  }

  add(names: readonly string[], amount: Amount, allowed?: (name: string, before: Amount) => boolean): boolean {
    return this.database.transactionSync(() => {
      if (allowed && !names.every((name) => allowed(name, this.get(name)))) return false
      for (const name of names) this.database.putSync(name, plus(this.get(name), amount))
      return true
    })
  }

  clear(names: readonly string[]): void {
    for (const name of names) this.database.removeSync(name)
  }

  close(): Promise<void> {
    return this.database.close()
  }
}

const plus = (a: Amount, b: Amount): Amount => ({ money: a.money + b.money, tokens: a.tokens + b.tokens })
