#pragma once

#include "rules/off_policy_totals.h"

// One row's weights and its fate under a criterion, by a team of threads (off_policy_totals.h). In f64, so
// that a band decides as the reference does.
namespace adjudge::rl {

struct LogProbs {
  double trained;
  double rollout;  // NaN: missing
};

template <typename Float>
ADJUDGE_TEAM bool counts_in(const RolloutBatch<Float>& batch, std::int64_t t) {
  return !batch.mask || batch.mask[t] != 0;
}

template <typename Float>
ADJUDGE_TEAM LogProbs log_probs_of(const RolloutBatch<Float>& batch, std::int64_t t) {
  return {static_cast<double>(batch.log_probs[t]), static_cast<double>(batch.rollout_log_probs[t])};
}

// What the row's tokens add up to.
template <typename Team, typename Float>
ADJUDGE_TEAM WeightPart sums_of_row(const Team& team, const WeightRule& rule,
                                    const RolloutBatch<Float>& batch, std::int64_t row) {
  const bool diverges =
      rule.gate == WeightGate::binary_kl_mean || rule.gate == WeightGate::total_variation_mean;
  double counted = 0, log_sum = 0, divergence = 0;
  for (std::int64_t t = batch.cu_seqlens[row] + team.rank(); t < batch.cu_seqlens[row + 1];
       t += team.size()) {
    if (!counts_in(batch, t)) continue;
    const LogProbs token = log_probs_of(batch, t);
    counted += 1;
    log_sum += log_ratio_lanes(token.trained, token.rollout);
    if (diverges) divergence += gate_lanes(rule.gate, token.trained, token.rollout);
  }
  WeightPart part;
  part.counted = team.sum(counted);
  part.log_sum = team.sum(log_sum);
  weigh_sequence(rule, team.sum(divergence), part);
  return part;
}

// weights: [tokens], written for the row's. The part is in every thread.
template <typename Team, typename Float>
ADJUDGE_TEAM WeightPart weigh_row(const Team& team, const WeightRule& rule, const RolloutBatch<Float>& batch,
                                  std::int64_t row, float* weights) {
  const bool sequence = rule.level == WeightLevel::sequence, row_gate = gate_of_row(rule);
  WeightPart part;
  double raw = 0;
  if (sequence || row_gate) {
    part = sums_of_row(team, rule, batch, row);
    raw = growth_lanes(within_lanes(part.log_sum, rule.log_ratio_limit));
  }
  double counted = 0, high = 0, low = 0, outside = 0, applied_sum = 0, raw_sum = 0, cut_sum = 0, squares = 0;
  double least = HUGE_VAL, most = -HUGE_VAL;
  for (std::int64_t t = batch.cu_seqlens[row] + team.rank(); t < batch.cu_seqlens[row + 1];
       t += team.size()) {
    if (!counts_in(batch, t)) {
      weights[t] = 0;
      continue;
    }
    double own = raw, statistic = part.statistic;
    if (!sequence || !row_gate) {
      const LogProbs token = log_probs_of(batch, t);
      if (!sequence) {
        own = growth_lanes(within_lanes(log_ratio_lanes(token.trained, token.rollout), rule.log_ratio_limit));
      }
      if (!row_gate) {
        statistic =
            rule.gate == WeightGate::weight ? own : gate_lanes(rule.gate, token.trained, token.rollout);
      }
    }
    const double applied = banded_lanes(rule, own, statistic);
    weights[t] = static_cast<float>(applied);
    const double cut = minimum(maximum(applied, 0.0), rule.high);
    counted += 1;
    high += statistic > rule.high ? 1 : 0;
    low += statistic < low_mark(rule) ? 1 : 0;
    outside += outside_lanes(statistic, rule.low, rule.high) ? 1 : 0;
    applied_sum += applied;
    raw_sum += own;
    cut_sum += cut;
    squares += cut * cut;
    least = minimum(least, applied);
    most = maximum(most, applied);
  }
  part.counted = team.sum(counted);
  part.high = team.sum(high);
  part.low = team.sum(low);
  part.outside = team.sum(outside);
  part.applied = team.sum(applied_sum);
  part.raw = team.sum(raw_sum);
  part.cut = team.sum(cut_sum);
  part.cut_squares = team.sum(squares);
  part.minimum = team.reduce(least, Least{});
  part.maximum = team.reduce(most, Largest{});
  return part;
}

// One criterion with what all criteria of a rule share.
struct CriterionRule {
  Criterion criterion;
  double log_ratio_limit;
  double count_epsilon;
};

// Takes the rejected tokens of the row out of mask [tokens]. The part is in every thread.
template <typename Team, typename Float>
ADJUDGE_TEAM RejectionPart reject_row(const Team& team, const CriterionRule& rule,
                                      const RolloutBatch<Float>& batch, std::int64_t row,
                                      std::uint8_t* mask) {
  const Criterion& criterion = rule.criterion;
  const StatisticBand band = statistic_band(criterion);
  const bool by_token = criterion.level == RejectionLevel::token;
  const std::int64_t begin = batch.cu_seqlens[row], end = batch.cu_seqlens[row + 1];
  const bool spared = criterion.only_negative && batch.advantages[row] >= 0;
  double counted = 0, sum = 0, above = 0, below = 0, cut_sum = 0, squares = 0, masked = 0;
  double least = HUGE_VAL, most = -HUGE_VAL;
  for (std::int64_t t = begin + team.rank(); t < end; t += team.size()) {
    if (!counts_in(batch, t)) continue;
    const LogProbs token = log_probs_of(batch, t);
    const double bounded = within_lanes(log_ratio_lanes(token.trained, token.rollout), rule.log_ratio_limit);
    const double statistic = statistic_lanes(criterion.statistic, bounded, token.trained, token.rollout);
    counted += 1;
    sum += statistic;
    least = minimum(least, statistic);
    most = maximum(most, statistic);
    if (!by_token) continue;
    const double cut = minimum(maximum(statistic, band.low), band.high);
    above += statistic > band.high ? 1 : 0;
    below += statistic < band.low ? 1 : 0;
    cut_sum += cut;
    squares += cut * cut;
    if (spared || !outside_lanes(statistic, band.low, band.high)) continue;
    masked += 1;
    mask[t] = 0;
  }
  RejectionPart part;
  part.counted = team.sum(counted);
  part.sum = team.sum(sum);
  part.minimum = team.reduce(least, Least{});
  part.maximum = team.reduce(most, Largest{});
  part.above = team.sum(above);
  part.below = team.sum(below);
  part.cut = team.sum(cut_sum);
  part.cut_squares = team.sum(squares);
  part.masked = team.sum(masked);
  part.rejected = part.masked > 0 ? 1 : 0;
  judge_row(criterion, band, rule.count_epsilon, spared, part);
  if (!by_token && part.rejected > 0) {
    for (std::int64_t t = begin + team.rank(); t < end; t += team.size()) mask[t] = 0;
  }
  return part;
}

}  // namespace adjudge::rl
