import { spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { type AdjudgeError, errorCodes } from '../../src/errors.js'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'adjudge-house-'))
  vi.resetModules()
})
afterEach(() => {
  vi.unstubAllEnvs()
  rmSync(folder, { recursive: true, force: true })
})

async function loadingError(): Promise<AdjudgeError> {
  const { loadAddon } = await import('../../src/binding/load.js')
  try {
    loadAddon()
  } catch (error) {
    return error as AdjudgeError
  }
  throw new Error('the addon was loaded')
}

describe('loading the addon', () => {
  it('says what to do where there is none', async () => {
    vi.stubEnv('ADJUDGE_ADDON', join(folder, 'adjudge.node'))
    const error = await loadingError()
    expect(error.code).toBe('ADDON_NOT_BUILT')
    expect(error.message).toContain(join(folder, 'adjudge.node'))
    expect(error.message).toContain('npx adjudge build')
  })

  it('names the reason where a file is no addon for this machine', async () => {
    const file = join(folder, 'adjudge.node')
    writeFileSync(file, 'not a shared library')
    vi.stubEnv('ADJUDGE_ADDON', file)
    const error = await loadingError()
    expect(error.code).toBe('ADDON_NOT_BUILT')
    expect(error.message).toMatch(/invalid ELF header|file too short|not a valid/)
    expect(error.cause).toBeInstanceOf(Error)
  })

  it('gives the same addon at every call', async () => {
    const { loadAddon } = await import('../../src/binding/load.js')
    expect(loadAddon()).toBe(loadAddon())
  })
})

describe('installing', () => {
  it('succeeds without a prebuilt addon and says how to build one', () => {
    mkdirSync(join(folder, 'scripts'))
    cpSync('scripts/install.mjs', join(folder, 'scripts/install.mjs'))
    const { status, stdout } = spawnSync(process.execPath, [join(folder, 'scripts/install.mjs')], {
      encoding: 'utf8',
      env: { ...process.env, BUILD_FROM_SOURCE: '' }
    })
    expect(status).toBe(0)
    expect(stdout).toContain('npx adjudge build')
  })

  it('fails with the reason where it was asked to build and cannot', () => {
    mkdirSync(join(folder, 'scripts'))
    cpSync('scripts/install.mjs', join(folder, 'scripts/install.mjs'))
    const { status, stderr } = spawnSync(process.execPath, [join(folder, 'scripts/install.mjs')], {
      encoding: 'utf8',
      env: { ...process.env, BUILD_FROM_SOURCE: '1', PATH: folder, CXX: '' }
    })
    expect(status).toBe(1)
    expect(stderr).toContain('apt-get install')
  })

  it('holds no download address in the lock file', () => {
    expect(readFileSync('package-lock.json', 'utf8')).not.toContain('"resolved"')
  })
})

describe('the table of error codes', () => {
  it('is in alphabetical order, one meaning per code', () => {
    const codes = Object.keys(errorCodes)
    expect(codes).toEqual([...codes].sort())
    expect(codes.every((code) => /^[A-Z][A-Z0-9_]*$/.test(code))).toBe(true)
  })
})

describe('the sources of binding.gyp', () => {
  it('are those of CMakeLists.txt, each in one kind', () => {
    const list = (kind: string) =>
      spawnSync(process.execPath, ['scripts/sources.mjs', kind], { encoding: 'utf8' })
        .stdout.split('\n')
        .filter(Boolean)
    const all = ['portable', 'avx2', 'avx512', 'avx512bf16', 'napi'].flatMap(list)
    expect(new Set(all).size).toBe(all.length)
    expect(list('portable').some((source) => /_avx/.test(source))).toBe(false)
    expect(list('avx2').every((source) => source.endsWith('_avx2.cpp'))).toBe(true)
    expect(all).toContain('native/core/json.cpp')
  })
})
