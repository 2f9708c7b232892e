// The RL kernels for JavaScript: synchronous, typed arrays in and out. Float32Array and Float64Array alike,
// but all floating arrays of one call have the same type; src/rl sees to the lengths and names the wrong
// field first.
#include "../rl/advantage.h"
#include "../rl/exact.h"
#include "../rl/kl.h"
#include "../rl/policy_loss.h"

#include <cmath>
#include <string>
#include <utility>

#include "../core/error.h"
#include "jobs.h"
#include "setup.h"

namespace adjudge {
namespace {

[[noreturn]] void invalid(const std::string& name, const std::string& expected) {
  throw Error{"ARGUMENT_INVALID", name + ": expected " + expected};
}

bool absent(const Napi::Value& value) { return value.IsUndefined() || value.IsNull(); }

// null and a missing key mean `otherwise`.
double number(const Napi::Object& object, const char* name, double otherwise) {
  const Napi::Value value = object.Get(name);
  if (absent(value)) return otherwise;
  if (!value.IsNumber()) invalid(name, "a number");
  return value.As<Napi::Number>().DoubleValue();
}

bool boolean(const Napi::Object& object, const char* name, bool otherwise) {
  const Napi::Value value = object.Get(name);
  if (absent(value)) return otherwise;
  if (!value.IsBoolean()) invalid(name, "true or false");
  return value.As<Napi::Boolean>().Value();
}

template <typename Choice>
Choice choice(const Napi::Object& object, const char* name,
              std::initializer_list<std::pair<const char*, Choice>> choices) {
  const Napi::Value value = object.Get(name);
  const std::string text = value.IsString() ? value.As<Napi::String>().Utf8Value() : "";
  for (const auto& [word, meaning] : choices) {
    if (text == word) return meaning;
  }
  std::string words;
  for (const auto& entry : choices) words += (words.empty() ? "" : ", ") + std::string(entry.first);
  invalid(name, "one of " + words);
}

Napi::Object part(const Napi::Object& object, const char* name) {
  const Napi::Value value = object.Get(name);
  if (!value.IsObject()) invalid(name, "an object");
  return value.As<Napi::Object>();
}

template <typename Float>
constexpr napi_typedarray_type float_type = sizeof(Float) == 4 ? napi_float32_array : napi_float64_array;

template <typename Element>
constexpr napi_typedarray_type array_type() {
  if constexpr (std::is_same_v<Element, std::uint8_t>) return napi_uint8_array;
  if constexpr (std::is_same_v<Element, std::int32_t>) return napi_int32_array;
  return float_type<Element>;
}

// The data of an optional typed array, its length checked. Null where absent.
template <typename Element>
const Element* data(const Napi::Object& object, const char* name, std::size_t length) {
  const Napi::Value value = object.Get(name);
  if (absent(value)) return nullptr;
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != array_type<Element>()) {
    invalid(name, "a typed array of the call's element type");
  }
  const auto array = value.As<Napi::TypedArrayOf<Element>>();
  if (array.ElementLength() != length) {
    invalid(name, std::to_string(length) + " elements and not " + std::to_string(array.ElementLength()));
  }
  return array.Data();
}

template <typename Element>
const Element* required(const Napi::Object& object, const char* name, std::size_t length) {
  if (absent(object.Get(name))) invalid(name, "a typed array");
  return data<Element>(object, name, length);
}

std::size_t length_of(const Napi::Object& object, const char* name) {
  const Napi::Value value = object.Get(name);
  return value.IsTypedArray() ? value.As<Napi::TypedArray>().ElementLength() : 0;
}

bool is_double(const Napi::Object& object, const char* name) {
  const Napi::Value value = object.Get(name);
  if (!value.IsTypedArray()) invalid(name, "a Float32Array or Float64Array");
  const auto type = value.As<Napi::TypedArray>().TypedArrayType();
  if (type != napi_float32_array && type != napi_float64_array)
    invalid(name, "a Float32Array or Float64Array");
  return type == napi_float64_array;
}

// Boundaries of ranges: 0 first, never falling. Returns the number of ranges.
std::size_t offsets(const Napi::Object& object, const char* name, const std::int32_t*& values) {
  const std::size_t length = length_of(object, name);
  if (length == 0) invalid(name, "an Int32Array that starts with 0");
  values = required<std::int32_t>(object, name, length);
  if (values[0] != 0) invalid(name, "0 as its first element");
  for (std::size_t i = 1; i < length; ++i) {
    if (values[i] < values[i - 1])
      invalid(name, "elements that never fall (index " + std::to_string(i) + ")");
  }
  return length - 1;
}

template <typename Float, typename Values>
Napi::TypedArrayOf<Float> array_of(Napi::Env env, const Values& values) {
  auto array = Napi::TypedArrayOf<Float>::New(env, values.size(), float_type<Float>);
  for (std::size_t i = 0; i < values.size(); ++i) array[i] = static_cast<Float>(values[i]);
  return array;
}

rl::AdvantageRule advantage_rule(const Napi::Object& from) {
  using namespace rl;
  AdvantageRule rule;
  rule.baseline = choice<Baseline>(from, "baseline",
                                   {{"group", Baseline::group},
                                    {"batch", Baseline::batch},
                                    {"leave_one_out", Baseline::leave_one_out},
                                    {"length_weighted", Baseline::length_weighted},
                                    {"none", Baseline::none}});
  rule.scale = choice<Scale>(from, "scale",
                             {{"group", Scale::group},
                              {"batch", Scale::batch},
                              {"batch_advantage", Scale::batch_advantage},
                              {"none", Scale::none}});
  rule.epsilon = number(from, "epsilon", rule.epsilon);
  rule.bessel = boolean(from, "bessel", rule.bessel);
  rule.singleton =
      choice<Singleton>(from, "singleton", {{"zero", Singleton::zero}, {"reward", Singleton::reward}});
  rule.clip_low = number(from, "clipLow", rule.clip_low);
  rule.clip_high = number(from, "clipHigh", rule.clip_high);
  rule.clip_place = choice<ClipPlace>(
      from, "clipPlace",
      {{"before_baseline", ClipPlace::before_baseline}, {"after_baseline", ClipPlace::after_baseline}});
  rule.gamma = number(from, "gamma", rule.gamma);
  rule.masked_return = choice<MaskedReturn>(
      from, "maskedReturn", {{"skip", MaskedReturn::skip}, {"through", MaskedReturn::through}});
  rule.penalty_per_token = boolean(from, "penaltyPerToken", false);
  if (absent(from.Get("whitening"))) return rule;
  const Napi::Object whitening = part(from, "whitening");
  rule.whitening.enabled = true;
  rule.whitening.scale = boolean(whitening, "scale", true);
  rule.whitening.bessel = boolean(whitening, "bessel", true);
  rule.whitening.epsilon = number(whitening, "epsilon", rule.whitening.epsilon);
  rule.whitening.epsilon_rule = choice<EpsilonRule>(
      whitening, "epsilonRule", {{"add", EpsilonRule::add}, {"floor", EpsilonRule::floor}});
  rule.whitening.count_epsilon = number(whitening, "countEpsilon", 0);
  return rule;
}

template <typename Float>
Napi::Value advantages(Napi::Env env, const Napi::Object& from, const Napi::Object& input) {
  const rl::AdvantageRule rule = advantage_rule(from);
  rl::AdvantageBatch<Float> batch;
  batch.groups = offsets(input, "groupOffsets", batch.group_offsets);
  const auto rows = static_cast<std::size_t>(batch.group_offsets[batch.groups]);
  batch.functions = static_cast<std::size_t>(number(input, "functions", 1));
  batch.rewards = required<Float>(input, "rewards", rows * batch.functions);
  batch.weights = data<double>(input, "weights", batch.functions);
  batch.scored = data<std::uint8_t>(input, "scored", rows);
  if (!absent(input.Get("cuSeqlens"))) {
    if (offsets(input, "cuSeqlens", batch.cu_seqlens) != rows)
      invalid("cuSeqlens", "completions + 1 elements");
    const auto tokens = static_cast<std::size_t>(batch.cu_seqlens[rows]);
    batch.mask = data<std::uint8_t>(input, "mask", tokens);
    batch.penalties = data<Float>(input, "penalties", tokens);
  } else if (rule.whitening.enabled || rule.gamma != 1 || rule.baseline == rl::Baseline::length_weighted) {
    invalid("cuSeqlens", "the boundaries of the completions: this algorithm looks at tokens");
  }
  const auto result = rl::compute_advantages(rule, batch);
  Napi::Object metrics = Napi::Object::New(env);
  metrics.Set("reward", result.metrics.reward);
  metrics.Set("rewardStd", result.metrics.reward_std);
  metrics.Set("fracRewardZeroStd", result.metrics.frac_reward_zero_std);
  metrics.Set("deadGroups", static_cast<double>(result.metrics.dead_groups));
  metrics.Set("scoredGroups", static_cast<double>(result.metrics.scored_groups));
  metrics.Set("unscored", static_cast<double>(result.metrics.unscored));
  Napi::Object out = Napi::Object::New(env);
  out.Set("advantages", array_of<Float>(env, result.values));
  out.Set("perToken", result.per_token);
  out.Set("metrics", metrics);
  return out;
}

rl::KlRule kl_rule(const Napi::Object& from) {
  using namespace rl;
  KlRule rule;
  rule.kind = choice<KlKind>(
      from, "kind",
      {{"k1", KlKind::k1}, {"k2", KlKind::k2}, {"k3", KlKind::k3}, {"absolute", KlKind::absolute}});
  rule.gradient = choice<KlGradient>(from, "gradient",
                                     {{"value", KlGradient::value},
                                      {"unbiased", KlGradient::unbiased},
                                      {"unbiased_ratio", KlGradient::unbiased_ratio}});
  rule.coefficient = number(from, "coefficient", 0);
  rule.ratio_weighted = boolean(from, "ratioWeighted", false);
  rule.difference_low = number(from, "differenceLow", -INFINITY);
  rule.difference_high = number(from, "differenceHigh", INFINITY);
  rule.value_limit = number(from, "valueLimit", INFINITY);
  return rule;
}

rl::LossRule loss_rule(const Napi::Object& from) {
  using namespace rl;
  LossRule rule;
  rule.kind = choice<LossKind>(from, "kind",
                               {{"policy_gradient", LossKind::policy_gradient}, {"clip", LossKind::clip}});
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
  rule.kl = kl_rule(part(from, "kl"));
  rule.entropy_coefficient = number(from, "entropyCoefficient", 0);
  rule.entropy_token_mean = boolean(from, "entropyTokenMean", false);
  rule.aggregation = choice<Aggregation>(from, "aggregation",
                                         {{"token_mean", Aggregation::token_mean},
                                          {"token_sum", Aggregation::token_sum},
                                          {"sequence_mean_token_mean", Aggregation::sequence_mean_token_mean},
                                          {"sequence_mean_token_sum", Aggregation::sequence_mean_token_sum},
                                          {"constant", Aggregation::constant},
                                          {"sequence_mean", Aggregation::sequence_mean}});
  rule.constant = number(from, "constant", 1);
  rule.token_epsilon = number(from, "tokenEpsilon", 0);
  rule.count_empty_rows = boolean(from, "countEmptyRows", false);
  return rule;
}

template <typename Float>
Napi::Value policy_loss(Napi::Env env, const Napi::Object& from, const Napi::Object& input) {
  const rl::LossRule rule = loss_rule(from);
  rl::LossBatch<Float> batch;
  batch.rows = offsets(input, "cuSeqlens", batch.cu_seqlens);
  const auto tokens = static_cast<std::size_t>(batch.cu_seqlens[batch.rows]);
  batch.log_probs = required<Float>(input, "logProbs", tokens);
  batch.old_log_probs = required<Float>(input, "oldLogProbs", tokens);
  batch.reference_log_probs = data<Float>(input, "referenceLogProbs", tokens);
  batch.entropies = data<Float>(input, "entropies", tokens);
  batch.importance_weights = data<Float>(input, "importanceWeights", tokens);
  batch.mask = data<std::uint8_t>(input, "mask", tokens);
  batch.advantages_per_token = boolean(input, "advantagesPerToken", false);
  batch.advantages = required<Float>(input, "advantages", batch.advantages_per_token ? tokens : batch.rows);
  batch.batch_tokens = number(input, "batchTokens", -1);
  batch.batch_sequences = number(input, "batchSequences", -1);

  auto gradients = Napi::TypedArrayOf<Float>::New(env, tokens, float_type<Float>);
  Napi::Object out = Napi::Object::New(env);
  Float* entropy_gradients = nullptr;
  if (batch.entropies) {
    auto array = Napi::TypedArrayOf<Float>::New(env, tokens, float_type<Float>);
    entropy_gradients = array.Data();
    out.Set("entropyGradients", array);
  }
  const rl::LossValue value = rl::policy_loss(rule, batch, gradients.Data(), entropy_gradients);
  Napi::Object metrics = Napi::Object::New(env);
  metrics.Set("tokens", value.metrics.tokens);
  metrics.Set("sequences", value.metrics.sequences);
  metrics.Set("clipLow", value.metrics.clip_low);
  metrics.Set("clipHigh", value.metrics.clip_high);
  metrics.Set("clipDual", value.metrics.clip_dual);
  metrics.Set("kl", value.metrics.kl);
  metrics.Set("entropy", value.metrics.entropy);
  metrics.Set("ratioMean", value.metrics.ratio_mean);
  metrics.Set("ratioMax", value.metrics.ratio_max);
  metrics.Set("oldKl", value.metrics.old_kl);
  out.Set("loss", value.loss);
  out.Set("logProbGradients", gradients);
  out.Set("metrics", metrics);
  return out;
}

template <typename Float>
Napi::Value kl_divergence(Napi::Env env, const Napi::Object& from, const Napi::Object& input) {
  const rl::KlRule rule = kl_rule(from);
  const std::size_t tokens = length_of(input, "logProbs");
  const Float* log_probs = required<Float>(input, "logProbs", tokens);
  const Float* reference = required<Float>(input, "referenceLogProbs", tokens);
  const Float* old_log_probs = data<Float>(input, "oldLogProbs", tokens);
  auto values = Napi::TypedArrayOf<Float>::New(env, tokens, float_type<Float>);
  auto gradients = Napi::TypedArrayOf<Float>::New(env, tokens, float_type<Float>);
  for (std::size_t t = 0; t < tokens; ++t) {
    const rl::KlValue kl =
        rl::kl_divergence(rule, log_probs[t], reference[t], old_log_probs ? old_log_probs[t] : log_probs[t]);
    values[t] = static_cast<Float>(kl.value);
    gradients[t] = static_cast<Float>(kl.gradient);
  }
  Napi::Object out = Napi::Object::New(env);
  out.Set("values", values);
  out.Set("gradients", gradients);
  return out;
}

template <typename Float>
Napi::Value exact_objective(Napi::Env env, const Napi::Object& from, const Napi::Object& input) {
  using namespace rl;
  ExactRule rule;
  rule.weights =
      choice<ExactWeights>(from, "weights", {{"softmax", ExactWeights::softmax}, {"raw", ExactWeights::raw}});
  rule.baseline = choice<ExactBaseline>(
      from, "baseline", {{"expected", ExactBaseline::expected}, {"none", ExactBaseline::none}});
  rule.kl_coefficient = number(from, "klCoefficient", 0);
  rule.entropy_coefficient = number(from, "entropyCoefficient", 0);
  ExactBatch<Float> batch;
  batch.groups = offsets(input, "groupOffsets", batch.group_offsets);
  const auto choices = static_cast<std::size_t>(batch.group_offsets[batch.groups]);
  batch.choice_log_probs = required<Float>(input, "choiceLogProbs", choices);
  batch.reference_choice_log_probs = data<Float>(input, "referenceChoiceLogProbs", choices);
  batch.rewards = required<Float>(input, "rewards", choices);
  batch.scored = data<std::uint8_t>(input, "scored", choices);
  batch.batch_groups = number(input, "batchGroups", -1);
  const ExactResult result = rl::exact_objective(rule, batch);
  Napi::Object metrics = Napi::Object::New(env);
  metrics.Set("expectedReward", result.expected_reward);
  metrics.Set("entropy", result.entropy);
  metrics.Set("kl", result.kl);
  metrics.Set("mass", result.mass);
  metrics.Set("scoredGroups", static_cast<double>(result.scored_groups));
  metrics.Set("deadGroups", static_cast<double>(result.dead_groups));
  metrics.Set("unscored", static_cast<double>(result.unscored));
  Napi::Object out = Napi::Object::New(env);
  out.Set("loss", result.loss);
  out.Set("choiceGradients", array_of<Float>(env, result.gradients));
  out.Set("probabilities", array_of<Float>(env, result.probabilities));
  out.Set("metrics", metrics);
  return out;
}

using Kernel = Napi::Value (*)(Napi::Env, const Napi::Object&, const Napi::Object&);

// One JavaScript function (rule, input): the array `key` decides between the two element types.
void set_kernel(Napi::Env env, Napi::Object exports, const char* name, const char* key, Kernel single,
                Kernel dual) {
  exports.Set(name, Napi::Function::New(
                        env,
                        [key, single, dual](const Napi::CallbackInfo& info) {
                          return guarded(info.Env(), [&]() -> Napi::Value {
                            if (info.Length() < 2 || !info[0].IsObject() || !info[1].IsObject()) {
                              invalid("arguments", "a rule and an input, both objects");
                            }
                            const auto rule = info[0].As<Napi::Object>();
                            const auto input = info[1].As<Napi::Object>();
                            return (is_double(input, key) ? dual : single)(info.Env(), rule, input);
                          });
                        },
                        name));
}

}  // namespace

void register_rl(Napi::Env env, Napi::Object exports) {
  set_kernel(env, exports, "rlAdvantages", "rewards", advantages<float>, advantages<double>);
  set_kernel(env, exports, "rlPolicyLoss", "logProbs", policy_loss<float>, policy_loss<double>);
  set_kernel(env, exports, "rlKlDivergence", "logProbs", kl_divergence<float>, kl_divergence<double>);
  set_kernel(env, exports, "rlExactObjective", "choiceLogProbs", exact_objective<float>,
             exact_objective<double>);
}

}  // namespace adjudge
