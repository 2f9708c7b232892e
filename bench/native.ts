/** Builds the programs of bench/native with CMake (-DADJUDGE_BENCH=ON) and runs them. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Figure, Figures } from './ledger/record.js'

const root = fileURLToPath(new URL('..', import.meta.url))
const folder = join(root, 'build', 'bench')

export interface NativeFigures {
  figures: Figures
  /** What each share is of, in GB/s or GFLOP/s. */
  beside: Record<string, number>
}

/**
 * Builds bench_NAME and runs it; its table goes to this process's output unless `quiet`. `argumentsWith` gets the file
 * that its figures belong in.
 * @throws Error where a command fails.
 */
export function runNative(
  name: string,
  argumentsWith: (json: string) => string[],
  { env = {}, quiet = false }: { env?: NodeJS.ProcessEnv; quiet?: boolean } = {}
): NativeFigures {
  const show = process.stderr.isTTY && !quiet
  if (show) process.stderr.write('building bench/native ...\r')
  run('cmake', ['-S', root, '-B', folder, '-DADJUDGE_BENCH=ON', '-DCMAKE_BUILD_TYPE=Release'], 'ignore')
  const jobs = String(availableParallelism())
  run('cmake', ['--build', folder, '--target', `bench_${name}`, '--parallel', jobs], 'ignore')
  const temporary = mkdtempSync(join(tmpdir(), 'adjudge-bench-'))
  try {
    const json = join(temporary, 'figures.json')
    run(join(folder, `bench_${name}`), argumentsWith(json), quiet ? 'ignore' : 'inherit', { ...process.env, ...env })
    const read = JSON.parse(readFileSync(json, 'utf8')) as { figures: (Figure & { name: string; beside: number })[] }
    return {
      figures: Object.fromEntries(
        read.figures.map(({ name, value, low, high, unit }) => [name, { value, low, high, unit }])
      ),
      beside: Object.fromEntries(read.figures.map(({ name, beside }) => [name, beside]))
    }
  } finally {
    rmSync(temporary, { recursive: true, force: true })
  }
}

function run(
  command: string,
  args: string[],
  stdout: 'ignore' | 'inherit',
  env: NodeJS.ProcessEnv = process.env
): void {
  const { status, error } = spawnSync(command, args, { stdio: ['ignore', stdout, 'inherit'], env })
  if (error) throw error
  if (status !== 0) throw new Error(`${command} ended with code ${status}`)
}
