// The golden cases of the Python trainers (rl/*.json of a golden folder) on one backend: every case is mapped from the
// peer's parameter names to our record. The f64 reference is compared with the peers' values; float32 kernels with the
// reference on the same rounded inputs.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { mapAdvantageCase } from './rl-advantages.mjs'
import { movedReference, roundedReference, singleOnCpu, singleOnCuda } from './rl-backends.mjs'
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

const metricLimit = 1e-6

function difference(actual, expected) {
  if (expected === null || Number.isNaN(expected)) return Number.isNaN(actual) ? 0 : Infinity
  if (typeof actual !== 'number' || Number.isNaN(actual)) return Infinity
  if (actual === expected) return 0
  return Math.abs(actual - expected) / (1 + Math.abs(expected))
}

const list = (value) => (typeof value === 'number' || value === null || value === undefined ? [value] : value)

/** Of triples [name, actual, expected]: the worst relative difference and the places of those beyond the limit. */
function compared(comparisons, limit) {
  const worst = { error: 0, text: '' }
  const beyond = []
  for (const [at, [name, actual, expected]] of comparisons.entries()) {
    const left = list(actual)
    const right = list(expected)
    if (left.length !== right.length) {
      return { error: Infinity, text: `${name}: ${left.length} values, ${right.length} expected`, beyond: null }
    }
    for (let index = 0; index < right.length; index++) {
      const error = difference(left[index], right[index])
      if (error > limit) beyond.push([at, index])
      if (!(error > worst.error)) continue
      worst.error = error
      worst.text = `${name}[${index}] is ${left[index]}, expected ${right[index]}`
    }
  }
  return { ...worst, beyond }
}

const named = ({ values, metrics = [] }) => ({ values, metrics })

/** What one run gave, beside what another gave for the same places. */
const beside = (actual, expected) => actual.map(([name, value], at) => [name, value, expected[at][1]])

const verdict = (values, metrics, limit) => {
  const worst = compared(values, limit)
  const worstMetric = compared(metrics, metricLimit)
  if (worst.error > limit) return { state: 'notMet', reason: worst.text, error: worst.error, metric: 0 }
  if (worstMetric.error > metricLimit) return { state: 'notMet', reason: `metric ${worstMetric.text}`, error: 0 }
  return { state: 'met', error: worst.error, metric: worstMetric.error }
}

function againstPeer(library, golden, run) {
  const { values, metrics } = named(run(library))
  return verdict(values, metrics, golden.dtype === 'float32' ? 1e-5 : 1e-10)
}

const singleLimit = 1e-5
const movements = 8

/** Whether every place that differs is one where the reference itself jumps when its inputs move in their last digits. */
function decidedByRounding(library, run, got, exact) {
  const jumps = (part, limit) => {
    const { beyond } = compared(beside(got[part], exact[part]), limit)
    if (!beyond) return false
    const still = new Set(beyond.map(String))
    for (let seed = 1; seed <= movements && still.size > 0; seed++) {
      const moved = named(run(movedReference(library, seed)))
      for (const place of compared(beside(moved[part], exact[part]), limit).beyond ?? []) still.delete(String(place))
    }
    return still.size === 0
  }
  return jumps('values', singleLimit) && jumps('metrics', metricLimit)
}

function againstReference(library, run, kernels, count) {
  const exact = named(run(roundedReference(library)))
  const got = named(run(kernels))
  if (count && count.ran === 0) {
    return count.without.size > 0
      ? { state: 'noKernel', reason: [...count.without].join(', ') }
      : { state: 'skipped', reason: 'nothing to compute on a device' }
  }
  const result = verdict(beside(got.values, exact.values), beside(got.metrics, exact.metrics), singleLimit)
  if (result.state === 'met' || !decidedByRounding(library, run, got, exact)) return result
  return { state: 'threshold', reason: result.reason, error: 0, metric: 0 }
}

function checkCase(library, golden, backend, run) {
  if (backend === 'reference') return againstPeer(library, golden, run)
  if (backend === 'cpu') return againstReference(library, run, singleOnCpu(library))
  const count = { ran: 0, without: new Set() }
  return againstReference(library, run, singleOnCuda(library, count), count)
}

/**
 * @param folder laid out like the golden folder (with rl/).
 * @param library the module under test.
 * @param backend `reference`, `cpu` or `cuda` (see ADJUDGE_ISA, ADJUDGE_CUDA_LIBRARY).
 * @returns by source { met, notMet, threshold, noKernel, skipped }; lines { state, name, reason } of all that is not met
 *   or not compared; the worst differences of what is met.
 */
export function checkRl(folder, library, backend) {
  const sources = {}
  const lines = []
  const worst = { values: 0, 'values (float32 in the peer)': 0, metrics: 0 }
  for (const [file, map] of Object.entries(mappers)) {
    const path = join(folder, 'rl', file)
    if (!existsSync(path)) continue
    for (const golden of JSON.parse(readFileSync(path, 'utf8')).cases) {
      const source = `${golden.source.split(' ', 2).join(' ')} ${file.replace('.json', '')}`
      sources[source] ??= { met: 0, notMet: 0, threshold: 0, noKernel: 0, skipped: 0 }
      const run = map(golden)
      let result
      try {
        result =
          typeof run === 'function'
            ? checkCase(library, golden, backend, run)
            : { state: 'skipped', reason: run ?? 'not built' }
      } catch (error) {
        result = { state: 'notMet', reason: error instanceof Error ? error.message : String(error) }
      }
      sources[source][result.state]++
      if (result.state === 'met') {
        const kind = backend === 'reference' && golden.dtype === 'float32' ? 'values (float32 in the peer)' : 'values'
        worst[kind] = Math.max(worst[kind], result.error)
        worst.metrics = Math.max(worst.metrics, result.metric)
      } else lines.push({ state: result.state, name: golden.name, reason: result.reason })
    }
  }
  return { sources, lines, worst }
}
