/** Ctrl-C as a signal: the first one asks the work to end in order, the second one ends the process. */

import type { Command } from 'commander'
import { Exit, exitCodes } from './exit.js'

/** The command was stopped in order and has said so: it ends with exit code 130 and no further message. */
export class Stopped extends Exit {
  constructor() {
    super(exitCodes.stopped)
  }
}

/** The command as it was typed, quoted for a shell. */
export function commandLine(command: Command): string {
  let root = command
  while (root.parent) root = root.parent
  const { rawArgs } = root as unknown as { rawArgs: string[] }
  const words = rawArgs.map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`))
  return ['adjudge', ...words].join(' ')
}

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
