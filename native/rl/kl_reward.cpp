#include "rl/kl_reward.h"

#include <algorithm>

#include "cpu/kl.h"
#include "reference/kl_reward.h"

namespace adjudge::rl {

template <>
KlRewardMetrics kl_reward(const KlRewardRule& rule, const KlRewardBatch<double>& batch, double* results) {
  return reference::kl_reward(rule, batch, results);
}

template <>
KlRewardMetrics kl_reward(const KlRewardRule& rule, const KlRewardBatch<float>& batch, float* results) {
  return adjudge::kl_reward(rule, batch, results);
}

double adapted_coefficient(const AdaptiveKlRule& rule, double coefficient, double observed, double steps) {
  const double error = std::clamp(observed / rule.target - 1, -rule.limit, rule.limit);
  return coefficient * (1 + error * steps / rule.horizon);
}

}  // namespace adjudge::rl
