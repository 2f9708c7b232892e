/** What the judges of the process do: counters, histograms, gauges as Prometheus text, and events. */
import type { UnscoredReason, Usage } from './types.js'

export type Labels = Readonly<Record<string, string>>

export interface TelemetryEvents {
  verdict: {
    judge: string
    score: number | null
    reason?: UnscoredReason
    usage: Usage
    /** US dollars; null = unknown. */
    cost: number | null
    /** Milliseconds. */
    latency: number
    cached: boolean
  }
  attempt: { provider: string; model: string; outcome: 'ok' | UnscoredReason; milliseconds: number }
  hedge: { provider: string; model: string; afterMilliseconds: number }
  /** A key waits: the server said so (`rate_limited`) or does not answer (`unreachable`). */
  pause: { key: string; reason: 'rate_limited' | 'unreachable'; milliseconds: number }
  /** A server answers again. */
  resume: { key: string }
  /** A verdict came from the fallback judge. */
  fallback: { judge: string; by: string; reason: UnscoredReason }
  /** Two members of a cascade no longer agree: `recent` is their agreement, in [0, 1], over the last pairs. */
  drift: { judge: string; pair: string; recent: number }
}

/** One number with fixed labels, held by whoever counts so that nothing is looked up per call. */
export class Counter {
  value = 0
  add(amount = 1): void {
    this.value += amount
  }
}

export class Histogram {
  private readonly counts: Float64Array
  private sum = 0

  /** `bounds`: upper ends of the buckets, ascending. */
  constructor(readonly bounds: readonly number[]) {
    this.counts = new Float64Array(bounds.length + 1)
  }

  observe(value: number): void {
    let index = 0
    while (index < this.bounds.length && value > this.bounds[index]!) index++
    this.counts[index]!++
    this.sum += value
  }

  lines(name: string, labels: Labels): string[] {
    let total = 0
    const buckets = [...this.bounds, Infinity].map((bound, index) => {
      total += this.counts[index]!
      const le = bound === Infinity ? '+Inf' : String(bound)
      return `${name}_bucket${labelText({ ...labels, le })} ${total}`
    })
    return [...buckets, `${name}_sum${labelText(labels)} ${this.sum}`, `${name}_count${labelText(labels)} ${total}`]
  }
}

type Kind = 'counter' | 'histogram' | 'gauge'
interface Series {
  labels: Labels
  lines(name: string): string[]
}
interface Family {
  kind: Kind
  help: string
  series: Map<string, Series & { value: Counter | Histogram }>
  collect?: () => Iterable<readonly [Labels, number]>
}

/** Seconds: from a local server's milliseconds to a slow reasoning model's minutes. */
export const secondsBounds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300]

export class Telemetry {
  private readonly families = new Map<string, Family>()
  private readonly listeners = new Map<string, Set<(event: never) => void>>()

  /** Calls `listener` at every event of that name; the result takes it off again. What it throws is its own affair. */
  on<Name extends keyof TelemetryEvents>(name: Name, listener: (event: TelemetryEvents[Name]) => void): () => void {
    let set = this.listeners.get(name)
    if (!set) this.listeners.set(name, (set = new Set()))
    set.add(listener)
    return () => void set.delete(listener)
  }

  /** `event` makes what is told, only where somebody listens. */
  emit<Name extends keyof TelemetryEvents>(name: Name, event: () => TelemetryEvents[Name]): void {
    const set = this.listeners.get(name)
    if (!set || set.size === 0) return
    const told = event()
    for (const listener of set) {
      try {
        ;(listener as (event: TelemetryEvents[Name]) => void)(told)
      } catch (error) {
        // A verdict must not fail because somebody who watches does.
        process.emitWarning(error as Error)
      }
    }
  }

  /** The counter of that name and those labels, the same object each time. Names end in `_total`. */
  counter(name: string, help: string, labels: Labels = {}): Counter {
    return this.series(name, 'counter', help, labels, () => {
      const value = new Counter()
      return { value, labels, lines: (full) => [`${full}${labelText(labels)} ${value.value}`] }
    }) as Counter
  }

  histogram(name: string, help: string, labels: Labels = {}, bounds: readonly number[] = secondsBounds): Histogram {
    return this.series(name, 'histogram', help, labels, () => {
      const value = new Histogram(bounds)
      return { value, labels, lines: (full) => value.lines(full, labels) }
    }) as Histogram
  }

  /** A number that is looked up when it is asked for. */
  gauge(name: string, help: string, collect: () => Iterable<readonly [Labels, number]>): void {
    this.families.set(name, { kind: 'gauge', help, series: new Map(), collect })
  }

  /** Everything, in Prometheus' text format 0.0.4. */
  prometheus(): string {
    const lines: string[] = []
    for (const [name, family] of [...this.families].sort(([a], [b]) => (a < b ? -1 : 1))) {
      const rows = [...family.series.values()].flatMap((series) => series.lines(name))
      for (const [labels, value] of family.collect?.() ?? []) rows.push(`${name}${labelText(labels)} ${value}`)
      if (rows.length > 0) lines.push(`# HELP ${name} ${family.help}`, `# TYPE ${name} ${family.kind}`, ...rows)
    }
    return lines.length > 0 ? lines.join('\n') + '\n' : ''
  }

  private series(
    name: string,
    kind: Kind,
    help: string,
    labels: Labels,
    make: () => Series & { value: Counter | Histogram }
  ): Counter | Histogram {
    let family = this.families.get(name)
    if (!family) this.families.set(name, (family = { kind, help, series: new Map() }))
    const text = labelText(labels)
    let series = family.series.get(text)
    if (!series) family.series.set(text, (series = make()))
    return series.value
  }
}

function labelText(labels: Labels): string {
  const parts = Object.entries(labels).map(
    ([name, value]) => `${name}="${value.replace(/\\/g, '\\\\').replace(/"/g, '\\"').replace(/\n/g, '\\n')}"`
  )
  return parts.length > 0 ? `{${parts.join(',')}}` : ''
}

/** All judges of the process count here. */
export const telemetry = new Telemetry()
