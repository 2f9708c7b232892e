/** `npm run bench:compare`: what moved between the last two records of each suite on one kind of machine. */
import { parseArgs } from 'node:util'
import { compareLedger, comparisonLines } from './ledger/compare.js'
import { ledgerFile } from './ledger/files.js'
import { readLedger } from './ledger/record.js'

const help = `npm run bench:compare [-- options]      the last record of each suite against the one before it
  --suite NAME   only this one
  --ledger FILE  (bench/ledger.jsonl)
Records are of one kind of machine where processor, number of cores and instruction set are the same. A figure moved
where two medians differ by more than the quartile ranges of both runs together.`

try {
  const { values } = parseArgs({
    options: {
      suite: { type: 'string' },
      ledger: { type: 'string', default: ledgerFile },
      help: { type: 'boolean', default: false }
    }
  })
  if (values.help) console.log(help)
  else {
    const records = readLedger(values.ledger).filter(({ suite }) => !values.suite || suite === values.suite)
    console.log(comparisonLines(compareLedger(records)).join('\n'))
  }
} catch (error) {
  console.error(`bench:compare: ${(error as Error).message}`)
  process.exitCode = 1
}
