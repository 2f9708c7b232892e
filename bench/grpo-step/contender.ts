/** A process that does one step whenever it is told to, and its memory. */
import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import type { StepResult } from './task.js'

export interface ContenderCommand {
  name: string
  command: string
  args: string[]
  env: NodeJS.ProcessEnv
}

/** Kibibytes of a line of /proc/PID/status, as bytes; 0 where there is none. */
function statusBytes(pid: number, field: string): number {
  try {
    const line = new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'))
    return Number(line?.[1] ?? 0) * 1024
  } catch {
    return 0
  }
}

/** Speaks one JSON object a line: the child says `{"ready": "..."}`, then answers each `step` with a StepResult. */
export class Contender {
  readonly results: StepResult[] = []
  /** Highest anonymous memory seen, in bytes, looked at every 10 ms. */
  peakAnonymous = 0
  /** Highest memory of all kinds (VmHWM), mapped files included. */
  peakResident = 0
  description = ''
  private readonly lines: AsyncIterator<string>
  private readonly watch: NodeJS.Timeout
  private errors = ''

  private constructor(
    readonly name: string,
    private readonly child: ChildProcessWithoutNullStreams
  ) {
    this.lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
    child.stderr.on('data', (chunk: Buffer) => (this.errors = (this.errors + chunk.toString()).slice(-4000)))
    this.watch = setInterval(() => {
      this.peakAnonymous = Math.max(this.peakAnonymous, statusBytes(child.pid!, 'RssAnon'))
      this.peakResident = Math.max(this.peakResident, statusBytes(child.pid!, 'VmHWM'))
    }, 10)
  }

  /** Resolves when the process has loaded its model. */
  static async start({ name, command, args, env }: ContenderCommand): Promise<Contender> {
    const child = spawn(command, args, { env })
    await Promise.race([once(child, 'spawn'), once(child, 'error').then(([error]) => Promise.reject(error as Error))])
    const contender = new Contender(name, child)
    try {
      contender.description = (await contender.receive<{ ready: string }>()).ready
      return contender
    } catch (error) {
      await contender.end()
      throw error
    }
  }

  async step(): Promise<StepResult> {
    this.child.stdin.write('step\n')
    return this.receive<StepResult>()
  }

  /** A step that counts. */
  async measure(): Promise<StepResult> {
    const result = await this.step()
    this.results.push(result)
    return result
  }

  async end(): Promise<void> {
    clearInterval(this.watch)
    if (this.child.exitCode !== null || this.child.signalCode !== null) return
    const closed = once(this.child, 'close')
    this.child.stdin.end()
    this.child.kill()
    await closed
  }

  /** The next line that is JSON: what libraries print on the way is passed over. */
  private async receive<T>(): Promise<T> {
    for (;;) {
      const line = await this.lines.next()
      if (line.done) throw new Error(`${this.name} ended before it answered:\n${this.errors}`)
      if (line.value.startsWith('{')) return JSON.parse(line.value) as T
    }
  }
}
