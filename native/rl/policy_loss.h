#pragma once

#include "rules/policy_loss.h"

// Policy loss over a packed ragged batch, with its derivative for every token's log-prob.
namespace adjudge::rl {

// log_prob_gradients: [tokens], written everywhere; entropy_gradients: [tokens] or null.
template <typename Float>
LossValue policy_loss(const LossRule& rule, const LossBatch<Float>& batch, Float* log_prob_gradients,
                      Float* entropy_gradients);

// The same in f32 arithmetic, by the vector kernels of cpu/policy_loss.h on all threads: within
// 1e-5 (1 + |value|) of the f64 formulas, where policy_loss rounds their f64 values.
LossValue policy_loss_vectors(const LossRule& rule, const LossBatch<float>& batch, float* log_prob_gradients,
                              float* entropy_gradients);

}  // namespace adjudge::rl
