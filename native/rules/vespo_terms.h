#pragma once

#include "rules/double_lane.h"

// The weight that VESPO gives a row, for the lanes of a GPU: reference/loss_weighted.h, which this follows.
namespace adjudge::rl {

// Bounds of the log of one token's ratio or weight, and of their sum over the row.
inline constexpr double vespo_log_limit = 20;
inline constexpr double vespo_log_floor = -18.420680743952367;  // log 1e-8

ADJUDGE_DEVICE double vespo_bounded(double log_weight) {
  return minimum(maximum(log_weight, vespo_log_floor), vespo_log_limit);
}

ADJUDGE_DEVICE double vespo_bounded_ratio(double log_ratio) {
  return minimum(maximum(log_ratio, -vespo_log_limit), vespo_log_limit);
}

// phi(w) in logs; 1 at w = 1.
ADJUDGE_DEVICE double vespo_phi(double shape, double rate, double log_weight) {
  const double positive_rate = maximum(rate, 1e-4);
  return exp(positive_rate + shape * log_weight - positive_rate * exp(log_weight));
}

}  // namespace adjudge::rl
