// The policy loss and the exact objective for JavaScript. Float32Array and Float64Array alike, but all
// floating arrays of one call have the same type; src/rl converts, and says what is missing, first.
#include "../rl/exact.h"
#include "../device/rl.h"

#include <cmath>

#include "rl_aggregation.h"
#include "rl_call.h"
#include "rl_kl.h"

namespace adjudge {
namespace {

using namespace rl_arguments;

rl::GammaWeight gamma_weight(const Napi::Object& from) {
  rl::GammaWeight weight;
  weight.shape_positive = number(from, "shapePositive", weight.shape_positive);
  weight.rate_positive = number(from, "ratePositive", weight.rate_positive);
  weight.shape_negative = number(from, "shapeNegative", weight.shape_negative);
  weight.rate_negative = number(from, "rateNegative", weight.rate_negative);
  weight.masked_importance = boolean(from, "maskedImportance", false);
  return weight;
}

rl::CovarianceRule covariance_rule(const Napi::Object& from) {
  rl::CovarianceRule rule;
  rule.share = number(from, "share", rule.share);
  rule.low = number(from, "low", rule.low);
  rule.high = number(from, "high", rule.high);
  rule.kl_coefficient = number(from, "klCoefficient", rule.kl_coefficient);
  return rule;
}

rl::LossRule loss_rule(const Napi::Object& from) {
  using namespace rl;
  LossRule rule;
  rule.kind = choice<LossKind>(from, "kind",
                               {{"policy_gradient", LossKind::policy_gradient},
                                {"clip", LossKind::clip},
                                {"cispo", LossKind::cispo},
                                {"sapo", LossKind::sapo},
                                {"vespo", LossKind::vespo},
                                {"gmpo", LossKind::gmpo},
                                {"dppo_tv", LossKind::dppo_tv},
                                {"dppo_kl", LossKind::dppo_kl},
                                {"dro", LossKind::dro},
                                {"clip_cov", LossKind::clip_cov},
                                {"kl_cov", LossKind::kl_cov}});
  rule.ratio = choice<Ratio>(
      from, "ratio",
      {{"token", Ratio::token}, {"sequence", Ratio::sequence}, {"sequence_sum", Ratio::sequence_sum}});
  rule.ratio_gradient = choice<RatioGradient>(
      from, "ratioGradient", {{"joint", RatioGradient::joint}, {"own_token", RatioGradient::own_token}});
  rule.clip_low = number(from, "clipLow", INFINITY);
  rule.clip_high = number(from, "clipHigh", INFINITY);
  rule.dual_clip = number(from, "dualClip", INFINITY);
  rule.ratio_cap = number(from, "ratioCap", INFINITY);
  rule.log_ratio_low = number(from, "logRatioLow", -INFINITY);
  rule.log_ratio_high = number(from, "logRatioHigh", INFINITY);
  rule.keep_ratio_low = number(from, "keepRatioLow", 0);
  rule.keep_ratio_high = number(from, "keepRatioHigh", INFINITY);
  rule.off_policy_threshold = number(from, "offPolicyThreshold", INFINITY);
  rule.temperature_positive = number(from, "temperaturePositive", rule.temperature_positive);
  rule.temperature_negative = number(from, "temperatureNegative", rule.temperature_negative);
  rule.gamma_weight = gamma_weight(part(from, "gammaWeight"));
  rule.quadratic_coefficient = number(from, "quadraticCoefficient", rule.quadratic_coefficient);
  rule.covariance = covariance_rule(part(from, "covariance"));
  rule.top_entropy_quantile = number(from, "topEntropyQuantile", 1);
  rule.kl = kl_rule(part(from, "kl"));
  rule.entropy_coefficient = number(from, "entropyCoefficient", 0);
  rule.entropy_token_mean = boolean(from, "entropyTokenMean", false);
  rule.aggregation = aggregation_rule(from);
  return rule;
}

constexpr Signature policy_loss_signature("logProbs",
                                          {"logProbs", "oldLogProbs", "referenceLogProbs", "entropies",
                                           "importanceWeights", "rolloutLogProbs", "candidateOrder",
                                           "advantages", "advantagesPerToken", "mask", "cuSeqlens",
                                           "constant", "batchTokens", "batchSequences"},
                                          {"logProbGradients", "entropyGradients"});

template <typename Float>
void policy_loss(rl::LossRule rule, const Call& call, double* numbers) {
  constexpr const Signature& at = policy_loss_signature;
  rl::LossBatch<Float> batch;
  batch.rows = call.offsets(at.at("cuSeqlens"), batch.cu_seqlens);
  const auto tokens = static_cast<std::size_t>(batch.cu_seqlens[batch.rows]);
  batch.log_probs = call.required<Float>(at.at("logProbs"), tokens);
  batch.old_log_probs = call.required<Float>(at.at("oldLogProbs"), tokens);
  batch.reference_log_probs = call.data<Float>(at.at("referenceLogProbs"), tokens);
  batch.entropies = call.data<Float>(at.at("entropies"), tokens);
  batch.importance_weights = call.data<Float>(at.at("importanceWeights"), tokens);
  batch.rollout_log_probs = call.data<Float>(at.at("rolloutLogProbs"), tokens);
  batch.candidate_count = call.length(at.at("candidateOrder"));
  batch.candidate_order = call.data<std::int32_t>(at.at("candidateOrder"), batch.candidate_count);
  batch.mask = call.data<std::uint8_t>(at.at("mask"), tokens);
  batch.advantages_per_token = call.flag(at.at("advantagesPerToken"));
  batch.advantages =
      call.required<Float>(at.at("advantages"), batch.advantages_per_token ? tokens : batch.rows);
  batch.batch_tokens = call.number(at.at("batchTokens"), -1);
  batch.batch_sequences = call.number(at.at("batchSequences"), -1);
  rule.aggregation.constant = call.number(at.at("constant"), rule.aggregation.constant);
  auto* gradients = call.written<Float>(at.at("logProbGradients"), tokens);
  auto* entropy_gradients = call.output<Float>(at.at("entropyGradients"), tokens);

  // The vespo loss multiplies a completion's weights whatever the mask where its record says so.
  const bool all_weights = rule.kind == rl::LossKind::vespo && rule.gamma_weight.masked_importance;
  call.check_finite<Float>(at.at("logProbs"), batch.mask);
  call.check_finite<Float>(at.at("oldLogProbs"), batch.mask);
  call.check_finite<Float>(at.at("referenceLogProbs"), batch.mask);
  call.check_finite<Float>(at.at("entropies"), batch.mask);
  call.check_finite<Float>(at.at("importanceWeights"), all_weights ? nullptr : batch.mask);
  call.check_finite<Float>(at.at("advantages"), batch.advantages_per_token ? batch.mask : nullptr);
  check_cancelled();
  const rl::LossValue value =
      device::policy_loss(device::chosen(), rule, batch, gradients, entropy_gradients);
  const rl::LossMetrics& metrics = value.metrics;
  write_numbers(numbers,
                {value.loss,          metrics.tokens,     metrics.sequences,      metrics.clip_low,
                 metrics.clip_high,   metrics.clip_dual,  metrics.clip_low_min,   metrics.clip_high_max,
                 metrics.clip_token,  metrics.clip_bound, metrics.selected,       metrics.phi,
                 metrics.policy_loss, metrics.kl,         metrics.entropy,        metrics.ratio_mean,
                 metrics.ratio_max,   metrics.old_kl,     metrics.old_kl_bounded, metrics.old_kl_absolute});
}

constexpr Signature exact_signature("choiceLogProbs",
                                    {"choiceLogProbs", "referenceChoiceLogProbs", "rewards", "scored",
                                     "groupOffsets", "batchGroups"},
                                    {"choiceGradients", "probabilities"});

rl::ExactRule exact_rule(const Napi::Object& from) {
  using namespace rl;
  ExactRule rule;
  rule.weights =
      choice<ExactWeights>(from, "weights", {{"softmax", ExactWeights::softmax}, {"raw", ExactWeights::raw}});
  rule.baseline = choice<ExactBaseline>(
      from, "baseline", {{"expected", ExactBaseline::expected}, {"none", ExactBaseline::none}});
  rule.kl_coefficient = number(from, "klCoefficient", 0);
  rule.entropy_coefficient = number(from, "entropyCoefficient", 0);
  return rule;
}

template <typename Float>
void exact_objective(const rl::ExactRule& rule, const Call& call, double* numbers) {
  constexpr const Signature& at = exact_signature;
  rl::ExactBatch<Float> batch;
  batch.groups = call.offsets(at.at("groupOffsets"), batch.group_offsets);
  const auto choices = static_cast<std::size_t>(batch.group_offsets[batch.groups]);
  batch.choice_log_probs = call.required<Float>(at.at("choiceLogProbs"), choices);
  batch.reference_choice_log_probs = call.data<Float>(at.at("referenceChoiceLogProbs"), choices);
  batch.rewards = call.required<Float>(at.at("rewards"), choices);
  batch.scored = call.data<std::uint8_t>(at.at("scored"), choices);
  batch.batch_groups = call.number(at.at("batchGroups"), -1);
  auto* gradients = call.written<Float>(at.at("choiceGradients"), choices);
  auto* probabilities = call.written<Float>(at.at("probabilities"), choices);
  call.check_finite<Float>(at.at("choiceLogProbs"));
  call.check_finite<Float>(at.at("referenceChoiceLogProbs"));
  const rl::ExactResult result = rl::exact_objective(rule, batch);
  copy_into(result.gradients, gradients);
  copy_into(result.probabilities, probabilities);
  write_numbers(numbers, {result.loss, result.expected_reward, result.entropy, result.kl, result.mass,
                          static_cast<double>(result.scored_groups), static_cast<double>(result.dead_groups),
                          static_cast<double>(result.unscored)});
}

}  // namespace

void register_rl(Napi::Env env, Napi::Object exports) {
  export_rl_call(env, exports, "rlPolicyLoss", policy_loss_signature, 20, [](const Napi::Object& from) {
    return either_type([rule = loss_rule(from)](const Call& call, double* numbers, auto type) {
      policy_loss<decltype(type)>(rule, call, numbers);
    });
  });
  export_rl_call(env, exports, "rlExactObjective", exact_signature, 8, [](const Napi::Object& from) {
    return either_type([rule = exact_rule(from)](const Call& call, double* numbers, auto type) {
      device::refuse_without_kernel(device::chosen(), "exactObjective");
      exact_objective<decltype(type)>(rule, call, numbers);
    });
  });
}

}  // namespace adjudge
