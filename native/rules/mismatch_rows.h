#pragma once

#include "rules/off_policy_rows.h"

// The mismatch of one row and what rows add up to, by a team of threads (off_policy_totals.h):
// reference/mismatch_metrics.cpp, which this follows.
namespace adjudge::rl {

inline constexpr double mismatch_log_limit = 20;  // of a ratio that is squared

// Sums over a row's counted tokens whose rollout log-prob is known.
struct MismatchPart {
  double counted = 0;
  double missing = 0;  // counted, without a rollout log-prob
  double trained = 0;
  double rollout = 0;
  double log_sum = 0;  // of log ratios
  double k3 = 0;
  double squares = 0;  // of bounded ratios
  double difference = 0;
  double maximum = 0;  // of |log ratio|
};

// The part is in every thread.
template <typename Team, typename Float>
ADJUDGE_TEAM MismatchPart mismatch_of_row(const Team& team, const RolloutBatch<Float>& batch,
                                          std::int64_t row) {
  MismatchPart mine;
  for (std::int64_t t = batch.cu_seqlens[row] + team.rank(); t < batch.cu_seqlens[row + 1];
       t += team.size()) {
    if (!counts_in(batch, t)) continue;
    const LogProbs token = log_probs_of(batch, t);
    if (token.rollout != token.rollout) {
      mine.missing += 1;
      continue;
    }
    const double change = token.trained - token.rollout;
    mine.counted += 1;
    mine.trained += token.trained;
    mine.rollout += token.rollout;
    mine.log_sum += change;
    mine.k3 += expm1(change) - change;
    mine.squares += exp(2 * within_lanes(change, mismatch_log_limit));
    mine.difference += fabs(change);
    mine.maximum = maximum(mine.maximum, fabs(change));
  }
  MismatchPart part;
  part.counted = team.sum(mine.counted);
  part.missing = team.sum(mine.missing);
  part.trained = team.sum(mine.trained);
  part.rollout = team.sum(mine.rollout);
  part.log_sum = team.sum(mine.log_sum);
  part.k3 = team.sum(mine.k3);
  part.squares = team.sum(mine.squares);
  part.difference = team.sum(mine.difference);
  part.maximum = team.reduce(mine.maximum, Largest{});
  return part;
}

template <typename Team>
ADJUDGE_TEAM MismatchMetrics mismatch_totals(const Team& team, const MismatchPart* parts, std::int64_t rows) {
  const auto log_difference = [&](std::int64_t i) {
    return mean_of(parts[i].rollout, parts[i].counted) - mean_of(parts[i].trained, parts[i].counted);
  };
  MismatchPart sums;
  double training = 0, training_log = 0, rollout = 0, rollout_log = 0, absolute_sum = 0, ratio = 0,
         squares = 0;
  for (std::int64_t i = team.rank(); i < rows; i += team.size()) {
    const MismatchPart& part = parts[i];
    sums.counted += part.counted;
    sums.missing += part.missing;
    sums.log_sum += part.log_sum;
    sums.k3 += part.k3;
    sums.squares += part.squares;
    sums.difference += part.difference;
    sums.maximum = maximum(sums.maximum, part.maximum);
    const double trained_mean = mean_of(part.trained, part.counted);
    const double rollout_mean = mean_of(part.rollout, part.counted);
    training += exp(-trained_mean);
    training_log -= trained_mean;
    rollout += exp(-rollout_mean);
    rollout_log -= rollout_mean;
    absolute_sum += fabs(rollout_mean - trained_mean);
    ratio += exp(rollout_mean - trained_mean);
    squares += exp(2 * within_lanes(part.log_sum, mismatch_log_limit));
  }
  const auto all = static_cast<double>(rows);
  const double counted = team.sum(sums.counted);
  const RowSummary differences =
      summary_of_rows(team, rows, log_difference, [](std::int64_t) { return true; });
  MismatchMetrics metrics;
  metrics.training_perplexity = mean_of(team.sum(training), all);
  metrics.training_log_perplexity = mean_of(team.sum(training_log), all);
  metrics.rollout_perplexity = mean_of(team.sum(rollout), all);
  metrics.rollout_log_perplexity = mean_of(team.sum(rollout_log), all);
  metrics.kl = mean_of(-team.sum(sums.log_sum), counted);
  metrics.k3 = mean_of(team.sum(sums.k3), counted);
  metrics.log_perplexity_difference = differences.mean;
  metrics.log_perplexity_absolute_difference = mean_of(team.sum(absolute_sum), all);
  metrics.log_perplexity_difference_maximum = differences.maximum;
  metrics.log_perplexity_difference_minimum = differences.minimum;
  metrics.perplexity_ratio = mean_of(team.sum(ratio), all);
  const double token_squares = mean_of(team.sum(sums.squares), counted);
  if (counted > 0) metrics.chi2_token = token_squares - 1;
  const double sequence_squares = mean_of(team.sum(squares), all);
  if (rows > 0) metrics.chi2_sequence = sequence_squares - 1;
  metrics.difference_mean = mean_of(team.sum(sums.difference), counted);
  metrics.difference_maximum = team.reduce(sums.maximum, Largest{});
  metrics.missing = team.sum(sums.missing);
  return metrics;
}

}  // namespace adjudge::rl
