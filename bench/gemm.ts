/** Builds bench/native with CMake (-DADJUDGE_BENCH=ON) and runs its matrix products. */
import { spawnSync } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

const help = `npm run bench -- gemm [options]
  --threads N      (all processors)
  --isa NAME       avx512bf16, avx512, avx2, portable (the widest that the processor has)
  --tokens N       rows of the training shapes (2348: 4 prompts of 75 tokens and 32 completions of 64)
  --openblas FILE  its shared library (looked for as libopenblas.so.0)`

export async function main(args: string[]): Promise<void> {
  const { values } = parseArgs({
    args,
    options: {
      threads: { type: 'string', default: String(availableParallelism()) },
      isa: { type: 'string' },
      tokens: { type: 'string', default: '2348' },
      openblas: { type: 'string', default: '' },
      help: { type: 'boolean', default: false }
    }
  })
  if (values.help) return console.log(help)
  const root = fileURLToPath(new URL('..', import.meta.url))
  const folder = 'build/bench'
  run('cmake', ['-S', root, '-B', `${root}${folder}`, '-DADJUDGE_BENCH=ON', '-DCMAKE_BUILD_TYPE=Release'], 'ignore')
  run('cmake', ['--build', `${root}${folder}`, '--target', 'bench_gemm', '--parallel', values.threads], 'ignore')
  const env = { ...process.env, ...(values.isa ? { ADJUDGE_ISA: values.isa } : {}) }
  run(`${root}${folder}/bench_gemm`, [values.threads, values.tokens, values.openblas], 'inherit', env)
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
