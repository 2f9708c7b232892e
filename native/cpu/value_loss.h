// The critic's loss of f32 arrays on all threads; the same bits whatever their number.
#pragma once
#include "native/rules/value_loss.h"

namespace adjudge {

// As rl/value_loss.h. Every gradient is the rounded f64 one; sums are in f64.
rl::ValueLossResult value_loss(const rl::ValueRule& rule, const rl::ValueBatch<float>& batch,
                               float* gradients);

}  // namespace adjudge
