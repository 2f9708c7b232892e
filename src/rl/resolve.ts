/** From a preset's name or a partial record (YAML's snake_case or camelCase) to a complete, validated algorithm. */
import { Value } from '@sinclair/typebox/value'
import { AdjudgeError } from '../errors.js'
import { nearestName } from './nearest.js'
import { base, presets } from './presets.js'
import { algorithmSchema, type Algorithm, type AlgorithmOptions } from './types.js'

type Plain = Record<string, unknown>

const isPlain = (value: unknown): value is Plain => typeof value === 'object' && value !== null && !Array.isArray(value)

const camelCase = (key: string) => key.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase())
const snakeCase = (key: string) => key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)

const invalid = (message: string) => new AdjudgeError('ALGORITHM_INVALID', `algorithm: ${message}`)

/** Fields that hold a record or null: what an object given for null is completed with. */
const optionalRecords: Plain = {
  whitening: { scale: true, bessel: true, epsilon: 1e-8, epsilonRule: 'add', countEpsilon: 0 }
}

/** Puts the fields of `change` over those of `target`; unknown keys are answered with the nearest known one. */
function merge(target: Plain, change: Plain, path: string): Plain {
  const result: Plain = { ...target }
  for (const [key, value] of Object.entries(change)) {
    if (value === undefined) continue
    const name = camelCase(key)
    if (!Object.hasOwn(target, name)) {
      const names = Object.keys(target).map(snakeCase)
      throw invalid(`unknown key "${path}${key}"; did you mean "${path}${nearestName(snakeCase(name), names)}"?`)
    }
    const present = target[name] ?? optionalRecords[name]
    if (isPlain(present) && value !== null && !isPlain(value)) throw invalid(`"${path}${key}" must be a record`)
    result[name] = isPlain(present) && isPlain(value) ? merge(present, value, `${path}${key}.`) : value
  }
  return result
}

/** Names of all presets. */
export const presetNames = Object.keys(presets)

function presetOf(name: unknown): Plain {
  if (typeof name !== 'string') throw invalid('"preset" must be the name of a preset')
  const preset = Object.hasOwn(presets, name) ? presets[name] : undefined
  if (!preset) {
    throw invalid(
      `unknown preset "${name}"; did you mean "${nearestName(name, presetNames)}"? (${presetNames.join(', ')})`
    )
  }
  return merge({ ...base, preset: name }, preset, '')
}

function literalsOf(schema: unknown): string[] {
  const options = (schema as { anyOf?: { const?: unknown }[] }).anyOf ?? []
  return options.map((option) => option.const).filter((word) => typeof word === 'string')
}

function check(record: Plain): Algorithm {
  if (Value.Check(algorithmSchema, record)) return record
  const error = Value.Errors(algorithmSchema, record).First()
  const field = (error?.path ?? '').split('/').slice(1).map(snakeCase).join('.')
  const words = error ? literalsOf(error.schema) : []
  const value = JSON.stringify(error?.value)
  if (words.length > 0) {
    const near = typeof error?.value === 'string' ? `; did you mean "${nearestName(error.value, words)}"?` : ''
    throw invalid(`"${field}" is ${value}, expected one of ${words.join(', ')}${near}`)
  }
  throw invalid(`"${field}" is ${value}: ${error?.message ?? 'wrong value'}`)
}

/** Losses whose formula is of token ratios, or makes its own of a sequence. */
const tokenKinds: ReadonlySet<string> = new Set(['vespo', 'gmpo', 'dppo_tv', 'dppo_kl', 'dro', 'clip_cov', 'kl_cov'])

/** Combinations that have no meaning, each said with its cure. */
function checkMeaning(algorithm: Algorithm): Algorithm {
  const { advantage, kl, loss, ratio } = algorithm
  if (tokenKinds.has(loss.kind) && ratio !== 'token') {
    throw invalid(`"loss.kind" ${loss.kind} has a ratio of its own: set "ratio" to token`)
  }
  if (loss.kind === 'gmpo' && (loss.clipLow === null || loss.clipHigh === null)) {
    throw invalid('"loss.kind" gmpo holds each log ratio between bounds: set "loss.clip_low" and "loss.clip_high"')
  }
  if (loss.keepRatioLow !== null && loss.keepRatioHigh !== null && loss.keepRatioLow > loss.keepRatioHigh) {
    throw invalid('"loss.keep_ratio_low" is above "loss.keep_ratio_high"')
  }
  if (loss.covariance.low > loss.covariance.high) {
    throw invalid('"loss.covariance.low" is above "loss.covariance.high"')
  }
  if (advantage.rewardClip && advantage.rewardClip[0] > advantage.rewardClip[1]) {
    throw invalid('"advantage.reward_clip" has its lowest reward above its highest')
  }
  if (algorithm.aggregation === 'sequence_mean' && ratio === 'token' && loss.kind !== 'gmpo') {
    throw invalid('"aggregation" sequence_mean needs one ratio per sequence: set "ratio" to sequence or sequence_sum')
  }
  if (loss.logRatioLow !== null && loss.logRatioHigh !== null && loss.logRatioLow > loss.logRatioHigh) {
    throw invalid('"loss.log_ratio_low" is above "loss.log_ratio_high"')
  }
  if (kl.inReward && advantage.estimator === 'exact') {
    throw invalid('"kl.in_reward" has no meaning with the exact estimator, whose KL is exact: set it to false')
  }
  const batchWide = advantage.baseline === 'optimal_token' || advantage.estimator === 'gae'
  if (batchWide && advantage.scale !== 'none') {
    throw invalid('"advantage.scale" has no meaning with the optimal_token baseline or GAE: set it to none')
  }
  if (advantage.baseline === 'optimal_token' && advantage.estimator === 'gae') {
    throw invalid('"advantage.baseline" optimal_token and the estimator gae are two baselines: choose one')
  }
  if (advantage.multiObjective === 'normalize_then_sum') {
    if (kl.inReward && !kl.perToken) {
      throw invalid('"kl.in_reward" with normalize_then_sum has no one reward to be taken off: set "kl.per_token" too')
    }
    const whole = advantage.baseline === 'optimal_token' || advantage.baseline === 'given'
    if (whole || advantage.scale === 'nonzero') {
      throw invalid('"advantage.multi_objective" normalize_then_sum goes with a baseline and scale per function only')
    }
  }
  return algorithm
}

/**
 * Completes and validates an algorithm.
 * @param options a preset's name, or a record with changed fields (keys in snake_case or camelCase) whose `preset`
 *   says what they change; without `preset`, `grpo`.
 * @throws AdjudgeError `ALGORITHM_INVALID` for an unknown preset, key or value, with the nearest valid name.
 */
export function resolveAlgorithm(options: AlgorithmOptions): Algorithm {
  if (typeof options === 'string') return checkMeaning(check(presetOf(options)))
  if (!isPlain(options)) throw invalid('expected the name of a preset, or a record')
  const { preset = 'grpo', ...changes } = options as Plain
  return checkMeaning(check(merge(presetOf(preset), changes, '')))
}
