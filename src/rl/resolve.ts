/** From a preset's name or a partial record (YAML's snake_case or camelCase) to a complete, validated algorithm. */
import { base, presets } from './presets.js'
import { invalidRecord, resolveRecord, type RecordKind } from './record.js'
import { algorithmSchema, type Algorithm, type AlgorithmOptions } from './types.js'

const invalid = (message: string) => invalidRecord('algorithm', message)

const kind: RecordKind<typeof algorithmSchema> = {
  kind: 'algorithm',
  schema: algorithmSchema,
  base,
  presets,
  parts: { whitening: { scale: true, bessel: true, epsilon: 1e-8, epsilonRule: 'add', countEpsilon: 0 } }
}

/** Names of all presets. */
export const presetNames = Object.keys(presets)

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
  return checkMeaning(resolveRecord(kind, options))
}
