// Statistics and gradients of rows of logits for JavaScript. They have no rule: the temperature and the
// number of top tokens are arguments of the call.
#include "../device/rl.h"
#include "rl_call.h"

namespace adjudge {
namespace {

using namespace rl_arguments;

constexpr Signature statistics_signature("logits", {"logits", "tokens", "temperature", "topK"},
                                         {"logProbs", "entropies", "logSumExp", "sumPiSquared", "topTokens",
                                          "topLogProbs"});
constexpr Signature gradient_signature("logits",
                                       {"logits", "tokens", "temperature", "logProbGradients",
                                        "entropyGradients"},
                                       {"logitGradients"});

// Single precision holds the inverse of every temperature of this range.
double temperature(const Call& call, std::size_t at) {
  const double value = call.number(at, 1);
  if (!(value >= 1e-30 && value <= 1e30)) invalid("temperature", "a number above 0, from 1e-30 to 1e30");
  return value;
}

// The first three arguments, which both calls share.
template <typename Float>
rl::LogitsBatch<Float> batch_of(const Call& call) {
  constexpr const Signature& at = statistics_signature;
  static_assert(at.at("tokens") == gradient_signature.at("tokens") &&
                at.at("temperature") == gradient_signature.at("temperature"));
  rl::LogitsBatch<Float> batch;
  const std::size_t logits = call.length(at.at("logits"));
  batch.rows = call.length(at.at("tokens"));
  batch.width = batch.rows > 0 ? logits / batch.rows : 0;
  if (batch.rows > 0 && batch.width == 0) invalid("logits", "at least one logit per token");
  batch.logits = call.required<Float>(at.at("logits"), batch.rows * batch.width);
  batch.tokens = call.required<std::int32_t>(at.at("tokens"), batch.rows);
  batch.temperature = temperature(call, at.at("temperature"));
  return batch;
}

template <typename Float>
void logits_statistics(const Call& call) {
  constexpr const Signature& at = statistics_signature;
  const auto batch = batch_of<Float>(call);
  rl::LogitsStatistics<Float> statistics;
  statistics.log_probs = call.written<Float>(at.at("logProbs"), batch.rows);
  statistics.entropies = call.written<Float>(at.at("entropies"), batch.rows);
  statistics.log_sum_exp = call.written<Float>(at.at("logSumExp"), batch.rows);
  statistics.sum_pi_squared = call.written<Float>(at.at("sumPiSquared"), batch.rows);
  if (call.given(at.at("topK"))) {
    statistics.top_k = call.natural(at.at("topK"), 1, 1);
    if (batch.rows > 0 && statistics.top_k > batch.width) {
      invalid("topK", "at most the vocabulary's " + std::to_string(batch.width));
    }
    statistics.top_tokens = call.written<std::int32_t>(at.at("topTokens"), batch.rows * statistics.top_k);
    statistics.top_log_probs = call.written<Float>(at.at("topLogProbs"), batch.rows * statistics.top_k);
  }
  check_cancelled();
  device::logits_statistics(device::chosen(), batch, statistics);
}

template <typename Float>
void logits_gradient(const Call& call) {
  constexpr const Signature& at = gradient_signature;
  const auto batch = batch_of<Float>(call);
  rl::LogitsCoefficients<Float> coefficients;
  coefficients.log_prob_gradients = call.required<Float>(at.at("logProbGradients"), batch.rows);
  coefficients.entropy_gradients = call.data<Float>(at.at("entropyGradients"), batch.rows);
  auto* gradients = call.written<Float>(at.at("logitGradients"), batch.rows * batch.width);
  call.check_finite<Float>(at.at("logProbGradients"));
  call.check_finite<Float>(at.at("entropyGradients"));
  check_cancelled();
  device::logits_gradient(device::chosen(), batch, coefficients, gradients);
}

}  // namespace

void register_rl_logits(Napi::Env env, Napi::Object exports) {
  export_rl_call(env, exports, "rlLogitsStatistics", statistics_signature, 0, [](const Napi::Object&) {
    return either_type([](const Call& call, double*, auto type) { logits_statistics<decltype(type)>(call); });
  });
  export_rl_call(env, exports, "rlLogitsGradient", gradient_signature, 0, [](const Napi::Object&) {
    return either_type([](const Call& call, double*, auto type) { logits_gradient<decltype(type)>(call); });
  });
}

}  // namespace adjudge
