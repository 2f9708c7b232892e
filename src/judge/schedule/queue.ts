/** Waiting calls: training before audit, retries before first attempts, otherwise in the order they came. */

export const priorities = ['training', 'audit'] as const
export type Priority = (typeof priorities)[number]

export interface Waiting {
  /** The judge's own limit of calls in flight. */
  readonly limit: number
  readonly priority: Priority
  readonly retry: boolean
  /** Set where it was given up; it is skipped then. */
  gone?: boolean
  order?: number
}

/** Calls of equal standing and limit: only the first of them need be looked at. */
class Lane<Entry extends Waiting> {
  private entries: Entry[] = []
  private head = 0

  constructor(
    readonly rank: number,
    readonly limit: number
  ) {}

  push(entry: Entry): void {
    this.entries.push(entry)
  }

  first(): Entry | undefined {
    while (this.head < this.entries.length && this.entries[this.head]!.gone) this.head++
    if (this.head > 1024 && this.head * 2 > this.entries.length) {
      this.entries = this.entries.slice(this.head)
      this.head = 0
    }
    return this.entries[this.head]
  }

  shift(): void {
    this.head++
  }

  *[Symbol.iterator](): Generator<Entry> {
    for (let index = this.head; index < this.entries.length; index++) {
      if (!this.entries[index]!.gone) yield this.entries[index]!
    }
  }
}

export class WaitingQueue<Entry extends Waiting> {
  /** In the order of their ranks. */
  private readonly lanes: Lane<Entry>[] = []
  private counter = 0
  private waiting = 0

  get length(): number {
    return this.waiting
  }

  push(entry: Entry): void {
    entry.order = this.counter++
    this.waiting++
    this.laneOf(entry).push(entry)
  }

  /** The first of those that need no more than `active` calls to be in flight. */
  next(active: number): Entry | undefined {
    let best: Entry | undefined
    let rank = Infinity
    for (const lane of this.lanes) {
      if (lane.rank > rank) break
      if (active >= lane.limit) continue
      const entry = lane.first()
      if (entry && (!best || entry.order! < best.order!)) [best, rank] = [entry, lane.rank]
    }
    return best
  }

  /** Takes out what `next` gave. */
  start(entry: Entry): void {
    this.laneOf(entry).shift()
    this.waiting--
  }

  remove(entry: Entry): void {
    entry.gone = true
    this.waiting--
  }

  *[Symbol.iterator](): Generator<Entry> {
    for (const lane of this.lanes) yield* lane
  }

  private laneOf({ priority, retry, limit }: Waiting): Lane<Entry> {
    const rank = priorities.indexOf(priority) * 2 + (retry ? 0 : 1)
    let lane = this.lanes.find((other) => other.rank === rank && other.limit === limit)
    if (!lane) {
      lane = new Lane(rank, limit)
      this.lanes.push(lane)
      this.lanes.sort((a, b) => a.rank - b.rank)
    }
    return lane
  }
}
