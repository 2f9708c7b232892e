#pragma once

#include "rules/kl_rows.h"

// KL divergence between whole distributions, row by row.
namespace adjudge::rl {

// values: [rows]; gradients with respect to the policy's logits: [rows, width], or null. 0 where the mask is
// 0. A logit of minus infinity is a probability of 0. A value is infinite where the divergence is, and NaN
// where a row has NaN, plus infinity or minus infinity everywhere; its gradients are then of no use. In f32 a
// probability below 2^-126 of the row's largest counts as 0.
template <typename Float>
void kl_rows(KlDirection direction, const KlRowsBatch<Float>& batch, Float* values, Float* gradients);

}  // namespace adjudge::rl
