/** Gathers requests into batches, submits them, waits for them, and hands each caller its own result. */
import { randomUUID } from 'node:crypto'
import { backOff, classify, messageOf } from '../../retry.js'
import { exchangeTimeout, type BatchOutcome, type BatchRequest, type BatchService } from './service.js'
import type { BatchStore } from './store.js'

export interface BatchSettings {
  /** Requests of a batch, at most. */
  size: number
  /** Bytes of a batch, at most. */
  bytes: number
  /** Milliseconds without a new request after which a batch is sent. */
  linger: number
  /** Milliseconds between two looks at a batch. */
  poll: number
}

export const batchDefaults: BatchSettings = { size: 10_000, bytes: 100e6, linger: 2_000, poll: 30_000 }

/** Submissions and looks that fail are tried again this often in a row. */
const mostFailures = 8

interface Waiter {
  resolve(outcome: BatchOutcome): void
  reject(error: Error): void
}

class Batch {
  /** Requests of which the result was not handed over yet. */
  readonly open: Set<string>
  /** Results for which nobody has asked yet: a run that goes on asks for them one after another. */
  readonly spare = new Map<string, BatchOutcome>()

  constructor(
    requests: string[],
    /** Absent until it is submitted. */
    public id?: string
  ) {
    this.open = new Set(requests)
  }
}

export class BatchQueue {
  private readonly waiters = new Map<string, Waiter[]>()
  /** The batch that a request is in, submitted or about to be. */
  private readonly batches = new Map<string, Batch>()
  private readonly watched = new Set<Batch>()
  /** Submitted by this process. */
  private readonly own: Batch[] = []
  private gathered: BatchRequest[] = []
  private gatheredBytes = 0
  private timer: NodeJS.Timeout | undefined
  private readonly closing = new AbortController()

  /** Takes over the batches that an earlier process left. */
  constructor(
    private readonly service: BatchService,
    private readonly store: BatchStore,
    /** Server and key, without telling the key. */
    private readonly server: string,
    private readonly settings: BatchSettings
  ) {
    for (const { id, requests } of store.list(server)) {
      const batch = new Batch(requests, id)
      for (const request of requests) this.batches.set(request, batch)
    }
  }

  /** Whether the request is in a batch already. */
  has(id: string): boolean {
    return this.batches.has(id)
  }

  /** Rejects with the signal's reason: what is submitted goes on at the provider, and is found again. */
  ask(request: BatchRequest, signal: AbortSignal): Promise<BatchOutcome> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason as Error)
      const waiter: Waiter = {
        resolve: (outcome) => (signal.removeEventListener('abort', abort), resolve(outcome)),
        reject: (error) => (signal.removeEventListener('abort', abort), reject(error))
      }
      const abort = (): void => {
        this.drop(request.id, waiter)
        reject(signal.reason as Error)
      }
      signal.addEventListener('abort', abort, { once: true })
      const waiting = this.waiters.get(request.id)
      if (waiting) waiting.push(waiter)
      else this.waiters.set(request.id, [waiter])
      const batch = this.batches.get(request.id)
      const known = batch?.spare.get(request.id)
      if (!batch) this.gather(request)
      else if (known) this.deliver(batch, request.id, known)
      else if (batch.id !== undefined) this.watch(batch)
    })
  }

  async close(): Promise<void> {
    this.closing.abort(new Error('the judge was closed'))
    clearTimeout(this.timer)
    for (const id of [...this.waiters.keys()]) this.fail(id, this.closing.signal.reason as Error)
    // Now, and not before, all verdicts that came of a batch are in the ledger.
    for (const { id, open } of this.own) if (open.size === 0) this.store.remove(id!)
    await this.service.close()
  }

  private drop(id: string, waiter: Waiter): void {
    const left = (this.waiters.get(id) ?? []).filter((other) => other !== waiter)
    if (left.length > 0) this.waiters.set(id, left)
    else {
      this.waiters.delete(id)
      const index = this.gathered.findIndex((request) => request.id === id)
      if (index >= 0) {
        this.gatheredBytes -= Buffer.byteLength(this.gathered.splice(index, 1)[0]!.body)
        this.batches.delete(id)
      }
    }
  }

  private gather(request: BatchRequest): void {
    const { size, bytes, linger } = this.settings
    const length = Buffer.byteLength(request.body)
    if (this.gathered.length > 0 && this.gatheredBytes + length > bytes) this.send()
    this.gathered.push(request)
    this.gatheredBytes += length
    this.batches.set(request.id, new Batch([request.id]))
    clearTimeout(this.timer)
    if (this.gathered.length >= size) this.send()
    else this.timer = setTimeout(() => this.send(), linger)
  }

  private send(): void {
    clearTimeout(this.timer)
    const requests = this.gathered
    this.gathered = []
    this.gatheredBytes = 0
    if (requests.length === 0) return
    // The requests of a batch share one address.
    const paths = new Set(requests.map(({ path }) => path))
    for (const path of paths) void this.submit(requests.filter((request) => request.path === path))
  }

  private async submit(requests: BatchRequest[]): Promise<void> {
    const ids = requests.map(({ id }) => id)
    const batch = new Batch(ids)
    for (const id of ids) this.batches.set(id, batch)
    try {
      const mark = randomUUID()
      batch.id = await this.persist((attempt) => this.service.submit(requests, mark, attempt > 1))
      const submitted = new Date().toISOString()
      this.store.add({ format: 1, id: batch.id, server: this.server, submitted, requests: ids })
      this.own.push(batch)
      this.watch(batch)
    } catch (error) {
      for (const id of ids) {
        this.batches.delete(id)
        this.fail(id, error as Error)
      }
    }
  }

  /** Looks at a batch until it has ended, as long as someone waits for a result of it. */
  private watch(batch: Batch): void {
    if (this.watched.has(batch)) return
    this.watched.add(batch)
    void this.follow(batch, batch.id!)
      .catch((error: unknown) => {
        // Deleted, or kept no longer: who asks again is to be served anew.
        if ((error as { status?: unknown }).status === 404) this.forget(batch, batch.id!)
        for (const id of batch.open) this.fail(id, error as Error)
      })
      .finally(() => {
        this.watched.delete(batch)
        // Someone may have asked just when nobody seemed to.
        if (this.isWanted(batch) && !this.closing.signal.aborted) this.watch(batch)
      })
  }

  private async follow(batch: Batch, id: string): Promise<void> {
    for (;;) {
      const { ended, failure } = await this.persist(() => this.service.state(id))
      if (failure !== undefined) {
        this.forget(batch, id)
        throw new Error(`batch ${id}: ${failure}`)
      }
      if (ended) break
      await pause(this.settings.poll, this.closing.signal)
      if (!this.isWanted(batch)) return
    }
    // A download that breaks off starts again: what was handed over is not handed over twice.
    await this.persist(() => this.service.results(id, (request, outcome) => this.deliver(batch, request, outcome)))
    for (const request of [...batch.open]) {
      if (this.waiters.has(request)) {
        const value = { error: `batch ${id} came back without this request` }
        this.deliver(batch, request, { status: 500, value })
      }
    }
  }

  private isWanted({ open }: Batch): boolean {
    for (const request of open) if (this.waiters.has(request)) return true
    return false
  }

  private forget(batch: Batch, id: string): void {
    this.store.remove(id)
    for (const request of batch.open) this.batches.delete(request)
  }

  private deliver(batch: Batch, request: string, outcome: BatchOutcome): void {
    const waiting = this.waiters.get(request)
    // A second copy, or a stranger.
    if (!batch.open.has(request)) return
    if (!waiting) {
      if (!batch.spare.has(request)) batch.spare.set(request, outcome)
      return
    }
    batch.open.delete(request)
    batch.spare.delete(request)
    this.waiters.delete(request)
    // Asked again, it is to be asked anew: the reply was of no use.
    this.batches.delete(request)
    for (const waiter of waiting) waiter.resolve(outcome)
  }

  private fail(id: string, error: Error): void {
    const waiting = this.waiters.get(id) ?? []
    this.waiters.delete(id)
    for (const waiter of waiting) waiter.reject(error)
  }

  /** Hours of waiting must not be lost to a server that is away for a minute. */
  private async persist<T>(call: (attempt: number) => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await call(attempt)
      } catch (error) {
        this.closing.signal.throwIfAborted()
        const failure = classify(error, (error as Error).name === 'TimeoutError', exchangeTimeout)
        if (failure.kind === 'fatal' || attempt >= mostFailures) {
          throw failure.kind === 'fatal'
            ? error
            : new Error(`${messageOf(error)} (${attempt} attempts)`, { cause: error })
        }
        await pause(backOff(failure, attempt), this.closing.signal)
      }
    }
  }
}

function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted()
    const stop = (): void => {
      clearTimeout(timer)
      reject(signal.reason as Error)
    }
    const timer = setTimeout(() => (signal.removeEventListener('abort', stop), resolve()), milliseconds)
    signal.addEventListener('abort', stop, { once: true })
  })
}
