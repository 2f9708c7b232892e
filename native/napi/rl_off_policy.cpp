// Corrections for completions of another policy, for JavaScript.
#include "../device/rl.h"
#include "../rl/finite.h"

#include <cmath>

#include "rl_call.h"

namespace adjudge {
namespace {

using namespace rl_arguments;

// What becomes of a NaN among the rollout's log-probs.
enum class Missing { error, ratio_one };

Missing missing_of(const Napi::Object& from) {
  return choice<Missing>(from, "missing", {{"error", Missing::error}, {"ratio_one", Missing::ratio_one}});
}

// NaN is refused or stands for a log-prob that was not reported; infinity is always refused.
template <typename Float>
void check_rollout(const Call& call, std::size_t at, const rl::RolloutBatch<Float>& batch, Missing missing) {
  const auto count = static_cast<std::size_t>(batch.cu_seqlens[batch.rows]);
  const Float* values = batch.rollout_log_probs;
  std::size_t index = 0;
  for (;; ++index) {
    check_cancelled();
    index += rl::first_not_finite(values + index, batch.mask ? batch.mask + index : nullptr, count - index);
    if (index == count) return;
    if (missing == Missing::error || !std::isnan(values[index])) break;
  }
  const bool nan = std::isnan(values[index]);
  call.refuse_not_finite(at, index, values[index], nan ? "; or set \"missing\" to ratio_one" : "");
}

// Where the arguments of a rollout stand in a call.
struct RolloutPlaces {
  std::size_t log_probs, rollout_log_probs, advantages, mask, cu_seqlens;
};

consteval RolloutPlaces rollout_places(const Signature& at) {
  return {at.at("logProbs"), at.at("rolloutLogProbs"), at.at("advantages"), at.at("mask"),
          at.at("cuSeqlens")};
}

template <typename Float>
rl::RolloutBatch<Float> rollout_batch(const Call& call, const RolloutPlaces& at) {
  rl::RolloutBatch<Float> batch;
  batch.rows = call.offsets(at.cu_seqlens, batch.cu_seqlens);
  const auto tokens = static_cast<std::size_t>(batch.cu_seqlens[batch.rows]);
  batch.log_probs = call.required<Float>(at.log_probs, tokens);
  batch.rollout_log_probs = call.required<Float>(at.rollout_log_probs, tokens);
  batch.advantages = call.data<Float>(at.advantages, batch.rows);
  batch.mask = call.data<std::uint8_t>(at.mask, tokens);
  return batch;
}

template <typename Float>
void check_batch(const Call& call, const RolloutPlaces& at, const rl::RolloutBatch<Float>& batch,
                 Missing missing) {
  call.check_finite<Float>(at.log_probs, batch.mask);
  check_rollout(call, at.rollout_log_probs, batch, missing);
  call.check_finite<Float>(at.advantages);
  check_cancelled();
}

rl::WeightRule weight_rule(const Napi::Object& from) {
  using namespace rl;
  WeightRule rule;
  rule.level = choice<WeightLevel>(from, "level",
                                   {{"token", WeightLevel::token}, {"sequence", WeightLevel::sequence}});
  rule.gate = choice<WeightGate>(from, "gate",
                                 {{"weight", WeightGate::weight},
                                  {"geometric_mean", WeightGate::geometric_mean},
                                  {"binary_kl", WeightGate::binary_kl},
                                  {"binary_kl_mean", WeightGate::binary_kl_mean},
                                  {"total_variation", WeightGate::total_variation},
                                  {"total_variation_mean", WeightGate::total_variation_mean}});
  rule.outside =
      choice<OutsideBand>(from, "outside", {{"clip", OutsideBand::clip}, {"zero", OutsideBand::zero}});
  rule.low = number(from, "low", rule.low);
  rule.high = number(from, "high", rule.high);
  rule.log_ratio_limit = number(from, "logRatioLimit", rule.log_ratio_limit);
  rule.normalize = boolean(from, "normalize", false);
  rule.count_epsilon = number(from, "countEpsilon", 0);
  return rule;
}

constexpr Signature weights_signature("logProbs",
                                      {"logProbs", "rolloutLogProbs", "advantages", "mask", "cuSeqlens"},
                                      {"weights", "sequenceWeights"});

template <typename Float>
void check_weights(const Float* weights, std::size_t tokens) {
  const std::size_t index = rl::first_not_finite(weights, nullptr, tokens);
  if (index == tokens) return;
  throw Error("ARGUMENT_INVALID", "the importance weight of token " + std::to_string(index) + " is " +
                                      (std::isnan(weights[index]) ? "NaN" : "Infinity") +
                                      ": set \"importance.high\" or \"log_ratio_limit\"");
}

template <typename Float>
void importance_weights(const rl::WeightRule& rule, Missing missing, const Call& call, double* numbers) {
  constexpr const Signature& at = weights_signature;
  constexpr RolloutPlaces places = rollout_places(at);
  const auto batch = rollout_batch<Float>(call, places);
  const auto tokens = static_cast<std::size_t>(batch.cu_seqlens[batch.rows]);
  auto* weights = call.written<Float>(at.at("weights"), tokens);
  auto* sequences = call.output<Float>(at.at("sequenceWeights"), batch.rows);
  if (rule.level == rl::WeightLevel::sequence && !sequences) invalid("sequenceWeights", "a typed array");
  check_batch(call, places, batch, missing);
  const rl::WeightMetrics values =
      device::importance_weights(device::chosen(), rule, batch, weights, sequences);
  check_weights(weights, tokens);
  write_numbers(numbers, {values.minimum,
                          values.mean,
                          values.maximum,
                          values.raw_minimum,
                          values.raw_maximum,
                          values.token_mean,
                          values.deviation,
                          values.effective_sample_size,
                          values.fraction_high,
                          values.fraction_low,
                          values.outside_tokens,
                          values.outside,
                          values.sequence_mean,
                          values.sequence_deviation,
                          values.sequence_maximum,
                          values.sequence_minimum,
                          values.sequence_max_deviation,
                          values.sequence_fraction_high,
                          values.sequence_fraction_low,
                          values.normalizer});
}

rl::Criterion criterion(const Napi::Object& from) {
  using namespace rl;
  Criterion result;
  result.statistic = choice<RejectionStatistic>(from, "statistic",
                                                {{"ratio", RejectionStatistic::ratio},
                                                 {"k1", RejectionStatistic::k1},
                                                 {"k2", RejectionStatistic::k2},
                                                 {"k3", RejectionStatistic::k3},
                                                 {"binary_kl", RejectionStatistic::binary_kl},
                                                 {"total_variation", RejectionStatistic::total_variation}});
  result.level = choice<RejectionLevel>(from, "level",
                                        {{"token", RejectionLevel::token},
                                         {"sequence_sum", RejectionLevel::sequence_sum},
                                         {"sequence_mean", RejectionLevel::sequence_mean},
                                         {"sequence_max", RejectionLevel::sequence_max}});
  result.low = number(from, "low", result.low);
  result.high = number(from, "high", result.high);
  result.only_negative = boolean(from, "onlyNegative", false);
  return result;
}

rl::RejectionRule rejection_rule(const Napi::Object& from) {
  rl::RejectionRule rule;
  rule.log_ratio_limit = number(from, "logRatioLimit", rule.log_ratio_limit);
  rule.count_epsilon = number(from, "countEpsilon", 0);
  if (!from.Get("criteria").IsArray()) invalid("criteria", "an array");
  const auto criteria = from.Get("criteria").As<Napi::Array>();
  for (std::uint32_t i = 0; i < criteria.Length(); ++i) {
    if (!criteria.Get(i).IsObject()) invalid("criteria", "records");
    rule.criteria.push_back(criterion(criteria.Get(i).As<Napi::Object>()));
  }
  return rule;
}

constexpr Signature rejection_signature("logProbs",
                                        {"logProbs", "rolloutLogProbs", "advantages", "mask", "cuSeqlens"},
                                        {"kept", "keep", "criterionMetrics"});

// criterionMetrics: a row for each criterion, its columns in the order of the record's fields.
constexpr std::size_t criterion_columns = sizeof(rl::CriterionMetrics) / sizeof(double);

template <typename Float>
void rejection_mask(const rl::RejectionRule& rule, Missing missing, const Call& call, double* numbers) {
  constexpr const Signature& at = rejection_signature;
  constexpr RolloutPlaces places = rollout_places(at);
  const auto batch = rollout_batch<Float>(call, places);
  const auto tokens = static_cast<std::size_t>(batch.cu_seqlens[batch.rows]);
  const std::size_t criteria = rule.criteria.size();
  auto* kept = call.written<std::uint8_t>(at.at("kept"), tokens);
  auto* keep = call.written<std::uint8_t>(at.at("keep"), batch.rows);
  auto* columns = call.written<double>(at.at("criterionMetrics"), criteria * criterion_columns);
  for (const rl::Criterion& each : rule.criteria) {
    if (each.only_negative && !batch.advantages) invalid("advantages", "one per completion");
  }
  check_batch(call, places, batch, missing);
  std::vector<rl::CriterionMetrics> metrics(criteria);
  const rl::RejectionShares shares =
      device::rejection_mask(device::chosen(), rule, batch, kept, keep, metrics.data());
  for (const rl::CriterionMetrics& values : metrics) {
    write_numbers(
        columns,
        {values.mean, values.maximum, values.minimum, values.deviation, values.fraction_high,
         values.fraction_low, values.sequence_mean, values.sequence_deviation, values.sequence_maximum,
         values.sequence_minimum, values.sequence_max_deviation, values.sequence_fraction_high,
         values.sequence_fraction_low, values.masked_fraction, values.sequence_masked_fraction});
    columns += criterion_columns;
  }
  write_numbers(numbers, {shares.masked, shares.sequences});
}

constexpr Signature mismatch_signature("logProbs",
                                       {"logProbs", "rolloutLogProbs", "advantages", "mask", "cuSeqlens"},
                                       {});

template <typename Float>
void mismatch_metrics(const Call& call, double* numbers) {
  constexpr RolloutPlaces places = rollout_places(mismatch_signature);
  const auto batch = rollout_batch<Float>(call, places);
  check_batch(call, places, batch, Missing::ratio_one);
  const rl::MismatchMetrics values = device::mismatch_metrics(device::chosen(), batch);
  write_numbers(numbers,
                {values.training_perplexity, values.training_log_perplexity, values.rollout_perplexity,
                 values.rollout_log_perplexity, values.kl, values.k3, values.log_perplexity_difference,
                 values.log_perplexity_absolute_difference, values.log_perplexity_difference_maximum,
                 values.log_perplexity_difference_minimum, values.perplexity_ratio, values.chi2_token,
                 values.chi2_sequence, values.difference_mean, values.difference_maximum, values.missing});
}

constexpr Signature gamma_signature("logProbs",
                                    {"logProbs", "oldLogProbs", "importanceWeights", "advantages", "mask",
                                     "cuSeqlens"},
                                    {"weights"});

rl::GammaWeight gamma_rule(const Napi::Object& from) {
  rl::GammaWeight rule;
  rule.shape_positive = number(from, "shapePositive", rule.shape_positive);
  rule.rate_positive = number(from, "ratePositive", rule.rate_positive);
  rule.shape_negative = number(from, "shapeNegative", rule.shape_negative);
  rule.rate_negative = number(from, "rateNegative", rule.rate_negative);
  return rule;
}

template <typename Float>
void gamma_weights(const rl::GammaWeight& rule, const Call& call) {
  constexpr const Signature& at = gamma_signature;
  rl::GammaBatch<Float> batch;
  batch.rows = call.offsets(at.at("cuSeqlens"), batch.cu_seqlens);
  const auto tokens = static_cast<std::size_t>(batch.cu_seqlens[batch.rows]);
  batch.log_probs = call.required<Float>(at.at("logProbs"), tokens);
  batch.old_log_probs = call.required<Float>(at.at("oldLogProbs"), tokens);
  batch.importance_weights = call.data<Float>(at.at("importanceWeights"), tokens);
  batch.advantages = call.required<Float>(at.at("advantages"), batch.rows);
  batch.mask = call.data<std::uint8_t>(at.at("mask"), tokens);
  auto* weights = call.written<Float>(at.at("weights"), batch.rows);
  for (const std::size_t place : {at.at("logProbs"), at.at("oldLogProbs"), at.at("importanceWeights")}) {
    call.check_finite<Float>(place, batch.mask);
  }
  call.check_finite<Float>(at.at("advantages"));
  check_cancelled();
  device::gamma_weights(device::chosen(), rule, batch, weights);
}

}  // namespace

void register_rl_off_policy(Napi::Env env, Napi::Object exports) {
  export_rl_call(env, exports, "rlImportanceWeights", weights_signature, 20, [](const Napi::Object& from) {
    return either_type(
        [rule = weight_rule(from), missing = missing_of(from)](const Call& call, double* numbers, auto type) {
          importance_weights<decltype(type)>(rule, missing, call, numbers);
        });
  });
  export_rl_call(env, exports, "rlRejectionMask", rejection_signature, 2, [](const Napi::Object& from) {
    return either_type([rule = rejection_rule(from), missing = missing_of(from)](const Call& call,
                                                                                 double* numbers, auto type) {
      rejection_mask<decltype(type)>(rule, missing, call, numbers);
    });
  });
  export_rl_call(env, exports, "rlMismatchMetrics", mismatch_signature, 16, [](const Napi::Object&) {
    return either_type([](const Call& call, double* numbers, auto type) {
      mismatch_metrics<decltype(type)>(call, numbers);
    });
  });
  export_rl_call(env, exports, "rlGammaWeights", gamma_signature, 0, [](const Napi::Object& from) {
    return either_type([rule = gamma_rule(from)](const Call& call, double*, auto type) {
      gamma_weights<decltype(type)>(rule, call);
    });
  });
}

}  // namespace adjudge
