import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { addonCandidates } from '../../src/binding/load.js'
import type { NativeCudaState } from '../../src/binding/native.js'
import { cli } from '../cli/cli.js'

const hostShim = resolve('build/Release/adjudge_cuda_host.so')
const compiled = resolve('build/tests/cuda/adjudge_cuda.so')
const hasGpu = existsSync('/dev/nvidia0')

/** The library is opened once per process, so each is asked in a process of its own. */
function stateWith(library: string): NativeCudaState {
  const addon = addonCandidates().find((file) => existsSync(file))
  const code = `console.log(JSON.stringify(require(${JSON.stringify(addon)}).cudaState()))`
  const env = { ...process.env, ADJUDGE_CUDA_LIBRARY: library }
  const { stdout } = spawnSync(process.execPath, ['-e', code], { encoding: 'utf8', env })
  return JSON.parse(stdout) as NativeCudaState
}

describe('the library of CUDA kernels', () => {
  it('is named with the way to build it where it is not there', () => {
    const { usable, reason } = stateWith('/nowhere/adjudge_cuda.so')
    expect(usable).toBe(false)
    expect(reason).toMatch(/\/nowhere\/adjudge_cuda.so does not exist.*npx adjudge build/)
  })

  it.skipIf(!existsSync(hostShim))('is told as the host shim where it is one, and as no GPU', async () => {
    vi.stubEnv('ADJUDGE_CUDA_LIBRARY', hostShim)
    const { out } = await cli('doctor', '--no-provider')
    expect(out).toMatch(/no .* gpu +none: .* is the host shim/)
  })

  it.skipIf(hasGpu || !existsSync(compiled))('opens without a driver, and says that there is none', () => {
    expect(stateWith(compiled)).toMatchObject({
      usable: false,
      reason: 'no GPU: no NVIDIA driver is installed',
      build: expect.stringMatching(/^nvcc [0-9.]+ for /)
    })
  })
})

describe('scripts/check-gpu', () => {
  let folder: string
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'adjudge-check-gpu-'))
  })
  afterEach(() => rmSync(folder, { recursive: true, force: true }))

  it.skipIf(hasGpu)('says that there is no GPU and succeeds', () => {
    const { status, stdout } = spawnSync('scripts/check-gpu', [folder], { encoding: 'utf8' })
    expect(stdout).toMatch(/^check-gpu: skipped, /)
    expect(status).toBe(0)
    expect(readdirSync(folder)).toEqual([])
  })

  it('needs a folder', () => {
    const { status, stderr } = spawnSync('scripts/check-gpu', [], { encoding: 'utf8' })
    expect(stderr).toContain('usage: scripts/check-gpu FOLDER')
    expect(status).toBe(2)
  })
})
