// The calls of native/rl on the device of one's choice. Each takes the arrays of the host, and for CUDA
// copies them to the device and the results back; both compute in float32 with sums in 64 bits and agree to
// 1e-5 x (1 + |value|). What is wrong with the data is told by the error of the processor's own call. Throw
// Error DEVICE_UNAVAILABLE, DEVICE_UNSUPPORTED, DEVICE_MEMORY and DEVICE_FAILED besides.
#pragma once

#include "device/choice.h"
#include "rl/advantage.h"
#include "rl/dueling.h"
#include "rl/gae.h"
#include "rl/kl_reward.h"
#include "rl/kl_rows.h"
#include "rl/kl_tokens.h"
#include "rl/off_policy.h"
#include "rl/logits.h"
#include "rl/off_policy_returns.h"
#include "rl/policy_loss.h"
#include "rl/polyak.h"
#include "rl/preference_loss.h"
#include "rl/q_loss.h"
#include "rl/q_targets.h"
#include "rl/value_loss.h"

namespace adjudge::device {

template <typename Float>
rl::AdvantageMetrics compute_advantages(Choice choice, const rl::AdvantageRule& rule,
                                        const rl::AdvantageBatch<Float>& batch, Float* advantages,
                                        Float* returns);

template <typename Float>
void gae(Choice choice, const rl::GaeRule& rule, const rl::GaeBatch<Float>& batch, Float* advantages,
         Float* returns);

template <typename Float>
void vtrace(Choice choice, const rl::VtraceRule& rule, const rl::ReturnsBatch<Float>& batch, Float* targets,
            Float* advantages);

template <typename Float>
void retrace(Choice choice, const rl::RetraceRule& rule, const rl::ReturnsBatch<Float>& batch,
             Float* targets);

template <typename Float>
void upgo(Choice choice, const rl::UpgoRule& rule, const rl::ReturnsBatch<Float>& batch, Float* returns,
          Float* advantages);

template <typename Float>
rl::LossValue policy_loss(Choice choice, const rl::LossRule& rule, const rl::LossBatch<Float>& batch,
                          Float* log_prob_gradients, Float* entropy_gradients);

template <typename Float>
rl::ValueLossResult value_loss(Choice choice, const rl::ValueRule& rule, const rl::ValueBatch<Float>& batch,
                               Float* gradients);

template <typename Float>
void kl_rows(Choice choice, rl::KlDirection direction, const rl::KlRowsBatch<Float>& batch, Float* values,
             Float* gradients);

template <typename Float>
void logits_statistics(Choice choice, const rl::LogitsBatch<Float>& batch,
                       const rl::LogitsStatistics<Float>& statistics);

// gradients: [rows, width], not the logits' memory.
template <typename Float>
void logits_gradient(Choice choice, const rl::LogitsBatch<Float>& batch,
                     const rl::LogitsCoefficients<Float>& coefficients, Float* gradients);

template <typename Float>
void kl_tokens(Choice choice, const rl::KlRule& rule, const rl::KlTokensBatch<Float>& batch, Float* values,
               Float* gradients);

template <typename Float>
rl::KlRewardMetrics kl_reward(Choice choice, const rl::KlRewardRule& rule,
                              const rl::KlRewardBatch<Float>& batch, Float* results);

template <typename Float>
rl::WeightMetrics importance_weights(Choice choice, const rl::WeightRule& rule,
                                     const rl::RolloutBatch<Float>& batch, Float* weights, Float* sequences);

template <typename Float>
rl::RejectionShares rejection_mask(Choice choice, const rl::RejectionRule& rule,
                                   const rl::RolloutBatch<Float>& batch, std::uint8_t* mask,
                                   std::uint8_t* keep, rl::CriterionMetrics* criteria);

template <typename Float>
rl::MismatchMetrics mismatch_metrics(Choice choice, const rl::RolloutBatch<Float>& batch);

template <typename Float>
void gamma_weights(Choice choice, const rl::GammaWeight& rule, const rl::GammaBatch<Float>& batch,
                   Float* weights);

template <typename Float>
void q_targets(Choice choice, const rl::QTargetRule& rule, const rl::QTargetBatch<Float>& batch,
               Float* targets);

template <typename Float>
rl::QLossValue q_loss(Choice choice, const rl::QLossRule& rule, const rl::QLossBatch<Float>& batch);

template <typename Float>
void dueling_q(Choice choice, rl::DuelingCentre centre, const rl::DuelingShape& shape, const Float* values,
               const Float* advantages, Float* q);

template <typename Float>
void dueling_gradients(Choice choice, rl::DuelingCentre centre, const rl::DuelingShape& shape,
                       const Float* advantages, const Float* q_gradients, Float* value_gradients,
                       Float* advantage_gradients);

template <typename Float>
void polyak_average(Choice choice, double rate, const Float* online, Float* target, std::size_t count);

// gradients: as batch.log_probs, `values` of them.
template <typename Float>
rl::PreferenceValue preference_loss(Choice choice, const rl::PreferenceRule& rule,
                                    const rl::PreferenceBatch<Float>& batch, Float* gradients);

}  // namespace adjudge::device
