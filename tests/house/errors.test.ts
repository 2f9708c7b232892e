import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { errorCodes } from '../../src/errors.js'

const native = fileURLToPath(new URL('../../native', import.meta.url))
/** Words of that form which are no codes: the environment's names, which begin with the program's, and a task of PEFT's. */
const noCode = /^ADJUDGE_|^CAUSAL_LM$/

it('every code that the native engine throws is in the table', () => {
  const files = readdirSync(native, { recursive: true, encoding: 'utf8' }).filter(
    (name) => /\.(h|cpp|cu|cuh)$/.test(name) && !name.startsWith('tests')
  )
  const codes = new Set(
    files.flatMap((name) => {
      const words = readFileSync(join(native, name), 'utf8').matchAll(/"([A-Z]+(?:_[A-Z]+)+)"/g)
      return [...words].map(([, word]) => word!).filter((word) => !noCode.test(word))
    })
  )
  expect(codes.size).toBeGreaterThan(20)
  expect([...codes].filter((code) => !Object.hasOwn(errorCodes, code))).toEqual([])
})
