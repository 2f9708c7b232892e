// KL at sampled tokens of f32 arrays, alone and taken off the reward, on all threads; the same bits whatever
// their number.
#pragma once
#include "native/rules/kl_reward.h"
#include "native/rules/kl_tokens.h"

namespace adjudge {

// As rl/kl_tokens.h.
void kl_tokens(const rl::KlRule& rule, const rl::KlTokensBatch<float>& batch, float* values,
               float* gradients);

// As rl/kl_reward.h.
rl::KlRewardMetrics kl_reward(const rl::KlRewardRule& rule, const rl::KlRewardBatch<float>& batch,
                              float* results);

}  // namespace adjudge
