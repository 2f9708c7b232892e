/** `adjudge doctor`: what this machine has, whether the engine loads, and which providers answer. */
import { readFileSync } from 'node:fs'
import { availableParallelism, cpus, freemem, totalmem } from 'node:os'
import { Command } from 'commander'
import { loadAddon } from '../binding/load.js'
import { probeProvider, type ProviderName } from '../judge/index.js'
import { outColors } from './colors.js'

interface DoctorOptions {
  baseUrl?: string
  provider: boolean
}

interface Line {
  name: string
  good: boolean
  detail: string
}

export const doctorCommand = (): Command =>
  new Command('doctor')
    .description('show processor, memory, native engine, GPU, and which judge providers can be reached')
    .option('--base-url <url>', 'also try this OpenAI-compatible server')
    .option('--no-provider', 'try no provider')
    .action(async (options: DoctorOptions) => {
      const lines = [processor(), memory(), { name: 'node', good: true, detail: process.version }, engine(), gpu()]
      for (const line of [...lines, ...(await providers(options))]) {
        console.log(
          `${line.good ? outColors.green('ok  ') : outColors.yellow('no  ')} ${line.name.padEnd(10)} ${line.detail}`
        )
      }
    })

function processor(): Line {
  const model = cpus()[0]?.model.trim() ?? process.arch
  return { name: 'processor', good: true, detail: `${model}, ${availableParallelism()} cores, ${instructionSets()}` }
}

/** What of our kernels' instruction sets the processor offers. */
function instructionSets(): string {
  if (process.arch !== 'x64' || process.platform !== 'linux') return process.arch
  const flags = new Set(/^flags\s*:(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1]?.split(' '))
  const offered = ['avx2', 'avx512f', 'avx512_bf16'].filter((flag) => flags.has(flag))
  return offered.length > 0 ? `offers ${offered.join(', ')}` : 'offers neither AVX2 nor AVX-512'
}

function memory(): Line {
  const inGiB = (bytes: number): string => (bytes / 2 ** 30).toFixed(1)
  // A container may have less than the machine.
  const limit = process.constrainedMemory()
  const total = limit > 0 && limit < totalmem() ? limit : totalmem()
  const free = Math.min(process.availableMemory?.() ?? freemem(), total)
  return { name: 'memory', good: true, detail: `${inGiB(free)} GiB free of ${inGiB(total)} GiB` }
}

function engine(): Line {
  try {
    const addon = loadAddon()
    return { name: 'engine', good: true, detail: `native addon, kernels for ${addon.instructionSet()}` }
  } catch (error) {
    return { name: 'engine', good: false, detail: (error as Error).message }
  }
}

function gpu(): Line {
  try {
    const cuda = loadAddon().cudaState()
    if (cuda.hostShim) {
      const detail = `none: ${cuda.library} is the host shim, CUDA kernels that run on the processor (for tests)`
      return { name: 'gpu', good: false, detail }
    }
    if (!cuda.usable) return { name: 'gpu', good: false, detail: cuda.reason }
    const memory = `${(cuda.bytes / 2 ** 30).toFixed(1)} GiB, compute capability ${cuda.capability}`
    const detail = `${cuda.name}, ${memory}, driver for CUDA ${cuda.driver}, kernels by ${cuda.build}`
    return { name: 'gpu', good: true, detail }
  } catch {
    return { name: 'gpu', good: false, detail: 'cannot be asked without the engine' }
  }
}

async function providers(options: DoctorOptions): Promise<Line[]> {
  const asked: { name: string; provider: ProviderName; baseURL?: string }[] = []
  if (options.provider) {
    asked.push(...(['openai', 'anthropic', 'ollama'] as const).map((provider) => ({ name: provider, provider })))
  }
  if (options.baseUrl !== undefined) asked.push({ name: 'server', provider: 'openai', baseURL: options.baseUrl })
  return Promise.all(
    asked.map(async ({ name, ...probe }) => {
      const { reachable, detail } = await probeProvider(probe)
      return { name, good: reachable, detail }
    })
  )
}
