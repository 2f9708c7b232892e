/** Ctrl-C as a signal: the first one asks the work to end in order, the second one ends the process. */

/** The command was stopped in order and has said so: it ends with exit code 130 and no further message. */
export class Stopped extends Error {}

export interface Interrupt extends Disposable {
  readonly signal: AbortSignal
}

export function onInterrupt(message: string): Interrupt {
  const controller = new AbortController()
  const handle = (): void => {
    if (controller.signal.aborted) process.exit(130)
    console.error(`\n${message} (Ctrl-C once more ends at once)`)
    controller.abort()
  }
  process.on('SIGINT', handle)
  process.on('SIGTERM', handle)
  return {
    signal: controller.signal,
    [Symbol.dispose]: () => {
      process.off('SIGINT', handle)
      process.off('SIGTERM', handle)
    }
  }
}
