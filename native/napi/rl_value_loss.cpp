// The critic's loss for JavaScript.
#include "../device/rl.h"

#include <cmath>

#include "rl_aggregation.h"
#include "rl_call.h"

namespace adjudge {
namespace {

using namespace rl_arguments;

rl::ValueRule value_rule(const Napi::Object& from) {
  rl::ValueRule rule;
  rule.clip = number(from, "clip", INFINITY);
  rule.coefficient = number(from, "coefficient", rule.coefficient);
  rule.aggregation = aggregation_rule(from);
  return rule;
}

constexpr Signature value_loss_signature("values",
                                         {"values", "oldValues", "returns", "mask", "cuSeqlens", "constant",
                                          "batchTokens", "batchSequences"},
                                         {"valueGradients"});

template <typename Float>
void value_loss(rl::ValueRule rule, const Call& call, double* numbers) {
  constexpr const Signature& at = value_loss_signature;
  rl::ValueBatch<Float> batch;
  batch.rows = call.offsets(at.at("cuSeqlens"), batch.cu_seqlens);
  const auto tokens = static_cast<std::size_t>(batch.cu_seqlens[batch.rows]);
  batch.values = call.required<Float>(at.at("values"), tokens);
  batch.old_values = call.data<Float>(at.at("oldValues"), tokens);
  batch.returns = call.required<Float>(at.at("returns"), tokens);
  batch.mask = call.data<std::uint8_t>(at.at("mask"), tokens);
  batch.batch_tokens = call.number(at.at("batchTokens"), -1);
  batch.batch_sequences = call.number(at.at("batchSequences"), -1);
  rule.aggregation.constant = call.number(at.at("constant"), rule.aggregation.constant);
  auto* gradients = call.written<Float>(at.at("valueGradients"), tokens);
  call.check_finite<Float>(at.at("values"), batch.mask);
  call.check_finite<Float>(at.at("oldValues"), batch.mask);
  call.check_finite<Float>(at.at("returns"), batch.mask);
  check_cancelled();
  const rl::ValueLossResult result = device::value_loss(device::chosen(), rule, batch, gradients);
  const rl::ValueMetrics& metrics = result.metrics;
  write_numbers(numbers, {result.loss, metrics.tokens, metrics.sequences, metrics.clip_fraction,
                          metrics.value, metrics.value_error, metrics.returns, metrics.explained_variance});
}

}  // namespace

void register_rl_value_loss(Napi::Env env, Napi::Object exports) {
  export_rl_call(env, exports, "rlValueLoss", value_loss_signature, 8, [](const Napi::Object& from) {
    return either_type([rule = value_rule(from)](const Call& call, double* numbers, auto type) {
      value_loss<decltype(type)>(rule, call, numbers);
    });
  });
}

}  // namespace adjudge
