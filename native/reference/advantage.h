#pragma once

#include "rules/advantage.h"

// Advantages in f64 whatever the type of the arrays, one plain loop after another: the path of f64 arrays and
// of rules that look at tokens, and what the kernels are tested against. Arguments as in rl/advantage.h.
namespace adjudge::reference {

template <typename Float>
rl::AdvantageMetrics compute_advantages(const rl::AdvantageRule& rule, const rl::AdvantageBatch<Float>& batch,
                                        Float* advantages, Float* returns);

}  // namespace adjudge::reference
