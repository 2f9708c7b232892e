/** Worker threads for the users' grading code, shared by the graders of the process. */
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { Piscina } from 'piscina'

export interface CodeTask {
  source: string
  /** Stands in the stack of an error. */
  filename: string
  /** Milliseconds. */
  timeout: number
  /** JSON of {sample, item}; absent: the source is only checked. */
  input?: string
}

export interface CodeResult {
  result?: number
  error?: string
}

export interface CodeWorkers {
  /** Rejects where the thread came to its end, by its memory limit for example. */
  run(task: CodeTask): Promise<CodeResult>
  close(): Promise<void>
}

interface SharedPool {
  pool: Piscina<CodeTask, CodeResult>
  users: number
}

const pools = new Map<number, SharedPool>()

/** `memory`: megabytes of JavaScript objects in a thread. One pool per limit; the last user's `close` ends it. */
export function openCodeWorkers(memory: number): CodeWorkers {
  let shared = pools.get(memory)
  if (!shared) pools.set(memory, (shared = { pool: poolOf(memory), users: 0 }))
  shared.users++
  const { pool } = shared
  let open = true
  return {
    run: (task) => pool.run(task),
    close: async () => {
      if (!open) return
      open = false
      if (--shared.users > 0) return
      pools.delete(memory)
      await pool.destroy()
    }
  }
}

function poolOf(memory: number): Piscina<CodeTask, CodeResult> {
  return new Piscina({
    filename: fileURLToPath(new URL('./javascriptWorker.mjs', import.meta.url)),
    minThreads: 0,
    maxThreads: Math.min(4, availableParallelism()),
    idleTimeout: 10_000,
    // Keys of the environment are none of the code's business, nor are the loaders of this process.
    env: {},
    execArgv: [],
    argv: [],
    resourceLimits: { maxOldGenerationSizeMb: memory, maxYoungGenerationSizeMb: Math.max(4, Math.ceil(memory / 8)) }
  })
}
