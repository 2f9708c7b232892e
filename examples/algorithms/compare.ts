/**
 * Runs every algorithm of this folder, and those of ../offline (ilql, dpo-offline), from several seeds and prints the
 * held-out score before and after.
 *
 *     npx jiti examples/algorithms/compare.ts [NAME ...] [--seeds 3] [--steps 40] [KEY=VALUE ...]
 *
 * The rise is the mean over seeds, with its standard error over them. Ends with 1 where a rise is not above two of these.
 */
import { readdirSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { loadConfig, train } from 'adjudge'
import { offlineNames, runOffline, type Score } from './offline.js'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { seeds: { type: 'string', default: '3' }, steps: { type: 'string' } }
})
const seeds = Number(values.seeds)
const folder = dirname(fileURLToPath(import.meta.url))
const all = readdirSync(folder).flatMap((file) => (file.endsWith('.yaml') ? [file.slice(0, -5)] : []))
const named = positionals.filter((word) => !word.includes('='))
const set = positionals.filter((word) => word.includes('='))
const offlineSet = [...set]
if (values.steps !== undefined) {
  set.push(`training.steps=${values.steps}`, `evaluation.every=${values.steps}`)
  offlineSet.push(`training.steps=${values.steps}`)
}

/** The held-out score before the first step and after the last. */
async function run(name: string, seed: number): Promise<[Score, Score]> {
  const loaded = loadConfig(join(folder, `${name}.yaml`), [`name=${name}-${seed}`, `training.seed=${seed}`, ...set])
  rmSync(join(loaded.config.runs, loaded.config.name), { recursive: true, force: true })
  const scores: Score[] = []
  for await (const { type, ...event } of train(loaded)) {
    if (type !== 'evaluation' || !('metrics' in event)) continue
    scores.push({ mean: event.metrics['eval/reward']!, error: event.metrics['eval/reward_stderr']! })
  }
  return [scores[0]!, scores.at(-1)!]
}

const mean = (numbers: number[]): number => numbers.reduce((sum, one) => sum + one, 0) / numbers.length
const errorOf = (numbers: number[]): number => {
  const centre = mean(numbers)
  return Math.sqrt(numbers.reduce((sum, one) => sum + (one - centre) ** 2, 0) / (numbers.length - 1) / numbers.length)
}
const text = ({ mean, error }: Score): string => `${mean.toFixed(3)} ± ${error.toFixed(3)}`

for (const name of named.length > 0 ? named : [...all, ...offlineNames]) {
  const rises: number[] = []
  for (let seed = 1; seed <= seeds; seed++) {
    const started = performance.now()
    const offline = offlineNames.includes(name)
    const [before, after] = await (offline ? runOffline(name, seed, offlineSet) : run(name, seed))
    rises.push(after.mean - before.mean)
    const seconds = ((performance.now() - started) / 1000).toFixed(0)
    console.log(`${name.padEnd(11)} seed ${seed}: ${text(before)} -> ${text(after)}   ${seconds} s`)
  }
  if (seeds < 2) continue
  const rise = { mean: mean(rises), error: errorOf(rises) }
  const enough = rise.mean > 2 * rise.error
  console.log(`${name.padEnd(11)} rise ${text(rise)}: ${(rise.mean / rise.error).toFixed(1)} standard errors`)
  if (!enough) process.exitCode = 1
}
