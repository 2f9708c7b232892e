/** A process that answers whenever it is asked, and its memory. */
import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'

/** The environment of a peer: a forced OpenBLAS kernel would hold it back; its own choice is the best one. */
export function peerEnvironment(threads: number): NodeJS.ProcessEnv {
  const { OPENBLAS_CORETYPE: _type, OPENBLAS_L2_SIZE: _size, ...env } = process.env
  return { ...env, OMP_NUM_THREADS: String(threads), TOKENIZERS_PARALLELISM: 'false', HF_HUB_OFFLINE: '1' }
}

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

/** The child says `{"ready": "..."}`, then answers each line it gets with one JSON object a line. */
export class Contender<Answer> {
  readonly results: Answer[] = []
  /** Highest anonymous memory seen, in bytes, looked at every 10 ms. */
  peakAnonymous = 0
  /** Highest memory of all kinds (VmHWM), mapped files included. */
  peakResident = 0
  description = ''
  /** What it can be asked, where it says so. */
  cases: string[] = []
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
  static async start<Answer>({ name, command, args, env }: ContenderCommand): Promise<Contender<Answer>> {
    const child = spawn(command, args, { env })
    await Promise.race([once(child, 'spawn'), once(child, 'error').then(([error]) => Promise.reject(error as Error))])
    const contender = new Contender<Answer>(name, child)
    try {
      const { ready, cases = [] } = await contender.receive<{ ready: string; cases?: string[] }>()
      contender.description = ready
      contender.cases = cases
      return contender
    } catch (error) {
      await contender.end()
      throw error
    }
  }

  async ask(line: string): Promise<Answer> {
    this.child.stdin.write(`${line}\n`)
    return this.receive<Answer>()
  }

  /** A step that counts. */
  async measure(line: string): Promise<Answer> {
    const result = await this.ask(line)
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
  private async receive<Line>(): Promise<Line> {
    for (;;) {
      const line = await this.lines.next()
      if (line.done) throw new Error(`${this.name} ended before it answered:\n${this.errors}`)
      if (line.value.startsWith('{')) return JSON.parse(line.value) as Line
    }
  }
}
