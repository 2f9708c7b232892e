#pragma once

#include "rules/kl.h"
#include "rules/kl_tokens.h"

// KL at sampled tokens in f64 whatever the type of the arrays: the path of f64 arrays, and what the kernels
// are tested against. Arguments as in rl/kl_tokens.h.
namespace adjudge::reference {

template <typename Float>
void kl_tokens(const rl::KlRule& rule, const rl::KlTokensBatch<Float>& batch, Float* values,
               Float* gradients);

}  // namespace adjudge::reference
