/** Optional parts of a request, which a server may turn out not to have. */
import { messageOf } from '../retry.js'

/**
 * A server that refuses a part (an error that names it) is asked again without it, and never with it again.
 */
export class Features<Name extends string = string> {
  private readonly off = new Set<Name>()
  /** `patterns`: what a refusal says; the first that matches and is still on is turned off. */
  constructor(private readonly patterns: Partial<Record<Name, RegExp>>) {}

  /** How many parts are turned off: where it did not change, requests have the same parts. */
  get refused(): number {
    return this.off.size
  }

  has(name: Name): boolean {
    return !this.off.has(name)
  }

  /** Calls until it works or fails for another reason. */
  async negotiate<T>(call: () => Promise<T>): Promise<T> {
    for (;;) {
      const before = this.off.size
      try {
        return await call()
      } catch (error) {
        const { status, body } = (error ?? {}) as { status?: unknown; body?: unknown }
        if (status !== 400 && status !== 422 && status !== 500 && status !== 501) throw error
        const text = `${messageOf(error)} ${typeof body === 'string' ? body : ''}`
        const name = (Object.keys(this.patterns) as Name[]).find(
          (key) => this.has(key) && this.patterns[key]?.test(text)
        )
        if (name !== undefined) this.off.add(name)
        // A sibling call may have turned the same feature off meanwhile: then this one is worth a repeat as well.
        else if (this.off.size === before) throw error
      }
    }
  }
}
