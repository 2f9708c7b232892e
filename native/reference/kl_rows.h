#pragma once

#include "rules/kl_rows.h"

// KL between whole distributions in f64 whatever the type of the arrays: the path of f64 arrays, and what the
// kernels are tested against. Arguments as in rl/kl_rows.h.
namespace adjudge::reference {

template <typename Float>
void kl_rows(rl::KlDirection direction, const rl::KlRowsBatch<Float>& batch, Float* values, Float* gradients);

}  // namespace adjudge::reference
