/** What the batch interfaces of providers have in common. */

/** Milliseconds for one exchange about a batch: requests and results are up to some 100 MB. */
export const exchangeTimeout = 15 * 60_000

export const inTime = (): AbortSignal => AbortSignal.timeout(exchangeTimeout)

/** One request of a batch. `id` is made from path and body, so the same request has the same id in every process. */
export interface BatchRequest {
  id: string
  /** Below the server's address, e.g. `/chat/completions`. */
  path: string
  /** JSON. */
  body: string
}

/** What became of one request: the status and the JSON that a call of its own would have brought. */
export interface BatchOutcome {
  status: number
  value: unknown
}

export interface BatchState {
  ended: boolean
  /** Why no request of it was or will be carried out. */
  failure?: string
}

export interface BatchService {
  /**
   * Resolves with the batch's id. `again`: an earlier try with the same `mark` may have arrived though its answer did
   * not, and is to be found where the server lets it.
   */
  submit(requests: BatchRequest[], mark: string, again: boolean): Promise<string>
  state(batch: string): Promise<BatchState>
  /** Calls `take` for each result, in any order, perhaps more than once for one id. */
  results(batch: string, take: (id: string, outcome: BatchOutcome) => void): Promise<void>
  close(): Promise<void>
}
