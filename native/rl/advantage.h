#pragma once

#include "rules/advantage.h"

// Rewards of completions become advantages. Sums are in double whatever the type of the arrays.
namespace adjudge::rl {

// advantages: [completions], or [tokens] if advantages_per_token; returns: [tokens] with Estimator::gae, what
// the value function should have said, else null. Both are written everywhere.
template <typename Float>
AdvantageMetrics compute_advantages(const AdvantageRule& rule, const AdvantageBatch<Float>& batch,
                                    Float* advantages, Float* returns);

}  // namespace adjudge::rl
