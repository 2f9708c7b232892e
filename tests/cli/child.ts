/** The command line in a process of its own, for what a process has to itself: signals, its user, its end. */
import { spawn, type ChildProcess } from 'node:child_process'
import { fileURLToPath } from 'node:url'

export interface Child {
  process: ChildProcess
  /** What it has printed so far. */
  readonly out: string
  readonly err: string
  /** Exit code, or the signal that ended it. */
  ended: Promise<number | NodeJS.Signals>
}

const loader = new URL('../judge/typescript.mjs', import.meta.url).href

export const startCli = (args: string[], options: { uid?: number; input?: string } = {}): Child =>
  startScript(new URL('../../src/cli/index.ts', import.meta.url), args, options)

/** Runs a TypeScript file. */
export function startScript(script: URL, args: string[], options: { uid?: number; input?: string } = {}): Child {
  const child = spawn(process.execPath, ['--import', loader, fileURLToPath(script), ...args], {
    stdio: [options.input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    ...(options.uid === undefined ? {} : { uid: options.uid, gid: options.uid })
  })
  child.stdin?.end(options.input)
  const printed = { out: '', err: '' }
  child.stdout!.on('data', (chunk: Buffer) => (printed.out += chunk.toString()))
  child.stderr!.on('data', (chunk: Buffer) => (printed.err += chunk.toString()))
  const ended = new Promise<number | NodeJS.Signals>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) => resolve(signal ?? code ?? -1))
  })
  return {
    process: child,
    ended,
    get out() {
      return printed.out
    },
    get err() {
      return printed.err
    }
  }
}

/** Waits for a condition; gives up with what the child said where it has ended meanwhile. */
export async function until(condition: () => boolean, child: Child): Promise<void> {
  let over = false
  void child.ended.then(() => (over = true))
  while (!condition()) {
    if (over) throw new Error(`the command has ended: ${child.out}${child.err}`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}
