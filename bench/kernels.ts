/** The kernels of native/rl beside their floors (bench/native/rl.cpp). */
import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'
import type { Figures } from './ledger/record.js'
import { runNative } from './native.js'
import { wholeNumber } from './suite.js'

const help = `npm run bench -- kernels [options]      RL kernels beside plain loops over the same bytes, in turns
  --threads N   (all processors)
  --rounds N    rounds that count (9; a case stops after three where it is slow)
  --only TEXT   the cases whose name has it
  --isa NAME    avx512, avx2, portable (the widest that the processor has)
  --quick       arrays of a sixteenth: a look, not a measurement`

export async function main(args: string[]): Promise<Figures | undefined> {
  const { values } = parseArgs({
    args,
    options: {
      threads: { type: 'string', default: String(availableParallelism()) },
      rounds: { type: 'string', default: '9' },
      only: { type: 'string', default: '' },
      isa: { type: 'string' },
      quick: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false }
    }
  })
  if (values.help) return void console.log(help)
  const threads = wholeNumber('threads', values.threads)
  const options = ['--threads', String(threads), '--rounds', String(wholeNumber('rounds', values.rounds))]
  if (values.only) options.push('--only', values.only)
  if (values.quick) options.push('--quick')
  const { figures } = runNative('rl', (json) => [...options, '--json', json], {
    env: values.isa ? { ADJUDGE_ISA: values.isa } : {}
  })
  // Only whole, comparable runs are worth a line of the ledger.
  const partial = values.only || values.quick || values.isa || threads !== availableParallelism()
  return partial ? undefined : figures
}
