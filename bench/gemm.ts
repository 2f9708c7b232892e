/** Matrix products of bench/native beside the processor's peak. */
import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'
import type { Figures } from './ledger/record.js'
import { runNative } from './native.js'
import { wholeNumber } from './suite.js'

const help = `npm run bench -- gemm [options]
  --threads N      (all processors)
  --isa NAME       avx512bf16, avx512, avx2, portable (the widest that the processor has)
  --tokens N       rows of the training shapes (2348: 4 prompts of 75 tokens and 32 completions of 64)
  --openblas FILE  its shared library (looked for as libopenblas.so.0)`

export async function main(args: string[]): Promise<Figures | undefined> {
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
  if (values.help) return void console.log(help)
  const [threads, tokens] = [wholeNumber('threads', values.threads), wholeNumber('tokens', values.tokens)]
  const env = values.isa ? { ADJUDGE_ISA: values.isa } : {}
  const { figures } = runNative('gemm', (json) => [String(threads), String(tokens), values.openblas, json], { env })
  // Another instruction set than the processor's widest is another machine to the ledger.
  return values.isa ? undefined : figures
}
