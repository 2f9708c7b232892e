// The policy loss of f32 arrays, every kind and option, on all threads; the same bits whatever their number.
#pragma once
#include <cstdint>

#include "native/rules/policy_loss.h"

namespace adjudge {

// As rl/policy_loss.h. teaches: tokens of the policy term and the entropy bonus; selected: tokens that
// clip_cov or kl_cov single out; null: all, and none.
rl::LossValue policy_loss(const rl::LossRule& rule, const rl::LossBatch<float>& batch,
                          const std::uint8_t* teaches, const std::uint8_t* selected,
                          float* log_prob_gradients, float* entropy_gradients);

}  // namespace adjudge
