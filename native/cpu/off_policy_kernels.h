// Part of cpu/off_policy.cpp: the tokens of one row, by the including file's instruction set.
#pragma once
#include <cstdint>

#include "native/rules/off_policy_lanes.h"

namespace adjudge {

// Arrays start at the row's first token.
struct RolloutRow {
  const float* log_probs;
  const float* rollout_log_probs;
  const uint8_t* mask;  // null: all count
  int64_t count;
};

struct OffPolicyKernels {
  rl::RatioLanes<double> (*ratios)(const rl::WeightRule& rule, const RolloutRow& row);
  rl::WeightLanes<double> (*weigh)(const rl::WeightRule& rule, const rl::RowWeight& shared,
                                   const RolloutRow& row, float* weights);
  // Takes tokens that are rejected by themselves out of `mask`.
  rl::RejectionLanes<double> (*judge)(const rl::CriterionRule& rule, const rl::StatisticBand& band,
                                      bool spared, const RolloutRow& row, uint8_t* mask);
};

extern const OffPolicyKernels off_policy_portable;
#if defined(__x86_64__)
extern const OffPolicyKernels off_policy_avx2;
extern const OffPolicyKernels off_policy_avx512;
#endif

}  // namespace adjudge
