/** A bar on a terminal; elsewhere a plain line now and then. All of it goes to stderr, results go to stdout. */
import { SingleBar } from 'cli-progress'

export interface Progress {
  /** `share` of the whole, in [0, 1], where the total is not known as a number. */
  update(done: number, note: string, share?: number | null): void
  /** A line of its own, above the bar. */
  say(line: string): void
  stop(): void
}

/** `total`: null where it is not known beforehand. `pause`: least milliseconds between plain lines. */
export function startProgress(total: number | null, unit: string, pause = 10_000): Progress {
  if (process.stderr.isTTY) return new Bar(total, unit)
  let last = performance.now()
  return {
    update: (done, note, share) => {
      if (performance.now() - last < pause) return
      last = performance.now()
      console.error(`${counted(done, total, unit, share)}  ${note}`)
    },
    say: (line) => console.error(line),
    stop: () => undefined
  }
}

function counted(done: number, total: number | null, unit: string, share: number | null | undefined): string {
  if (total !== null) return `${done}/${total} ${unit}`
  return share === null || share === undefined ? `${done} ${unit}` : `${done} ${unit} (${Math.floor(share * 100)} %)`
}

/** What the bar is divided into where there is no total. */
const steps = 1000

class Bar implements Progress {
  private readonly bar: SingleBar
  private value = 0
  private payload = { count: '', note: '' }

  constructor(
    private readonly total: number | null,
    private readonly unit: string
  ) {
    this.bar = new SingleBar({
      format: `{bar} {count}  {note}`,
      barsize: 20,
      stream: process.stderr,
      hideCursor: true,
      clearOnComplete: true
    })
    this.payload.count = counted(0, total, unit, null)
    this.bar.start(total ?? steps, 0, this.payload)
  }

  update(done: number, note: string, share?: number | null): void {
    this.value = this.total === null ? Math.round((share ?? 0) * steps) : done
    this.payload = { count: counted(done, this.total, this.unit, share), note }
    this.bar.update(this.value, this.payload)
  }

  say(line: string): void {
    this.bar.stop()
    console.error(line)
    this.bar.start(this.total ?? steps, this.value, this.payload)
  }

  stop(): void {
    this.bar.stop()
  }
}
