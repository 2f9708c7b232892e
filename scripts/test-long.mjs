/**
 * `npm run test:long`: the native tests under the address and undefined-behaviour sanitizers, and as older processors run
 * them (under qemu-user, where it is installed), and tests/long.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './install.mjs'
import { buildNativeTests, otherInstructionSets, run, runNativeTests } from './native-tests.mjs'

const total = { passed: 0, failed: 0, skipped: 0 }

function count(what, { passed, failed, skipped, output }) {
  if (output) console.log(output)
  console.log(`${what}: ${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`)
  total.passed += passed
  total.failed += failed
  total.skipped += skipped
}

/** Builds native_tests; true where it was built. */
async function build(folder, options = []) {
  const { code, output } = await buildNativeTests(folder, options)
  const built = code === 0
  count(`build in ${folder}`, {
    passed: Number(built),
    failed: Number(!built),
    skipped: 0,
    output: built ? '' : output
  })
  return built
}

const sanitized = join('build', 'tests', 'sanitize')
if (await build(sanitized, ['-DADJUDGE_SANITIZE=ON'])) {
  for (const isa of [undefined, ...otherInstructionSets()]) {
    count(`sanitizers, ${isa ?? 'default'} instruction set`, await runNativeTests(sanitized, { isa }))
  }
}

// Haswell has AVX2 and no AVX-512; Nehalem has none of them: an instruction that it lacks would end the program.
const plain = join('build', 'tests', 'native')
if (process.arch !== 'x64' || (await run('qemu-x86_64', ['--version'])).code !== 0) {
  console.log('older processors: skipped, qemu-user is not installed')
  total.skipped += 1
} else if (await build(plain)) {
  for (const cpu of ['Haswell', 'Nehalem']) {
    count(`as on ${cpu}`, await runNativeTests(plain, { launcher: ['qemu-x86_64', '-cpu', cpu] }))
  }
}

if (existsSync(join(root, 'tests', 'long'))) {
  const addon = await run(process.execPath, ['scripts/install.mjs', '--build'])
  if (addon.code !== 0) console.log(addon.output)
  const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs')
  const result = await run(process.execPath, [vitest, 'run', '--config', 'tests/long/vitest.config.ts'], { show: true })
  total[result.code === 0 ? 'passed' : 'failed'] += 1
}
console.log(`${total.passed} passed, ${total.failed} failed${total.skipped > 0 ? `, ${total.skipped} skipped` : ''}`)
process.exitCode = total.failed > 0 ? 1 : 0
