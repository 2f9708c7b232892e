/**
 * Benchmarks, on an idle machine: `npm run bench` runs the suites that need nothing else, `npm run bench -- NAME
 * [OPTIONS]` one of them. They measure the built package (npm run build). Figures go to the ledger.
 */
import { performance } from 'node:perf_hooks'
import { documentFile, ledgerFile, writeTable } from './ledger/files.js'
import { appendRecord, recordOf } from './ledger/record.js'
import type { Suite } from './suite.js'

interface Entry {
  about: string
  load: () => Promise<Suite>
  /** Run when no name is given; the others need a model. */
  byDefault: boolean
}

const suites: Record<string, Entry> = {
  kernels: {
    about: 'RL kernels, beside plain loops over the same bytes',
    load: () => import('./kernels.js'),
    byDefault: true
  },
  rl: {
    about: 'RL calls from JavaScript, beside plain JavaScript and the native floor',
    load: () => import('./rl.js'),
    byDefault: true
  },
  peers: {
    about: 'the torch code of TRL and verl on the same inputs, in turns with ours',
    load: () => import('./peers/main.js'),
    byDefault: true
  },
  javascript: {
    about: 'what runs in JavaScript: tokenizer, chat template, graders',
    load: () => import('./javascript.js'),
    byDefault: true
  },
  gemm: {
    about: 'matrix products, beside the processor’s peak and, where it is installed, OpenBLAS',
    load: () => import('./gemm.js'),
    byDefault: true
  },
  judge: {
    about: 'judges over HTTP: adjudge with its ledger beside a bare undici loop and openai-node',
    load: () => import('./judge/main.js'),
    byDefault: true
  },
  'grpo-step': {
    about: 'one training step of GRPO, beside TRL where one is given; needs a model',
    load: () => import('./grpo-step/main.js'),
    byDefault: false
  }
}

const help = `npm run bench [-- NAME [options]] [--no-ledger]
Without a name: ${Object.keys(suites)
  .filter((name) => suites[name]!.byDefault)
  .join(', ')}.

${Object.entries(suites)
  .map(([name, { about }]) => `  ${name.padEnd(12)}${about}`)
  .join('\n')}

  --no-ledger  append no record to bench/ledger.jsonl, and leave the table of bench/README.md as it is
npm run bench -- NAME --help tells a suite's options; npm run bench:compare what moved since the last record.`

async function runSuite(name: string, args: string[], ledger: boolean): Promise<void> {
  const { main } = await suites[name]!.load()
  const figures = await main(args)
  if (!figures || Object.keys(figures).length === 0 || !ledger) return
  const record = recordOf(name, figures)
  appendRecord(ledgerFile, record)
  writeTable()
  const note = record.changed ? ', which says that the working tree has changes' : ''
  console.log(`${name}: a record in ${ledgerFile}${note}; the table of ${documentFile} shows it`)
}

async function runAll(ledger: boolean): Promise<void> {
  const names = Object.keys(suites).filter((name) => suites[name]!.byDefault)
  const began = performance.now()
  for (const [index, name] of names.entries()) {
    const minutes = ((performance.now() - began) / 60_000).toFixed(1)
    console.log(`\n== ${name} (${index + 1} of ${names.length}; ${minutes} minutes so far): ${suites[name]!.about}`)
    try {
      await runSuite(name, [], ledger)
    } catch (error) {
      console.error(`${name}: ${(error as Error).message}`)
      process.exitCode = 1
    }
  }
  console.log(`\n${((performance.now() - began) / 60_000).toFixed(1)} minutes`)
}

const given = process.argv.slice(2)
const ledger = !given.includes('--no-ledger')
const [name = '', ...args] = given.filter((argument) => argument !== '--no-ledger')
try {
  if (name === '--help') console.log(help)
  else if (name === '') await runAll(ledger)
  else if (Object.hasOwn(suites, name)) await runSuite(name, args, ledger)
  else {
    console.error(`no benchmark ${name}\n${help}`)
    process.exitCode = 2
  }
} catch (error) {
  console.error(`bench: ${(error as Error).message}`)
  process.exitCode = 1
}
