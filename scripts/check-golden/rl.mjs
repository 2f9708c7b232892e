// Compares src/rl with the golden cases of the Python trainers (rl/*.json of a golden folder): every case of what is
// built is mapped from the peer's parameter names to our record; the others are counted as skipped, by source.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { mapAdvantageCase } from './rl-advantages.mjs'
import { mapKlCase } from './rl-kl.mjs'
import { mapLossCase } from './rl-losses.mjs'
import { mapOffPolicyCase } from './rl-off-policy.mjs'
import { mapValueCase } from './rl-value.mjs'

const mappers = {
  'advantages.json': mapAdvantageCase,
  'losses.json': mapLossCase,
  'kl.json': mapKlCase,
  'value_loss.json': mapValueCase,
  'off_policy.json': mapOffPolicyCase
}
const files = Object.keys(mappers)

function difference(actual, expected) {
  if (expected === null) return Number.isNaN(actual) ? 0 : Infinity
  if (typeof actual !== 'number' || Number.isNaN(actual)) return Infinity
  if (actual === expected) return 0
  return Math.abs(actual - expected) / (1 + Math.abs(expected))
}

/** Worst relative difference of a mapped case's [name, actual, expected] triples. */
function worstOf(comparisons) {
  let worst = { error: 0, name: '' }
  for (const [name, actual, expected] of comparisons) {
    const left = typeof actual === 'number' ? [actual] : actual
    const right = typeof expected === 'number' || expected === null ? [expected] : expected
    if (left.length !== right.length)
      return { error: Infinity, name: `${name}: ${left.length} values, ${right.length}` }
    for (let index = 0; index < right.length; index++) {
      const error = difference(left[index], right[index])
      if (error > worst.error) worst = { error, name: `${name}[${index}] is ${left[index]}, expected ${right[index]}` }
    }
  }
  return worst
}

/**
 * @param folder laid out like the golden folder (with rl/).
 * @param rl the module under test; default: the built one.
 * @returns { met, notMet: [{ name, reason }], skipped: lines that count by source, worst: { float64, float32, metrics } }
 */
export async function checkRl(folder, rl) {
  const library = rl ?? (await import('../../dist/rl/index.js'))
  const result = {
    met: 0,
    notMet: [],
    skipped: [],
    worst: { float64: 0, float32: 0, metrics: 0 }
  }
  const skipped = new Map()
  for (const file of files) {
    const path = join(folder, 'rl', file)
    if (!existsSync(path)) continue
    const { cases } = JSON.parse(readFileSync(path, 'utf8'))
    for (const golden of cases) checkCase(library, golden, mappers[file], result, skipped)
  }
  for (const [line, count] of skipped) result.skipped.push(`rl: ${count} cases of ${line}`)
  return result
}

function checkCase(library, golden, map, result, skipped) {
  const run = map?.(golden)
  if (!run || typeof run === 'string') {
    const { loss, estimator } = golden.parameters
    const source = `${golden.source}${loss || estimator ? ` (${loss ?? estimator})` : ''}`
    const line = `${source}: ${run ?? 'not built'}`
    skipped.set(line, (skipped.get(line) ?? 0) + 1)
    return
  }
  const limit = golden.dtype === 'float32' ? 1e-5 : 1e-10
  try {
    const { values, metrics = [] } = run(library)
    const worst = worstOf(values)
    const worstMetric = worstOf(metrics)
    result.worst[golden.dtype] = Math.max(result.worst[golden.dtype], worst.error <= limit ? worst.error : 0)
    result.worst.metrics = Math.max(result.worst.metrics, worstMetric.error <= 1e-6 ? worstMetric.error : 0)
    if (worst.error > limit) result.notMet.push({ name: golden.name, reason: `${worst.error}: ${worst.name}` })
    else if (worstMetric.error > 1e-6) result.notMet.push({ name: golden.name, reason: `metric ${worstMetric.name}` })
    else result.met++
  } catch (error) {
    result.notMet.push({ name: golden.name, reason: error instanceof Error ? error.message : String(error) })
  }
}
