/** Builds and runs the native tests (GoogleTest): shared by `npm test` and `npm run test:long`. */
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { root } from './install.mjs'

/** Runs a command; its output is gathered, and shown as it comes where `show` is set. */
export function run(command, args, { env = {}, show = false } = {}) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd: root, env: { ...process.env, ...env } })
    let output = ''
    const take = (chunk) => {
      output += chunk
      if (show) process.stdout.write(chunk)
    }
    child.stdout.on('data', take)
    child.stderr.on('data', take)
    child.on('error', (error) => resolve({ code: 127, output: `${output}${error.message}\n` }))
    child.on('close', (code, signal) => resolve({ code: code ?? 1, signal, output }))
  })
}

/**
 * Configures and builds native_tests and check_gpu in a folder: the addon's own build folder shares the compiled engine with it.
 * Resolves with the result of the last command.
 */
export async function buildNativeTests(folder, options = []) {
  const configured = await run('cmake', ['-S', '.', '-B', folder, '-DADJUDGE_TESTS=ON', ...options])
  if (configured.code !== 0) return configured
  return run('cmake', [
    '--build',
    folder,
    '--target',
    'native_tests',
    'check_gpu',
    '--parallel',
    String(availableParallelism())
  ])
}

/**
 * Runs native_tests once, under one instruction set where `isa` is given. `launcher`: a command that runs programs, such
 * as an emulator and its options.
 */
export async function runNativeTests(folder, { isa, filter, launcher = [] } = {}) {
  mkdirSync(join(root, folder), { recursive: true })
  const report = join(root, folder, `results-${launcher.at(-1) ?? isa ?? 'default'}.json`)
  rmSync(report, { force: true })
  const args = [`--gtest_output=json:${report}`, '--gtest_brief=1', ...(filter ? [`--gtest_filter=${filter}`] : [])]
  const [command, ...rest] = [...launcher, join(root, folder, 'native_tests'), ...args]
  const result = await run(command, rest, { env: isa ? { ADJUDGE_ISA: isa } : {} })
  if (!existsSync(report)) {
    const how = result.signal ? `signal ${result.signal}` : `code ${result.code}`
    return { passed: 0, failed: 1, skipped: 0, output: `${result.output}\nnative_tests ended early with ${how}` }
  }
  const tests = JSON.parse(readFileSync(report, 'utf8')).testsuites.flatMap((suite) => suite.testsuite)
  const skipped = tests.filter((test) => test.result === 'SKIPPED' || test.status === 'NOTRUN').length
  const failed = tests.filter((test) => test.failures?.length > 0).length
  // A sanitizer or a crash after the last test leaves a report without failures and a code that is not 0.
  const crashed = result.code !== 0 && failed === 0 ? 1 : 0
  return {
    passed: tests.length - skipped - failed,
    failed: failed + crashed,
    skipped,
    output: failed + crashed > 0 ? result.output : ''
  }
}

/** What ADJUDGE_ISA can be on this machine besides its default. */
export function otherInstructionSets() {
  const flags = existsSync('/proc/cpuinfo') ? readFileSync('/proc/cpuinfo', 'utf8') : ''
  const others = ['portable']
  if (/\bavx512bw\b/.test(flags)) others.unshift('avx2')
  if (/\bavx512_bf16\b/.test(flags)) others.unshift('avx512')
  return others
}
