// The body of importance weights and rejection, included once per instruction set. Reads 8 bytes a token and
// the mask, weights write 4. In f64; 40 operations for the weight of a token, twice that with a divergence.
#pragma once
#include "native/cpu/doubles_math.h"
#include "native/cpu/off_policy_kernels.h"

namespace adjudge {
namespace {

ADJUDGE_INLINE double least_of(const Doubles& x) {
  double least = x.value[0];
  for (int64_t i = 1; i < Doubles::width; ++i) least = x.value[i] < least ? x.value[i] : least;
  return least;
}

ADJUDGE_INLINE double largest_of(const Doubles& x) { return -least_of(-x); }

// body(first token, tokens, which count, log-probs, rollout's log-probs)
template <typename Body>
ADJUDGE_INLINE void each_vector(const RolloutRow& of, const Body& body) {
  const RolloutRow row = of;
  const auto part = [&](int64_t t, int64_t left, const auto& counts) __attribute__((always_inline)) {
    body(t, left, counts, load_doubles(row.log_probs + t, left),
         load_doubles(row.rollout_log_probs + t, left));
  };
  int64_t t = 0;
  if (row.mask == nullptr) {
    for (; t + Doubles::width <= row.count; t += Doubles::width) part(t, Doubles::width, rl::Every{});
    if (t < row.count) part(t, row.count - t, first_doubles(row.count - t));
    return;
  }
  for (; t + Doubles::width <= row.count; t += Doubles::width) {
    part(t, Doubles::width, nonzero_doubles(row.mask + t, Doubles::width));
  }
  if (t < row.count) part(t, row.count - t, nonzero_doubles(row.mask + t, row.count - t));
}

rl::RatioLanes<double> sum_ratios(const rl::WeightRule& given, const RolloutRow& row) {
  const rl::WeightRule rule = given;
  rl::RatioLanes<Doubles> sums;
  each_vector(
      row, [&](int64_t, int64_t, const auto& counts, const Doubles& log_prob, const Doubles& rollout)
               __attribute__((always_inline)) { rl::add_ratio(rule, counts, log_prob, rollout, sums); });
  return {sum_of(sums.counted), sum_of(sums.log_sum), sum_of(sums.divergence)};
}

rl::WeightLanes<double> weigh_tokens(const rl::WeightRule& given, const rl::RowWeight& of_row,
                                     const RolloutRow& row, float* weights) {
  const rl::WeightRule rule = given;
  const rl::RowWeight shared = of_row;
  rl::WeightLanes<Doubles> sums;
  each_vector(
      row, [&](int64_t t, int64_t left, const auto& counts, const Doubles& log_prob, const Doubles& rollout)
               __attribute__((always_inline)) {
                 const Doubles weight = rl::weigh_lanes(rule, shared, counts, log_prob, rollout, sums);
                 if (left >= Doubles::width)
                   store_singles(weights + t, weight, false);
                 else
                   store_singles(weights + t, weight, left);
               });
  return {sum_of(sums.counted),   sum_of(sums.high),       sum_of(sums.low), sum_of(sums.outside),
          sum_of(sums.applied),   sum_of(sums.raw),        sum_of(sums.cut), sum_of(sums.cut_squares),
          least_of(sums.minimum), largest_of(sums.maximum)};
}

rl::RejectionLanes<double> judge_tokens(const rl::CriterionRule& given, const rl::StatisticBand& band,
                                        bool spared, const RolloutRow& row, uint8_t* mask) {
  const rl::CriterionRule rule = given;
  rl::RejectionLanes<Doubles> sums;
  each_vector(
      row, [&](int64_t t, int64_t left, const auto& counts, const Doubles& log_prob,
               const Doubles& rollout) __attribute__((always_inline)) {
        const DoubleMask rejected = rl::judge_lanes(rule, band, spared, counts, log_prob, rollout, sums);
        if (!any(rejected)) return;
        for (int64_t i = 0; i < Doubles::width && i < left; ++i) {
          if (rejected.value[i] != 0) mask[t + i] = 0;
        }
      });
  return {sum_of(sums.counted),     sum_of(sums.sum),         least_of(sums.minimum),
          largest_of(sums.maximum), sum_of(sums.above),       sum_of(sums.below),
          sum_of(sums.cut),         sum_of(sums.cut_squares), sum_of(sums.masked)};
}

constexpr OffPolicyKernels off_policy_kernels{sum_ratios, weigh_tokens, judge_tokens};

}  // namespace
}  // namespace adjudge
