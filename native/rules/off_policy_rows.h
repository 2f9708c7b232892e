#pragma once

#include "rules/off_policy_lanes.h"
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
template <typename Team>
ADJUDGE_TEAM void take_ratios(const Team& team, const WeightRule& rule, const RatioLanes<double>& sums,
                              WeightPart& part) {
  part.counted = team.sum(sums.counted);
  part.log_sum = team.sum(sums.log_sum);
  weigh_sequence(rule, team.sum(sums.divergence), part);
}

template <typename Team>
ADJUDGE_TEAM void take_weights(const Team& team, const WeightLanes<double>& sums, WeightPart& part) {
  part.counted = team.sum(sums.counted);
  part.high = team.sum(sums.high);
  part.low = team.sum(sums.low);
  part.outside = team.sum(sums.outside);
  part.applied = team.sum(sums.applied);
  part.raw = team.sum(sums.raw);
  part.cut = team.sum(sums.cut);
  part.cut_squares = team.sum(sums.cut_squares);
  part.minimum = team.reduce(sums.minimum, Least{});
  part.maximum = team.reduce(sums.maximum, Largest{});
}

template <typename Team>
ADJUDGE_TEAM void take_statistics(const Team& team, const CriterionRule& rule, bool spared,
                                  const RejectionLanes<double>& sums, RejectionPart& part) {
  part.counted = team.sum(sums.counted);
  part.sum = team.sum(sums.sum);
  part.minimum = team.reduce(sums.minimum, Least{});
  part.maximum = team.reduce(sums.maximum, Largest{});
  part.above = team.sum(sums.above);
  part.below = team.sum(sums.below);
  part.cut = team.sum(sums.cut);
  part.cut_squares = team.sum(sums.cut_squares);
  part.masked = team.sum(sums.masked);
  part.rejected = part.masked > 0 ? 1 : 0;
  judge_row(rule.criterion, statistic_band(rule.criterion), rule.count_epsilon, spared, part);
}

// weights: [tokens], written for the row's. The part is in every thread.
template <typename Team, typename Float>
ADJUDGE_TEAM WeightPart weigh_row(const Team& team, const WeightRule& rule, const RolloutBatch<Float>& batch,
                                  std::int64_t row, float* weights) {
  const std::int64_t begin = batch.cu_seqlens[row], end = batch.cu_seqlens[row + 1];
  WeightPart part;
  if (needs_ratios(rule)) {
    RatioLanes<double> ratios;
    for (std::int64_t t = begin + team.rank(); t < end; t += team.size()) {
      if (!counts_in(batch, t)) continue;
      const LogProbs token = log_probs_of(batch, t);
      add_ratio(rule, Every{}, token.trained, token.rollout, ratios);
    }
    take_ratios(team, rule, ratios, part);
  }
  const RowWeight shared = row_weight_of(rule, part.log_sum, part.statistic);
  WeightLanes<double> sums;
  for (std::int64_t t = begin + team.rank(); t < end; t += team.size()) {
    if (!counts_in(batch, t)) {
      weights[t] = 0;
      continue;
    }
    const LogProbs token = log_probs_of(batch, t);
    weights[t] = static_cast<float>(weigh_lanes(rule, shared, Every{}, token.trained, token.rollout, sums));
  }
  take_weights(team, sums, part);
  return part;
}

// Takes the rejected tokens of the row out of mask [tokens]. The part is in every thread.
template <typename Team, typename Float>
ADJUDGE_TEAM RejectionPart reject_row(const Team& team, const CriterionRule& rule,
                                      const RolloutBatch<Float>& batch, std::int64_t row,
                                      std::uint8_t* mask) {
  const Criterion& criterion = rule.criterion;
  const StatisticBand band = statistic_band(criterion);
  const std::int64_t begin = batch.cu_seqlens[row], end = batch.cu_seqlens[row + 1];
  const bool spared = criterion.only_negative && batch.advantages[row] >= 0;
  RejectionLanes<double> sums;
  for (std::int64_t t = begin + team.rank(); t < end; t += team.size()) {
    if (!counts_in(batch, t)) continue;
    const LogProbs token = log_probs_of(batch, t);
    if (judge_lanes(rule, band, spared, Every{}, token.trained, token.rollout, sums)) mask[t] = 0;
  }
  RejectionPart part;
  take_statistics(team, rule, spared, sums, part);
  if (criterion.level != RejectionLevel::token && part.rejected > 0) {
    for (std::int64_t t = begin + team.rank(); t < end; t += team.size()) mask[t] = 0;
  }
  return part;
}

}  // namespace adjudge::rl
