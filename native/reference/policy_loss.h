#pragma once

#include "rules/policy_loss.h"

// The policy loss token by token, in f64 whatever the type of the arrays: the path of f64 arrays, and what
// the kernels are tested against. Arguments as in rl/policy_loss.h.
namespace adjudge::reference {

template <typename Float>
rl::LossValue policy_loss(const rl::LossRule& rule, const rl::LossBatch<Float>& batch,
                          Float* log_prob_gradients, Float* entropy_gradients);

}  // namespace adjudge::reference
