/** The slow tail of a model's calls: after how long a second, equal call is worth its price, and how many may be sent. */

const samples = 256
const fewestSamples = 50
/** Below that many milliseconds a second call gains nothing that matters. */
const shortest = 20

export class SlowTail {
  private readonly latencies = new Float64Array(samples)
  private count = 0
  private known = Infinity
  private calls = 0
  /** Second calls so far. */
  hedges = 0

  /** Milliseconds after which a call is slow (the 95th percentile of the last 256); Infinity while too few are known. */
  get threshold(): number {
    return this.known
  }

  sent(): void {
    this.calls++
  }

  finished(milliseconds: number): void {
    this.latencies[this.count++ % samples] = milliseconds
    // Sorting is not for every call.
    if (this.count < fewestSamples || (this.known !== Infinity && this.count % 16 !== 0)) return
    const sorted = this.latencies.slice(0, Math.min(this.count, samples)).sort()
    this.known = Math.max(shortest, sorted[Math.floor(0.95 * (sorted.length - 1))]!)
  }

  /** Whether a second call keeps within the share of all calls. */
  allows(share: number): boolean {
    return this.hedges + 1 <= share * this.calls
  }
}
