// The preference loss for JavaScript: synchronous, typed arrays in and out.
#include "../rl/preference_loss.h"

#include <string>

#include "rl_arguments.h"

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

// [pairs]: each the index of a completion.
const std::int32_t* indices(const Napi::Object& input, const char* name, std::size_t pairs,
                            std::size_t completions) {
  const std::int32_t* values = required<std::int32_t>(input, name, pairs);
  for (std::size_t p = 0; p < pairs; ++p) {
    if (values[p] >= 0 && static_cast<std::size_t>(values[p]) < completions) continue;
    invalid(std::string(name) + "[" + std::to_string(p) + "]",
            "the index of one of the " + std::to_string(completions) + " completions and not " +
                std::to_string(values[p]));
  }
  return values;
}

template <typename Float>
Napi::Value preference_loss(Napi::Env env, const Napi::Object& from, const Napi::Object& input) {
  const rl::PreferenceRule rule = preference_rule(from);
  rl::PreferenceBatch<Float> batch;
  std::size_t values = length_of(input, "logProbs");
  if (absent(input.Get("cuSeqlens"))) {
    batch.completions = values;
    batch.lengths = data<std::int32_t>(input, "lengths", values);
  } else {
    batch.completions = offsets(input, "cuSeqlens", batch.cu_seqlens);
    values = static_cast<std::size_t>(batch.cu_seqlens[batch.completions]);
    batch.mask = data<std::uint8_t>(input, "mask", values);
    batch.nll_mask = data<std::uint8_t>(input, "nllMask", values);
  }
  batch.log_probs = required<Float>(input, "logProbs", values);
  batch.reference_log_probs = data<Float>(input, "referenceLogProbs", values);
  std::size_t terms = batch.completions;
  if (rule.kind == rl::PreferenceKind::kto) {
    batch.desirable = required<std::uint8_t>(input, "desirable", batch.completions);
    batch.mismatched = length_of(input, "mismatchedLogProbs");
    batch.mismatched_log_probs = data<Float>(input, "mismatchedLogProbs", batch.mismatched);
    if (batch.mismatched_log_probs) {
      batch.mismatched_reference_log_probs =
          required<Float>(input, "mismatchedReferenceLogProbs", batch.mismatched);
    }
  } else {
    batch.pairs = length_of(input, "chosen");
    batch.chosen = indices(input, "chosen", batch.pairs, batch.completions);
    batch.rejected = indices(input, "rejected", batch.pairs, batch.completions);
    batch.margins = data<Float>(input, "margins", batch.pairs);
    terms = batch.pairs;
  }
  batch.weights = data<Float>(input, "weights", terms);
  batch.kl_baseline = number(input, "klBaseline", 0);
  batch.batch_size = number(input, "batchSize", -1);
  batch.batch_tokens = number(input, "batchTokens", -1);

  auto gradients = Napi::TypedArrayOf<Float>::New(env, values, float_type<Float>);
  const rl::PreferenceValue value = rl::preference_loss(rule, batch, gradients.Data());
  Napi::Object metrics = Napi::Object::New(env);
  metrics.Set("rewardChosen", value.metrics.reward_chosen);
  metrics.Set("rewardRejected", value.metrics.reward_rejected);
  metrics.Set("accuracy", value.metrics.accuracy);
  metrics.Set("margin", value.metrics.margin);
  metrics.Set("logProbChosen", value.metrics.log_prob_chosen);
  metrics.Set("logProbRejected", value.metrics.log_prob_rejected);
  metrics.Set("nll", value.metrics.nll);
  metrics.Set("logOdds", value.metrics.log_odds);
  metrics.Set("logSigmoidOdds", value.metrics.log_sigmoid_odds);
  metrics.Set("kl", value.metrics.kl);
  metrics.Set("rewardLeast", value.metrics.reward_least);
  metrics.Set("rewardMean", value.metrics.reward_mean);
  metrics.Set("rewardMost", value.metrics.reward_most);
  Napi::Object out = Napi::Object::New(env);
  out.Set("loss", value.loss);
  out.Set("gradients", gradients);
  out.Set("metrics", metrics);
  return out;
}

}  // namespace

void register_rl_preference(Napi::Env env, Napi::Object exports) {
  set_kernel(env, exports, "rlPreferenceLoss", "logProbs", preference_loss<float>, preference_loss<double>);
}

}  // namespace adjudge
