#pragma once

#include "rules/off_policy.h"
#include "rules/policy_loss.h"

namespace adjudge::reference {

// See rl/off_policy.h.
template <typename Float>
rl::WeightMetrics importance_weights(const rl::WeightRule& rule, const rl::RolloutBatch<Float>& batch,
                                     Float* weights, Float* sequences);

// One criterion of a rule: takes rejected tokens out of `mask` and rows out of `keep`.
template <typename Float>
rl::CriterionMetrics reject(const rl::Criterion& criterion, const rl::RejectionRule& rule,
                            const rl::RolloutBatch<Float>& batch, std::uint8_t* mask, std::uint8_t* keep);

template <typename Float>
rl::MismatchMetrics mismatch_metrics(const rl::RolloutBatch<Float>& batch);

template <typename Float>
void gamma_weights(const rl::GammaWeight& rule, const rl::GammaBatch<Float>& batch, Float* weights);

}  // namespace adjudge::reference
