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
