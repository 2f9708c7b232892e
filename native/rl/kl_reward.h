#pragma once

#include "rules/kl_reward.h"

// KL taken off the reward token by token, and the coefficient that adapts to it.
namespace adjudge::rl {

// results: [tokens], 0 where the mask is 0.
template <typename Float>
KlRewardMetrics kl_reward(const KlRewardRule& rule, const KlRewardBatch<Float>& batch, Float* results);

// coefficient x (1 + error x steps / horizon), error = observed / target - 1 within +- limit (Ziegler et al.
// 2019, arXiv 1909.08593, section 2.2; limit 0.2 there).
struct AdaptiveKlRule {
  double target = 0.1;
  double horizon = 10000;
  double limit = 0.2;
};

double adapted_coefficient(const AdaptiveKlRule& rule, double coefficient, double observed, double steps);

}  // namespace adjudge::rl
