#pragma once

#include "rules/value_loss.h"

// The critic's loss token by token, in f64 whatever the type of the arrays: the path of f64 arrays, and what
// the kernels are tested against. Arguments as in rl/value_loss.h.
namespace adjudge::reference {

template <typename Float>
rl::ValueLossResult value_loss(const rl::ValueRule& rule, const rl::ValueBatch<Float>& batch,
                               Float* gradients);

}  // namespace adjudge::reference
