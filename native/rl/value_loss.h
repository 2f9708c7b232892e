#pragma once

#include "rules/value_loss.h"

// The critic's loss over a packed ragged batch, with its derivative for every token's value.
namespace adjudge::rl {

// gradients: [tokens], written everywhere.
template <typename Float>
ValueLossResult value_loss(const ValueRule& rule, const ValueBatch<Float>& batch, Float* gradients);

}  // namespace adjudge::rl
