import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { compareLedger, comparisonLines, movementOf } from '../../bench/ledger/compare.js'
import { documentFile, ledgerFile } from '../../bench/ledger/files.js'
import { appendRecord, readLedger, recordOf, type Figure, type LedgerRecord } from '../../bench/ledger/record.js'
import { figureOf, quantile, timesOf } from '../../bench/ledger/statistics.js'
import { tableOf, withTable } from '../../bench/ledger/table.js'

const share = (value: number, low = value, high = value): Figure => ({ value, low, high, unit: 'of floor' })
const microseconds = (value: number): Figure => ({ value, low: value - 0.1, high: value + 0.1, unit: 'µs' })

function record(changes: Partial<LedgerRecord>): LedgerRecord {
  const machine = { cpu: 'Example', cores: 2, isa: 'avx2' }
  return {
    format: 1,
    date: '2026-11-24T10:00:00.000Z',
    commit: 'aaaa',
    changed: false,
    machine,
    node: 'v20.20.2',
    suite: 'kernels',
    figures: {},
    ...changes
  }
}

describe('statistics of rounds', () => {
  it('gives median and quartiles by linear interpolation', () => {
    expect(quantile([4, 1, 3, 2], 0.5)).toBe(2.5)
    expect(figureOf([1, 2, 3, 4, 5], 'times')).toEqual({ value: 3, low: 2, high: 4, unit: 'times' })
    expect(figureOf([7], 'µs')).toEqual({ value: 7, low: 7, high: 7, unit: 'µs' })
  })

  it('widens a ratio of two runs by the quartiles of both', () => {
    const ratio = timesOf([10, 20, 30, 40, 50], [1, 2, 3, 4, 5])
    expect(ratio.value).toBe(10)
    expect(ratio.low).toBe(20 / 4)
    expect(ratio.high).toBe(40 / 2)
  })
})

describe('comparison', () => {
  it('moves only beyond the noise of both runs', () => {
    expect(movementOf('gae', share(0.8, 0.78, 0.82), share(0.86, 0.85, 0.87))).toBeUndefined()
    const moved = movementOf('gae', share(0.8, 0.78, 0.82), share(0.9, 0.89, 0.91))!
    expect(moved.better).toBe(true)
    expect(moved.change).toBeCloseTo(0.125)
    expect(moved.noise).toBeCloseTo(0.075)
  })

  it('takes a longer call as worse, a larger share as better', () => {
    expect(movementOf('call', microseconds(1), microseconds(2))!.better).toBe(false)
    expect(movementOf('gae', share(0.5), share(0.4))!.better).toBe(false)
  })

  it('pairs the last two records of one suite and one kind of machine', () => {
    const other = { cpu: 'Other', cores: 2, isa: 'avx2' }
    const comparisons = compareLedger([
      record({ commit: 'first', figures: { gae: share(0.1) } }),
      record({ commit: 'second', figures: { gae: share(0.5), loss: share(0.4), old: share(0.3) } }),
      record({ commit: 'elsewhere', machine: other, figures: { gae: share(0.9) } }),
      record({ commit: 'gemm', suite: 'gemm', figures: { head: share(0.9) } }),
      record({ commit: 'third', figures: { gae: share(0.6), loss: share(0.4), fresh: share(0.7) } })
    ])
    expect(comparisons).toHaveLength(1)
    const [{ before, after, moved, compared, added, gone }] = comparisons as [(typeof comparisons)[0]]
    expect([before.commit, after.commit]).toEqual(['second', 'third'])
    expect(moved.map(({ name }) => name)).toEqual(['gae'])
    expect(compared).toBe(2)
    expect([added, gone]).toEqual([['fresh'], ['old']])
    const text = comparisonLines(comparisons).join('\n')
    expect(text).toContain('kernels: third of 2026-11-24 against second of 2026-11-24 (Example, 2 cores, avx2)')
    expect(text).toMatch(/better gae .*50 % \(50 to 50\).*60 % \(60 to 60\).*\+20\.0 %/)
    expect(text).toContain('1 moved of 2')
  })

  it('says so where there is nothing to compare', () => {
    expect(comparisonLines(compareLedger([record({})]))[0]).toMatch(/Nothing to compare/)
  })
})

describe('ledger file', () => {
  let folder = ''
  beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), 'adjudge-ledger-'))))
  afterEach(() => rmSync(folder, { recursive: true, force: true }))

  it('appends records that read back, with the machine, the commit and four digits', () => {
    const file = join(folder, 'ledger.jsonl')
    expect(readLedger(file)).toEqual([])
    appendRecord(file, recordOf('kernels', { gae: share(0.87654321, 0.8, 0.9) }))
    appendRecord(file, recordOf('rl', { call: microseconds(1.5) }))
    const [first, second] = readLedger(file) as [LedgerRecord, LedgerRecord]
    expect(first.figures['gae']).toEqual({ value: 0.8765, low: 0.8, high: 0.9, unit: 'of floor' })
    expect(first.machine.cores).toBeGreaterThan(0)
    expect(first.machine.isa).toMatch(/^(avx|portable)/)
    expect([first.suite, second.suite]).toEqual(['kernels', 'rl'])
    expect(readFileSync(file, 'utf8').trimEnd().split('\n')).toHaveLength(2)
  })

  it('names the line and the field of what is no record', () => {
    const file = join(folder, 'ledger.jsonl')
    const good = JSON.stringify(record({}))
    writeFileSync(file, `${good}\n{"format":2}\n`)
    expect(() => readLedger(file)).toThrow(/ledger\.jsonl, line 2: expected a record with "format": 1/)
    writeFileSync(file, `${good.replace('"suite":"kernels"', '"suite":""')}\n`)
    expect(() => readLedger(file)).toThrow(/line 1: suite: expected a word/)
    writeFileSync(file, `${JSON.stringify(record({ figures: { gae: { ...share(1), unit: 'bytes' as 'µs' } } }))}\n`)
    expect(() => readLedger(file)).toThrow(/line 1: figures\["gae"\]: unknown unit bytes/)
  })
})

describe('table', () => {
  it('shows the last record of each suite, machine by machine', () => {
    const other = { cpu: 'Other', cores: 8, isa: 'avx512' }
    const table = tableOf([
      record({ commit: 'old', figures: { gae: share(0.1) } }),
      record({ commit: 'new', changed: true, figures: { gae: share(0.5, 0.4, 0.6) } }),
      record({ commit: 'far', machine: other, suite: 'rl', figures: { call: microseconds(1.5) } })
    ])
    expect(table).not.toContain('commit old')
    expect(table).toContain('### Example, 2 cores, avx2')
    expect(table).toContain('**kernels**, commit new with changes, 2026-11-24, Node v20.20.2')
    expect(table).toContain('| gae | 50 % (40 to 60) | of floor |')
    expect(table).toContain('### Other, 8 cores, avx512')
    expect(table).toContain('| call | 1.50 µs (1.40 to 1.60) | µs |')
  })

  it('of bench/README.md is what the ledger gives', () => {
    const document = readFileSync(documentFile, 'utf8')
    expect(withTable(document, tableOf(readLedger(ledgerFile)))).toBe(document)
  })

  it('needs both of its marks', () => {
    expect(() => withTable('# Benchmarks\n', 'table')).toThrow(/are needed/)
  })
})
