/**
 * Benchmarks: `npm run bench -- NAME [OPTIONS]`, on an idle machine. They measure the built package (npm run build).
 *
 *   grpo-step   one training step of GRPO, against a peer where one is given
 *   gemm        matrix products, against the processor's peak and, where it is installed, OpenBLAS
 *   javascript  what runs in JavaScript: tokenizer, chat template, graders
 */
const benchmarks: Record<string, () => Promise<{ main: (args: string[]) => Promise<void> }>> = {
  'grpo-step': () => import('./grpo-step/main.js'),
  gemm: () => import('./gemm.js'),
  javascript: () => import('./javascript.js')
}

const [name = '', ...args] = process.argv.slice(2)
const load = benchmarks[name]
if (!load) {
  console.error(`usage: npm run bench -- ${Object.keys(benchmarks).join(' | ')} [options; --help tells them]`)
  process.exit(2)
}
try {
  const { main } = await load()
  await main(args)
} catch (error) {
  console.error(`bench: ${(error as Error).message}`)
  process.exitCode = 1
}
