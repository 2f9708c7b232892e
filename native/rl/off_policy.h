#pragma once

#include "rules/off_policy.h"
#include "rules/policy_loss.h"

// Corrections for completions that another policy sampled than the one that is trained. float: weights
// and rejection in f64 arithmetic, rows on all threads, the rest in one thread; double: the reference.
namespace adjudge::rl {

// weights: [tokens], 0 where the mask is 0. sequences: [rows], written for weights of sequences; may be null.
template <typename Float>
WeightMetrics importance_weights(const WeightRule& rule, const RolloutBatch<Float>& batch, Float* weights,
                                 Float* sequences);

// mask: [tokens], out: counted and kept by every criterion. keep: [rows], out: no criterion rejects the row
// or a counted token of it. criteria: [criteria], out.
template <typename Float>
RejectionShares rejection_mask(const RejectionRule& rule, const RolloutBatch<Float>& batch,
                               std::uint8_t* mask, std::uint8_t* keep, CriterionMetrics* criteria);

// Its two ends, for criteria that are applied elsewhere: nothing is rejected yet, and what has been.
template <typename Float>
void keep_counted(const RolloutBatch<Float>& batch, std::uint8_t* mask, std::uint8_t* keep);
template <typename Float>
RejectionShares rejected_shares(const RolloutBatch<Float>& batch, double count_epsilon,
                                const std::uint8_t* mask);

template <typename Float>
MismatchMetrics mismatch_metrics(const RolloutBatch<Float>& batch);

// weights: [rows]
template <typename Float>
void gamma_weights(const GammaWeight& rule, const GammaBatch<Float>& batch, Float* weights);

}  // namespace adjudge::rl
