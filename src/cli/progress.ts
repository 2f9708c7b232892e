/** A bar on a terminal; elsewhere a plain line now and then. All of it goes to stderr, results go to stdout. */
import { SingleBar } from 'cli-progress'

export interface Progress {
  update(done: number, note: string): void
  /** A line of its own, above the bar. */
  say(line: string): void
  stop(): void
}

/** `pause`: least milliseconds between plain lines. */
export function startProgress(total: number, unit: string, pause = 10_000): Progress {
  if (process.stderr.isTTY) return new Bar(total, unit)
  let last = performance.now()
  return {
    update: (done, note) => {
      if (performance.now() - last < pause) return
      last = performance.now()
      console.error(`${done}/${total} ${unit}  ${note}`)
    },
    say: (line) => console.error(line),
    stop: () => undefined
  }
}

class Bar implements Progress {
  private readonly bar: SingleBar
  private done = 0
  private note = ''

  constructor(
    private readonly total: number,
    unit: string
  ) {
    this.bar = new SingleBar({
      format: `{bar} {value}/{total} ${unit}  {note}`,
      barsize: 20,
      stream: process.stderr,
      hideCursor: true,
      clearOnComplete: true
    })
    this.bar.start(total, 0, { note: '' })
  }

  update(done: number, note: string): void {
    this.done = done
    this.note = note
    this.bar.update(done, { note })
  }

  say(line: string): void {
    this.bar.stop()
    console.error(line)
    this.bar.start(this.total, this.done, { note: this.note })
  }

  stop(): void {
    this.bar.stop()
  }
}
