/** What is measured of the mismatch between rollout and training, and of its correction. */

/** verl's names (`rollout_is_*`), TRL's (`sampling/*`), OpenRLHF's (`filter_ratio`). */
export interface ImportanceMetrics {
  /** Of the weights as applied, before they are normalised: counted tokens, or completions for sequence weights. */
  'sampling/importance_sampling_ratio/min': number
  'sampling/importance_sampling_ratio/mean': number
  'sampling/importance_sampling_ratio/max': number
  /** Mean over counted tokens as applied; extremes too, but for sequences of the products before the bounds. */
  rollout_is_mean: number
  rollout_is_max: number
  rollout_is_min: number
  rollout_is_std: number
  /** Effective sample size as a share of the counted tokens. */
  rollout_is_eff_sample_size: number
  /** Share of tokens (sequences: completions) above high, and below low, or 1 / high where low is not set. */
  rollout_is_ratio_fraction_high: number
  rollout_is_ratio_fraction_low: number
  /** Of the completions' mean weights; one without a counted token counts as 0. */
  rollout_is_seq_mean: number
  rollout_is_seq_std: number
  rollout_is_seq_max: number
  rollout_is_seq_min: number
  rollout_is_seq_max_deviation: number
  rollout_is_seq_fraction_high: number
  rollout_is_seq_fraction_low: number
  /** Share of counted tokens outside the bounds. */
  rollout_is_oob_ratio: number
  /** Share outside the bounds of what the gate judges: counted tokens, or completions. */
  filter_ratio: number
  /** What the weights were divided by; 1 without `normalize`. */
  rollout_is_batch_norm_factor: number
}

/** One criterion's statistic; for `ratio` its logarithm. Names are verl's, after `rollout_rs_<option>_`. */
export interface CriterionMetrics {
  /** Over counted tokens, each with its own statistic or its completion's. */
  mean: number
  /** Extremes and shares beyond the bounds: of tokens, or of completions at a sequence level. */
  max: number
  min: number
  /** Of the statistic cut at the bounds. */
  std: number
  fraction_high: number
  fraction_low: number
  /** Over completions with a counted token; at token level of their means. */
  seq_mean: number
  seq_std: number
  seq_max: number
  seq_min: number
  seq_max_deviation: number
  seq_fraction_high: number
  seq_fraction_low: number
  /** Share of counted tokens, and of completions, that this criterion rejects something of. */
  masked_fraction: number
  seq_masked_fraction: number
}

/** verl's names, and TRL's. A completion without a counted token counts with perplexity 1, as in verl. */
export interface MismatchMetrics {
  /** Means over completions of exp(−mean log-prob), and of −mean log-prob. */
  training_ppl: number
  training_log_ppl: number
  rollout_ppl: number
  rollout_log_ppl: number
  /** KL(rollout ‖ training) per counted token, by k1 and by k3. */
  kl: number
  k3_kl: number
  /** Of the difference training − rollout in log perplexity, over completions. */
  log_ppl_diff: number
  log_ppl_abs_diff: number
  log_ppl_diff_max: number
  log_ppl_diff_min: number
  ppl_ratio: number
  /** Mean of r² − 1 over tokens, and of the completions' products; log ratios within ±20. */
  chi2_token: number
  chi2_seq: number
  /** |log r| over counted tokens. */
  'sampling/sampling_logp_difference/mean': number
  'sampling/sampling_logp_difference/max': number
  /** Counted tokens without a rollout log-prob; left out of all the above. */
  missing: number
}

/** Reads a list of numbers in the kernel's order under their names. */
function namedNumbers<Name extends string>(
  names: readonly Name[],
  numbers: Float64Array,
  from = 0
): Record<Name, number> {
  const named = {} as Record<Name, number>
  for (let index = 0; index < names.length; index++) named[names[index]!] = numbers[from + index]!
  return named
}

const weightNumbers = [
  'minimum',
  'mean',
  'maximum',
  'rawMinimum',
  'rawMaximum',
  'tokenMean',
  'deviation',
  'effectiveSampleSize',
  'fractionHigh',
  'fractionLow',
  'outsideTokens',
  'outside',
  'sequenceMean',
  'sequenceDeviation',
  'sequenceMaximum',
  'sequenceMinimum',
  'sequenceMaxDeviation',
  'sequenceFractionHigh',
  'sequenceFractionLow',
  'normalizer'
] as const

/** @param numbers as rl_off_policy.cpp writes them. */
export function importanceMetrics(numbers: Float64Array, sequence: boolean): ImportanceMetrics {
  const metrics = namedNumbers(weightNumbers, numbers)
  return {
    'sampling/importance_sampling_ratio/min': metrics.minimum,
    'sampling/importance_sampling_ratio/mean': metrics.mean,
    'sampling/importance_sampling_ratio/max': metrics.maximum,
    rollout_is_mean: metrics.tokenMean,
    rollout_is_max: sequence ? metrics.rawMaximum : metrics.maximum,
    rollout_is_min: sequence ? metrics.rawMinimum : metrics.minimum,
    rollout_is_std: metrics.deviation,
    rollout_is_eff_sample_size: metrics.effectiveSampleSize,
    rollout_is_ratio_fraction_high: metrics.fractionHigh,
    rollout_is_ratio_fraction_low: metrics.fractionLow,
    rollout_is_seq_mean: metrics.sequenceMean,
    rollout_is_seq_std: metrics.sequenceDeviation,
    rollout_is_seq_max: metrics.sequenceMaximum,
    rollout_is_seq_min: metrics.sequenceMinimum,
    rollout_is_seq_max_deviation: metrics.sequenceMaxDeviation,
    rollout_is_seq_fraction_high: metrics.sequenceFractionHigh,
    rollout_is_seq_fraction_low: metrics.sequenceFractionLow,
    rollout_is_oob_ratio: metrics.outsideTokens,
    filter_ratio: metrics.outside,
    rollout_is_batch_norm_factor: metrics.normalizer
  }
}

const criterionNumbers = [
  'mean',
  'max',
  'min',
  'std',
  'fraction_high',
  'fraction_low',
  'seq_mean',
  'seq_std',
  'seq_max',
  'seq_min',
  'seq_max_deviation',
  'seq_fraction_high',
  'seq_fraction_low',
  'masked_fraction',
  'seq_masked_fraction'
] as const

/** Numbers of the kernel for one criterion. */
export const criterionColumns = criterionNumbers.length

/** @param numbers a row of {@link criterionColumns} for each criterion. */
export function criterionMetrics(numbers: Float64Array): CriterionMetrics[] {
  return Array.from({ length: numbers.length / criterionColumns }, (_, row) =>
    namedNumbers(criterionNumbers, numbers, row * criterionColumns)
  )
}

const mismatchNumbers = [
  'training_ppl',
  'training_log_ppl',
  'rollout_ppl',
  'rollout_log_ppl',
  'kl',
  'k3_kl',
  'log_ppl_diff',
  'log_ppl_abs_diff',
  'log_ppl_diff_max',
  'log_ppl_diff_min',
  'ppl_ratio',
  'chi2_token',
  'chi2_seq',
  'sampling/sampling_logp_difference/mean',
  'sampling/sampling_logp_difference/max',
  'missing'
] as const

/** @param numbers as rl_off_policy.cpp writes them. */
export const mismatchOf = (numbers: Float64Array): MismatchMetrics => namedNumbers(mismatchNumbers, numbers)
