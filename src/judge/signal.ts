/**
 * Cancellation of one call. AbortSignals, and AbortSignal.any over them, are followed by the garbage collector through
 * weak references; a provider that wants one still gets it.
 */

/** What an AbortSignal and a CallSignal have in common. */
export interface Abortable {
  readonly aborted: boolean
  readonly reason: unknown
  addEventListener(type: 'abort', listener: () => void, options?: { once?: boolean }): void
  removeEventListener(type: 'abort', listener: () => void): void
}

/** Aborts by itself, or with its parent until `detach`. */
export class CallSignal implements Abortable {
  aborted = false
  reason: unknown
  private readonly listeners = new Set<() => void>()
  private controller: AbortController | undefined
  private readonly follow: (() => void) | undefined

  constructor(private readonly parent?: Abortable) {
    if (!parent) return
    if (parent.aborted) this.abort(parent.reason)
    else {
      this.follow = () => this.abort(parent.reason)
      parent.addEventListener('abort', this.follow, { once: true })
    }
  }

  abort(reason: unknown): void {
    if (this.aborted) return
    this.aborted = true
    this.reason = reason
    this.controller?.abort(reason)
    const listeners = [...this.listeners]
    this.listeners.clear()
    for (const listener of listeners) listener()
  }

  /** Must be called at the end where the parent lives longer. */
  detach(): void {
    if (this.follow) this.parent!.removeEventListener('abort', this.follow)
  }

  /** Each listener is called once. */
  addEventListener(_: 'abort', listener: () => void): void {
    this.listeners.add(listener)
  }

  removeEventListener(_: 'abort', listener: () => void): void {
    this.listeners.delete(listener)
  }

  /** For those who need the real one. */
  get abortSignal(): AbortSignal {
    if (!this.controller) {
      this.controller = new AbortController()
      if (this.aborted) this.controller.abort(this.reason)
    }
    return this.controller.signal
  }
}

const shared = new WeakMap<AbortSignal, CallSignal>()

/** One for all calls of a signal, which itself would look through all its listeners for each that is added. */
export function callSignalOf(signal: AbortSignal): CallSignal {
  let found = shared.get(signal)
  if (!found) shared.set(signal, (found = new CallSignal(signal)))
  return found
}
