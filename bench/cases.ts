/** Suites of benny and their samples. */
import benny from 'benny'
import { figureOf } from './ledger/statistics.js'
import type { Figure } from './ledger/record.js'

/** Seconds of one call, one number per sample. */
export type Samples = Record<string, number[]>

/** Runs the cases one after another; benny prints them. `options`: benny's, such as maxTime in seconds. */
export async function runCases(
  title: string,
  cases: Record<string, () => unknown>,
  options: { minSamples?: number; maxTime?: number } = {}
): Promise<Samples> {
  const summary = await benny.suite(
    title,
    ...Object.entries(cases).map(([name, run]) => benny.add(name, run, options)),
    // benny draws its lines anew after each case, which only a terminal shows well.
    process.stdout.isTTY ? benny.cycle() : benny.cycle(({ name, ops }) => console.log(`  ${name}: ${ops} ops/s`)),
    benny.complete()
  )
  return Object.fromEntries(summary.results.map(({ name, details }) => [name, details.sampleResults]))
}

/** Microseconds of one call. */
export function microseconds(samples: readonly number[]): Figure {
  return figureOf(
    samples.map((seconds) => seconds * 1e6),
    'µs'
  )
}
