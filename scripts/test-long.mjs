/** `npm run test:long`: the native tests under the address and undefined-behaviour sanitizers, and tests/long. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './install.mjs'
import { buildNativeTests, otherInstructionSets, run, runNativeTests } from './native-tests.mjs'

const folder = join('build', 'tests', 'sanitize')
const total = { passed: 0, failed: 0, skipped: 0 }

const built = await buildNativeTests(folder, ['-DADJUDGE_SANITIZE=ON'])
total[built.code === 0 ? 'passed' : 'failed'] += 1
if (built.code !== 0) console.log(built.output)
else {
  for (const isa of [undefined, ...otherInstructionSets()]) {
    const result = await runNativeTests(folder, { isa })
    if (result.output) console.log(result.output)
    console.log(`sanitizers, ${isa ?? 'default'} instruction set: ${result.passed} passed, ${result.failed} failed`)
    for (const key of Object.keys(total)) total[key] += result[key]
  }
}
if (existsSync(join(root, 'tests', 'long'))) {
  const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs')
  const result = await run(process.execPath, [vitest, 'run', '--config', 'tests/long/vitest.config.ts'], { show: true })
  total[result.code === 0 ? 'passed' : 'failed'] += 1
}
console.log(`${total.passed} passed, ${total.failed} failed${total.skipped > 0 ? `, ${total.skipped} skipped` : ''}`)
process.exitCode = total.failed > 0 ? 1 : 0
