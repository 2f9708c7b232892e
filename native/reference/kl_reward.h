#pragma once

#include "rules/kl_reward.h"

// KL in the reward token by token, in f64 whatever the type of the arrays: the path of f64 arrays, and what
// the kernels are tested against. Arguments as in rl/kl_reward.h.
namespace adjudge::reference {

template <typename Float>
rl::KlRewardMetrics kl_reward(const rl::KlRewardRule& rule, const rl::KlRewardBatch<Float>& batch,
                              Float* results);

}  // namespace adjudge::reference
