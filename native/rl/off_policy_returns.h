#pragma once

#include "rules/off_policy_returns.h"

// Tokens whose mask is 0 are no steps; what is written there is 0. float: vector kernels, rows in parallel,
// in f64 or, where that keeps 1e-5 x (1 + |value|), in f32; double: the reference.
namespace adjudge::rl {

// targets: what the values should have been; advantages: of the policy gradient.
template <typename Float>
void vtrace(const VtraceRule& rule, const ReturnsBatch<Float>& batch, Float* targets, Float* advantages);

// targets: what the action values should have been.
template <typename Float>
void retrace(const RetraceRule& rule, const ReturnsBatch<Float>& batch, Float* targets);

// returns: followed on only where the next step did better than its value; advantages: clipped ratio x
// (return - value).
template <typename Float>
void upgo(const UpgoRule& rule, const ReturnsBatch<Float>& batch, Float* returns, Float* advantages);

}  // namespace adjudge::rl
