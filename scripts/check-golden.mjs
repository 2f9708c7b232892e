// npm run check:golden -- FOLDER [MODELS]: compares this build with golden values of its peers. FOLDER is laid out as
// models/NAME/, rl/, NAME-instruct.json; MODELS holds the real models that the latter speak of. What is absent or not
// supported is skipped with a line. The RL cases run on the f64 reference, on the processor's float32 kernels of every
// instruction set it has, and on the CUDA kernels: on a GPU where there is one, and compiled for the processor.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { checkModels } from './check-golden/models.mjs'
import { root } from './install.mjs'
import { run } from './native-tests.mjs'

const [folder, models] = process.argv.slice(2)
if (!folder || !existsSync(folder)) {
  console.error('usage: npm run check:golden -- FOLDER [MODELS]   (FOLDER: golden values; MODELS: real models)')
  process.exit(2)
}
const adjudge = await import('../dist/index.js')
const { loadAddon } = await import('../dist/binding/load.js')

let failed = 0

function printWorst(subject, worst) {
  for (const [kind, value] of Object.entries(worst)) {
    if (value > 0) console.log(`worst    ${subject} ${kind}: ${value.toExponential(2)}`)
  }
}

async function printModels() {
  const { met, notMet, skipped, worst } = await checkModels(
    folder,
    adjudge,
    (path) => loadAddon().readSafetensors(path),
    models
  )
  for (const { name, reason } of notMet) console.log(`not met  models: ${name}: ${reason}`)
  for (const line of skipped) console.log(`skipped  ${line}`)
  printWorst('models', worst)
  console.log(`models: ${met} met, ${notMet.length} not met`)
  failed += notMet.length
}

/** The library of CUDA kernels compiled for the processor; the same that scripts/check-gpu --host builds. */
async function hostKernels() {
  const build = join('build', 'check-gpu-host')
  const configured = await run('cmake', ['-S', '.', '-B', build, '-DADJUDGE_CHECK=ON'])
  const target = ['--build', build, '--target', 'adjudge_cuda_host', '--parallel', String(availableParallelism())]
  const built = configured.code === 0 ? await run('cmake', target) : configured
  if (built.code !== 0) console.log(`skipped  rl cuda on the processor: it does not build: ${built.output.trim()}`)
  return built.code === 0 ? join(root, build, 'Release', 'adjudge_cuda_host.so') : null
}

const stateNames = { notMet: 'not met', threshold: 'rounding', noKernel: 'no kernel', skipped: 'skipped' }

function printRl(subject, { sources, lines, worst }) {
  const counts = new Map()
  for (const { state, name, reason } of lines) {
    const line = `${stateNames[state].padEnd(10)}${subject}: `
    if (state === 'notMet' || state === 'threshold') console.log(`${line}${name}: ${reason}`)
    else counts.set(line + reason, (counts.get(line + reason) ?? 0) + 1)
  }
  for (const [line, count] of counts) console.log(`${line} (${count} cases)`)
  printWorst(subject, worst)
  const totals = { met: 0, notMet: 0, threshold: 0, noKernel: 0, skipped: 0 }
  const words = (counted) => {
    const parts = [`${counted.met} met`, `${counted.notMet} not met`]
    if (counted.threshold > 0) parts.push(`${counted.threshold} decided by rounding at a threshold`)
    if (counted.noKernel > 0) parts.push(`${counted.noKernel} without a kernel`)
    if (counted.skipped > 0) parts.push(`${counted.skipped} skipped`)
    return parts.join(', ')
  }
  for (const [source, counted] of Object.entries(sources)) {
    for (const state of Object.keys(totals)) totals[state] += counted[state]
    console.log(`  ${source}: ${words(counted)}`)
  }
  console.log(`${subject}: ${words(totals)}`)
  failed += totals.notMet
}

/** One backend, in a process of its own. */
function checkRl(name, backend, env = {}) {
  const script = fileURLToPath(new URL('./check-golden/rl-run.mjs', import.meta.url))
  const { status, stdout, stderr } = spawnSync(process.execPath, [script, folder, backend], {
    encoding: 'utf8',
    env: { ...process.env, ...env },
    maxBuffer: 2 ** 28
  })
  if (status !== 0) {
    console.log(`not met  rl ${name}: the process failed: ${stderr.trim()}`)
    failed++
    return
  }
  const result = JSON.parse(stdout)
  if (result.absent) console.log(`skipped  rl ${name}: ${result.absent}`)
  else printRl(`rl ${name}`, result)
}

await printModels()
if (existsSync(join(folder, 'rl'))) {
  checkRl('reference', 'reference')
  for (const set of ['avx512', 'avx2', 'portable']) checkRl(`cpu ${set}`, 'cpu', { ADJUDGE_ISA: set })
  checkRl('cuda', 'cuda')
  const library = await hostKernels()
  if (library) checkRl('cuda on the processor', 'cuda', { ADJUDGE_CUDA_LIBRARY: library })
}
process.exit(failed > 0 ? 1 : 0)
