/** A bar on a terminal; elsewhere a plain line now and then. All of it goes to stderr, results go to stdout. */
import { SingleBar } from 'cli-progress'

export interface Progress {
  update(done: number, note: string): void
  stop(): void
}

/** Milliseconds between plain lines. */
const pause = 10_000

export function startProgress(total: number, unit: string): Progress {
  if (process.stderr.isTTY) {
    const bar = new SingleBar({
      format: `{bar} {value}/{total} ${unit}  {note}  {eta_formatted} left`,
      stream: process.stderr,
      hideCursor: true,
      clearOnComplete: true
    })
    bar.start(total, 0, { note: '' })
    return { update: (done, note) => bar.update(done, { note }), stop: () => bar.stop() }
  }
  let last = performance.now()
  return {
    update: (done, note) => {
      if (performance.now() - last < pause) return
      last = performance.now()
      console.error(`${done}/${total} ${unit}  ${note}`)
    },
    stop: () => undefined
  }
}
