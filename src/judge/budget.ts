/** Limits of money and tokens: a call is sent only where its estimate still fits, and settled with what it did cost. */
import { AdjudgeError } from '../errors.js'
import type { Ledger } from './ledger/ledger.js'
import { costOf, type Price } from './prices.js'
import { MemorySpending, StoredSpending, type Amount, type Spending } from './spending.js'
import type { Usage } from './types.js'

export interface Limits {
  /** US dollars, above 0. */
  money?: number
  /** Tokens of prompts and replies, above 0. */
  tokens?: number
}

export interface BudgetOptions extends Limits {
  /** `run` (default): as long as the judge is open, or the training run lasts. `day`: from midnight to midnight, UTC. */
  per?: 'run' | 'day'
  /** By provider, beside the limits of all together. */
  providers?: Record<string, Limits>
}

/** Thrown where a call no longer fits and none in flight could free room. */
export class BudgetSpent extends Error {}

/** What a call is held to; `settle` puts what it did cost in the estimate's place. Settling twice does nothing. */
export interface Held {
  settle(usage: Usage): void
}

export class Budget {
  /** Calls in flight here, and who waits for one of them to end. */
  private held = 0
  private readonly waiting: (() => void)[] = []
  private message: string | undefined

  /**
   * `spending`: where sums are kept, by default in this process; `run`: the name of the run there. Throws JUDGE_INVALID
   * on a limit that is no positive number.
   */
  constructor(
    private readonly options: BudgetOptions,
    private readonly spending: Spending = new MemorySpending(),
    private readonly run = 'run',
    private readonly now: () => number = Date.now
  ) {
    checkBudget(options)
  }

  /** What to do, once a call did not fit; undefined before. A day's limit is open again on the next. */
  get spent(): string | undefined {
    return this.message
  }

  get limitsMoney(): boolean {
    return [this.options, ...Object.values(this.options.providers ?? {})].some(({ money }) => money !== undefined)
  }

  /** Forgets what the run has spent so far; a day's sums stay. */
  restart(): void {
    if (this.options.per === 'day') return
    this.spending.clear(['all', ...Object.keys(this.options.providers ?? {})].map((name) => this.nameOf(name)))
  }

  /** Sums so far, calls in flight with their estimates. */
  get used(): Amount {
    return this.spending.get(this.nameOf('all'))
  }

  /** Resolves when the call may be sent. Rejects with BudgetSpent, or with the signal's reason. */
  async reserve(provider: string, usage: Usage, price: Price | null, signal: AbortSignal | undefined): Promise<Held> {
    const amount = amountOf(usage, price)
    for (;;) {
      signal?.throwIfAborted()
      const names = ['all', provider].map((name) => this.nameOf(name))
      let full: string | undefined
      const fits = (name: string, before: Amount): boolean => {
        const limits = name === names[0] ? this.options : this.options.providers?.[provider]
        full = reached(limits, before, amount)
        if (full !== undefined && name !== names[0]) full = `${full} (provider ${provider})`
        return full === undefined
      }
      if (this.spending.add(names, amount, fits)) {
        this.message = undefined
        this.held++
        return this.hold(names, amount, price)
      }
      if (this.held === 0) throw this.refuse(full!)
      // What is in flight may cost less than it is held to.
      await this.room(signal)
    }
  }

  /** Resolves when a call in flight has ended, or the signal says so. */
  private room(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        signal?.removeEventListener('abort', done)
        resolve()
      }
      this.waiting.push(done)
      signal?.addEventListener('abort', done, { once: true })
    })
  }

  /** Why nothing more may be spent, for judges in process, whose calls are paid afterwards. */
  full(provider: string): string | undefined {
    for (const [account, limits] of [
      ['all', this.options] as const,
      [provider, this.options.providers?.[provider]] as const
    ]) {
      const { money, tokens } = this.spending.get(this.nameOf(account))
      const { money: mostMoney = Infinity, tokens: mostTokens = Infinity } = limits ?? {}
      if (money >= mostMoney) return this.refuse(`the budget of $${mostMoney} is spent`).message
      if (tokens >= mostTokens) return this.refuse(`the budget of ${mostTokens} tokens is spent`).message
    }
    return undefined
  }

  /** Adds what was spent without being asked for before. */
  charge(provider: string, usage: Usage, price: Price | null): void {
    this.spending.add(
      ['all', provider].map((name) => this.nameOf(name)),
      amountOf(usage, price)
    )
  }

  private hold(names: string[], amount: Amount, price: Price | null): Held {
    let settled = false
    return {
      settle: (usage) => {
        if (settled) return
        settled = true
        const { money, tokens } = amountOf(usage, price)
        this.spending.add(names, { money: money - amount.money, tokens: tokens - amount.tokens })
        this.held--
        for (const wake of this.waiting.splice(0)) wake()
      }
    }
  }

  private refuse(full: string): BudgetSpent {
    const cure = this.options.per === 'day' ? 'go on tomorrow (UTC), or raise the budget' : 'raise the budget to go on'
    this.message = `${full}; ${cure}`
    return new BudgetSpent(this.message)
  }

  private nameOf(account: string): string {
    const period = this.options.per === 'day' ? `day ${new Date(this.now()).toISOString().slice(0, 10)}` : this.run
    return `${period}: ${account}`
  }
}

function amountOf(usage: Usage, price: Price | null): Amount {
  return { money: costOf(usage, price) ?? 0, tokens: usage.inputTokens + usage.outputTokens }
}

/** Which limit the next call would pass. */
function reached(limits: Limits | undefined, before: Amount, next: Amount): string | undefined {
  const { money = Infinity, tokens = Infinity } = limits ?? {}
  if (before.money + next.money > money) {
    return `the budget of $${money} leaves $${left(money - before.money, 6)}, and the next call is held to $${next.money.toPrecision(2)}`
  }
  if (before.tokens + next.tokens > tokens) {
    return `the budget of ${tokens} tokens leaves ${left(tokens - before.tokens, 0)}, and the next call is held to ${next.tokens}`
  }
  return undefined
}

const left = (amount: number, digits: number): string => Math.max(0, amount).toFixed(digits)

function checkBudget(options: BudgetOptions): void {
  const problem = (text: string): AdjudgeError => new AdjudgeError('JUDGE_INVALID', `judge: budget${text}`)
  if (options.per !== undefined && options.per !== 'run' && options.per !== 'day') {
    throw problem(`.per is ${JSON.stringify(options.per)}; expected run or day`)
  }
  const named = Object.entries(options.providers ?? {}).map(([name, limits]) => [`.providers.${name}`, limits] as const)
  for (const [path, limits] of [['', options] as const, ...named]) {
    for (const name of ['money', 'tokens'] as const) {
      const value = limits[name]
      if (value !== undefined && !(value > 0)) throw problem(`${path}.${name} is ${value}; expected a number above 0`)
    }
  }
}

/** One reservation in several budgets: all of it, or nothing. */
export async function reserveAll(budgets: readonly Budget[], ...call: Parameters<Budget['reserve']>): Promise<Held> {
  const helds: Held[] = []
  try {
    for (const budget of budgets) helds.push(await budget.reserve(...call))
  } catch (error) {
    for (const held of helds) held.settle({ inputTokens: 0, outputTokens: 0 })
    throw error
  }
  return { settle: (usage) => helds.forEach((held) => held.settle(usage)) }
}

/** A judge's budgets: those that are there, and new ones of their options; a day's are kept beside the ledger. */
export function openBudgets(
  given: BudgetOptions | Budget | readonly (BudgetOptions | Budget)[] | undefined,
  ledger: Ledger | undefined,
  opened: (() => Promise<void>)[]
): Budget[] {
  return [given ?? []].flat().map((one: BudgetOptions | Budget) => {
    if (one instanceof Budget) return one
    if (one.per !== 'day') return new Budget(one)
    if (!ledger) {
      throw new AdjudgeError('JUDGE_INVALID', 'judge: a budget per day is kept beside the ledger; expected `ledger`')
    }
    const spending = StoredSpending.open(ledger.path)
    opened.push(() => spending.close())
    return new Budget(one, spending)
  })
}
