#pragma once

#include "native/rules/off_policy.h"

// Importance weights and rejection of f32 log-probs in f64 arithmetic, rows on all threads; see
// rl/off_policy.h.
namespace adjudge {

rl::WeightMetrics importance_weights(const rl::WeightRule& rule, const rl::RolloutBatch<float>& batch,
                                     float* weights, float* sequences);

// One criterion: takes rejected tokens out of `mask` and rows out of `keep`.
rl::CriterionMetrics reject(const rl::Criterion& criterion, const rl::RejectionRule& rule,
                            const rl::RolloutBatch<float>& batch, std::uint8_t* mask, std::uint8_t* keep);

}  // namespace adjudge
