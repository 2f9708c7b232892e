// KL between rows of f32 logits on all threads; the same bits whatever their number.
#pragma once
#include "native/rules/kl_rows.h"

namespace adjudge {

// As rl/kl_rows.h.
void kl_rows(rl::KlDirection direction, const rl::KlRowsBatch<float>& batch, float* values, float* gradients);

}  // namespace adjudge
