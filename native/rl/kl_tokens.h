#pragma once

#include "rules/kl.h"
#include "rules/kl_tokens.h"

// KL(policy || reference) at sampled tokens.
namespace adjudge::rl {

// values, gradients with respect to the log-probs: [tokens], 0 where the mask is 0. The rule's coefficient
// and ratio_weighted are not used.
template <typename Float>
void kl_tokens(const KlRule& rule, const KlTokensBatch<Float>& batch, Float* values, Float* gradients);

}  // namespace adjudge::rl
