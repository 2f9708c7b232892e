// The preference loss for JavaScript.
#include <string>

#include "../device/rl.h"
#include "rl_call.h"

namespace adjudge {
namespace {

using namespace rl_arguments;

rl::PreferenceRule preference_rule(const Napi::Object& from) {
  using namespace rl;
  using Kind = PreferenceKind;
  PreferenceRule rule;
  rule.kind = choice<Kind>(from, "kind",
                           {{"sigmoid", Kind::sigmoid},
                            {"hinge", Kind::hinge},
                            {"ipo", Kind::ipo},
                            {"robust", Kind::robust},
                            {"exo_pair", Kind::exo_pair},
                            {"nca_pair", Kind::nca_pair},
                            {"bco_pair", Kind::bco_pair},
                            {"sppo_hard", Kind::sppo_hard},
                            {"apo_zero", Kind::apo_zero},
                            {"apo_down", Kind::apo_down},
                            {"aot", Kind::aot},
                            {"aot_unpaired", Kind::aot_unpaired},
                            {"discopop", Kind::discopop},
                            {"orpo", Kind::orpo},
                            {"kto", Kind::kto},
                            // The scores of a reward model take the place of log-probs.
                            {"bradley_terry", Kind::sigmoid}});
  rule.divergence = choice<Divergence>(from, "divergence",
                                       {{"reverse_kl", Divergence::reverse_kl},
                                        {"forward_kl", Divergence::forward_kl},
                                        {"js_divergence", Divergence::js_divergence},
                                        {"alpha_divergence", Divergence::alpha_divergence}});
  rule.divergence_alpha = number(from, "divergenceAlpha", rule.divergence_alpha);
  rule.length_normalization = choice<LengthNormalization>(from, "lengthNormalization",
                                                          {{"none", LengthNormalization::none},
                                                           {"log_prob", LengthNormalization::log_prob},
                                                           {"score", LengthNormalization::score}});
  rule.beta = number(from, "beta", rule.beta);
  rule.label_smoothing = number(from, "labelSmoothing", rule.label_smoothing);
  rule.target_margin = number(from, "targetMargin", rule.target_margin);
  rule.temperature = number(from, "temperature", rule.temperature);
  rule.nll_coefficient = number(from, "nllCoefficient", rule.nll_coefficient);
  rule.center_coefficient = number(from, "centerCoefficient", rule.center_coefficient);
  rule.desirable_weight = number(from, "desirableWeight", rule.desirable_weight);
  rule.undesirable_weight = number(from, "undesirableWeight", rule.undesirable_weight);
  return rule;
}

// Of log-probs, or of scores: the same arguments at the same positions.
consteval Signature signature_of(const char* values) {
  return {values,
          {values, "referenceLogProbs", "cuSeqlens", "mask", "nllMask", "lengths", "chosen", "rejected",
           "margins", "weights", "desirable", "mismatchedLogProbs", "mismatchedReferenceLogProbs",
           "klBaseline", "batchSize", "batchTokens"},
          {"gradients"}};
}

constexpr Signature log_prob_signature = signature_of("logProbs");
constexpr Signature score_signature = signature_of("scores");

void check_indices(const char* name, const std::int32_t* values, std::size_t pairs, std::size_t completions) {
  for (std::size_t p = 0; p < pairs; ++p) {
    if (values[p] >= 0 && static_cast<std::size_t>(values[p]) < completions) continue;
    invalid(std::string(name) + "[" + std::to_string(p) + "]",
            "the index of one of the " + std::to_string(completions) + " completions and not " +
                std::to_string(values[p]));
  }
}

void check_pairs(const std::int32_t* chosen, const std::int32_t* rejected, std::size_t pairs,
                 std::size_t completions) {
  // One pass without branches where all is well.
  const auto limit = static_cast<std::uint32_t>(completions);
  bool wrong = false;
  for (std::size_t p = 0; p < pairs; ++p) {
    wrong |= static_cast<std::uint32_t>(chosen[p]) >= limit ||
             static_cast<std::uint32_t>(rejected[p]) >= limit || chosen[p] == rejected[p];
  }
  if (!wrong) return;
  check_indices("chosen", chosen, pairs, completions);
  check_indices("rejected", rejected, pairs, completions);
  for (std::size_t p = 0; p < pairs; ++p) {
    if (chosen[p] != rejected[p]) continue;
    throw Error("ARGUMENT_INVALID", "chosen[" + std::to_string(p) + "]: completion " +
                                        std::to_string(chosen[p]) +
                                        " is chosen and rejected in one pair; expected two of them");
  }
}

template <typename Float>
rl::PreferenceBatch<Float> batch_of(const rl::PreferenceRule& rule, const Call& call, std::size_t& values) {
  constexpr const Signature& at = log_prob_signature;
  rl::PreferenceBatch<Float> batch;
  values = call.length(0);
  if (call.given(at.at("cuSeqlens"))) {
    batch.completions = call.offsets(at.at("cuSeqlens"), batch.cu_seqlens);
    values = static_cast<std::size_t>(batch.cu_seqlens[batch.completions]);
    batch.mask = call.data<std::uint8_t>(at.at("mask"), values);
    batch.nll_mask = call.data<std::uint8_t>(at.at("nllMask"), values);
  } else {
    batch.completions = values;
    batch.lengths = call.data<std::int32_t>(at.at("lengths"), values);
  }
  batch.log_probs = call.required<Float>(0, values);
  batch.reference_log_probs = call.data<Float>(at.at("referenceLogProbs"), values);
  std::size_t terms = batch.completions;
  if (rule.kind == rl::PreferenceKind::kto) {
    batch.desirable = call.required<std::uint8_t>(at.at("desirable"), batch.completions);
    batch.mismatched = call.length(at.at("mismatchedLogProbs"));
    batch.mismatched_log_probs = call.data<Float>(at.at("mismatchedLogProbs"), batch.mismatched);
    if (batch.mismatched_log_probs) {
      batch.mismatched_reference_log_probs =
          call.required<Float>(at.at("mismatchedReferenceLogProbs"), batch.mismatched);
    }
  } else {
    batch.pairs = terms = call.length(at.at("chosen"));
    batch.chosen = call.required<std::int32_t>(at.at("chosen"), batch.pairs);
    batch.rejected = call.required<std::int32_t>(at.at("rejected"), batch.pairs);
    batch.margins = call.data<Float>(at.at("margins"), batch.pairs);
    check_pairs(batch.chosen, batch.rejected, batch.pairs, batch.completions);
  }
  batch.weights = call.data<Float>(at.at("weights"), terms);
  batch.kl_baseline = call.number(at.at("klBaseline"), 0);
  batch.batch_size = call.number(at.at("batchSize"), -1);
  batch.batch_tokens = call.number(at.at("batchTokens"), -1);
  return batch;
}

template <typename Float>
void preference_loss(const rl::PreferenceRule& rule, const Call& call, double* numbers) {
  constexpr const Signature& at = log_prob_signature;
  std::size_t values = 0;
  const rl::PreferenceBatch<Float> batch = batch_of<Float>(rule, call, values);
  auto* gradients = call.written<Float>(at.at("gradients"), values);
  call.check_finite<Float>(0, batch.mask);
  // A token that only the token loss counts must be finite too.
  if (batch.nll_mask && batch.mask) call.check_finite<Float>(0, batch.nll_mask);
  call.check_finite<Float>(at.at("referenceLogProbs"), batch.mask);
  call.check_finite<Float>(at.at("margins"));
  call.check_finite<Float>(at.at("weights"));
  call.check_finite<Float>(at.at("mismatchedLogProbs"));
  call.check_finite<Float>(at.at("mismatchedReferenceLogProbs"));
  check_cancelled();
  const rl::PreferenceValue value = device::preference_loss(device::chosen(), rule, batch, gradients);
  const rl::PreferenceMetrics& metrics = value.metrics;
  write_numbers(numbers, {value.loss, metrics.reward_chosen, metrics.reward_rejected, metrics.accuracy,
                          metrics.margin, metrics.log_prob_chosen, metrics.log_prob_rejected, metrics.nll,
                          metrics.log_odds, metrics.log_sigmoid_odds, metrics.kl, metrics.reward_least,
                          metrics.reward_mean, metrics.reward_most});
}

}  // namespace

void register_rl_preference(Napi::Env env, Napi::Object exports) {
  const auto work = [](const Napi::Object& from) {
    return either_type([rule = preference_rule(from)](const Call& call, double* numbers, auto type) {
      preference_loss<decltype(type)>(rule, call, numbers);
    });
  };
  export_rl_call(env, exports, "rlPreferenceLoss", log_prob_signature, 14, work);
  export_rl_call(env, exports, "rlPreferenceScoreLoss", score_signature, 14, work);
}

}  // namespace adjudge
