/**
 * `npm test`: everything that must be green. Each check, native test and Vitest test counts as one; the last line is
 * `N passed, N failed`. `npm test -- eslint vitest` runs only what is named; `npm run check` only the static checks.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { buildCuda, root } from './install.mjs'
import { checkNativeLayers } from './layers.mjs'
import { buildNativeTests, otherInstructionSets, run, runNativeTests } from './native-tests.mjs'

const nodeModule = createRequire(import.meta.url)
const nativeFolder = 'build'
const total = { passed: 0, failed: 0, skipped: 0 }

/** Runs a package's command with this very node. */
function tool(name, ...args) {
  const folder = join(root, 'node_modules', name)
  const { bin } = nodeModule(join(folder, 'package.json'))
  const command = typeof bin === 'string' ? bin : (bin[name] ?? Object.values(bin)[0])
  return run(process.execPath, [join(folder, command), ...args])
}

const one = ({ code, output }) => ({ passed: code === 0 ? 1 : 0, failed: code === 0 ? 0 : 1, skipped: 0, output })
const skip = (note) => ({ passed: 0, failed: 0, skipped: 1, note })

async function clangFormat() {
  const version = await run('clang-format', ['--version'])
  if (version.code !== 0) return skip('clang-format is not installed')
  const files = readdirSync(join(root, 'native'), { recursive: true })
    .filter((name) => /\.(h|cpp|cu|cuh)$/.test(name))
    .map((name) => `native/${name}`)
  return one(await run('clang-format', ['--dry-run', '--Werror', ...files]))
}

/** In the addon's build folder, so that the engine is compiled once; cmake-js has to set that folder up first. */
async function nativeBuild() {
  if (!existsSync(join(root, nativeFolder, 'CMakeCache.txt'))) {
    const addon = await run(process.execPath, ['scripts/install.mjs', '--build'])
    if (addon.code !== 0) return one(addon)
  }
  return one(await buildNativeTests(nativeFolder))
}

async function nativeTests(folder, isa) {
  const result = await runNativeTests(folder, { isa })
  return { ...result, note: isa ? `ADJUDGE_ISA=${isa}` : undefined }
}

/** The kernels as nvcc sees them, for one kind of device only; in a folder of its own, so that the next time is short. */
async function cudaBuild() {
  const folder = join('build', 'tests', 'cuda')
  let output = ''
  const command = async (name, args, env) => {
    const result = await run(name, args, { env })
    output += result.output
    return result.code
  }
  try {
    const settings = { folder, output: join(root, folder), architectures: '80-real', command }
    return (await buildCuda(settings)) ? one({ code: 0, output }) : skip('nvcc is not installed')
  } catch (error) {
    return one({ code: 1, output: `${output}\n${error.message}` })
  }
}

/** The program of scripts/check-gpu, with the kernels on the processor. */
function checkGpu() {
  const library = join(nativeFolder, 'Release', 'adjudge_cuda_host.so')
  return run(join(root, nativeFolder, 'check_gpu'), ['--host', '--quick', '--library', library])
}

async function vitest() {
  const report = join(root, 'build', 'tests', 'vitest.json')
  mkdirSync(join(root, 'build', 'tests'), { recursive: true })
  rmSync(report, { force: true })
  const result = await tool('vitest', 'run', '--reporter=default', '--reporter=json', `--outputFile.json=${report}`)
  if (!existsSync(report)) return { passed: 0, failed: 1, skipped: 0, output: result.output }
  const summary = JSON.parse(readFileSync(report, 'utf8'))
  // A file that fails before its first test, e.g. by a broken import, has no tests to count.
  const brokenFiles = summary.testResults.filter(
    (file) => file.status === 'failed' && !file.assertionResults.some((test) => test.status === 'failed')
  ).length
  const failed = summary.numFailedTests + brokenFiles
  const crashed = result.code !== 0 && failed === 0 ? 1 : 0
  return {
    passed: summary.numPassedTests,
    failed: failed + crashed,
    skipped: summary.numTotalTests - summary.numPassedTests - summary.numFailedTests,
    output: failed + crashed > 0 ? result.output : ''
  }
}

const checks = [
  ['types', () => tool('typescript', '--noEmit')],
  ['eslint', () => tool('eslint', '.')],
  ['prettier', () => tool('prettier', '--check', '.')],
  ['layers', () => tool('dependency-cruiser', '--config', '.dependency-cruiser.cjs', 'src')],
  [
    'native-layers',
    () => {
      const faults = checkNativeLayers()
      return { code: faults.length === 0 ? 0 : 1, output: faults.join('\n') }
    }
  ]
].map(([name, check]) => [name, async () => one(await check())])

const steps = [
  ...checks,
  ['clang-format', clangFormat],
  ['addon', async () => one(await run(process.execPath, ['scripts/install.mjs', '--build']))],
  ['dist', async () => one(await run(process.execPath, ['scripts/dist.mjs']))],
  ['native-build', nativeBuild],
  ['native', () => nativeTests(nativeFolder)],
  ...otherInstructionSets().map((isa) => [`native-${isa}`, () => nativeTests(nativeFolder, isa)]),
  ['check-gpu', async () => one(await checkGpu())],
  ['cuda', cudaBuild],
  ['vitest', vitest]
]

const named = process.argv.slice(2).filter((argument) => !argument.startsWith('--'))
const unknown = named.filter((name) => !steps.some(([step]) => step === name))
if (unknown.length > 0) {
  console.error(`No step ${unknown.join(', ')}; there are ${steps.map(([step]) => step).join(', ')}`)
  process.exit(2)
}
const onlyChecks = process.argv.includes('--checks')
const chosen = steps.filter(([name], index) =>
  onlyChecks ? index <= checks.length : named.length === 0 || named.includes(name)
)

const began = performance.now()
for (const [name, step] of chosen) {
  const start = performance.now()
  const { passed, failed, skipped, output, note } = await step()
  total.passed += passed
  total.failed += failed
  total.skipped += skipped
  if (failed > 0) console.log(`\n${output.trimEnd()}\n`)
  const counts = [`${passed} passed`, `${failed} failed`, ...(skipped > 0 ? [`${skipped} skipped`] : [])].join(', ')
  const seconds = ((performance.now() - start) / 1000).toFixed(1)
  console.log(`${failed > 0 ? 'FAIL' : 'ok  '} ${name.padEnd(15)} ${counts}  ${seconds} s${note ? `  (${note})` : ''}`)
}
console.log(`\n${((performance.now() - began) / 1000).toFixed(0)} s`)
console.log(`${total.passed} passed, ${total.failed} failed${total.skipped > 0 ? `, ${total.skipped} skipped` : ''}`)
process.exitCode = total.failed > 0 ? 1 : 0
