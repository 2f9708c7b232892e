#pragma once

#include "rules/policy_loss.h"

// Policy loss over a packed ragged batch, with its derivative for every token's log-prob.
namespace adjudge::rl {

// log_prob_gradients: [tokens], written everywhere; entropy_gradients: [tokens] or null.
template <typename Float>
LossValue policy_loss(const LossRule& rule, const LossBatch<Float>& batch, Float* log_prob_gradients,
                      Float* entropy_gradients);

}  // namespace adjudge::rl
