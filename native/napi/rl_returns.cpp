// GAE, V-trace, Retrace and UPGO for JavaScript: packed sequences in, arrays of the same length out.
#include <algorithm>
#include <cmath>
#include <string>

#include "../device/rl.h"
#include "../rl/finite.h"
#include "rl_call.h"

namespace adjudge {
namespace {

using namespace rl_arguments;

constexpr Signature gae_signature("rewards", {"rewards", "values", "cuSeqlens", "mask", "bootstrapValues"},
                                  {"advantages", "returns"});

template <typename Float>
void gae(const rl::GaeRule& rule, const Call& call) {
  constexpr const Signature& at = gae_signature;
  rl::GaeBatch<Float> batch;
  batch.rows = call.offsets(at.at("cuSeqlens"), batch.cu_seqlens);
  const auto tokens = static_cast<std::size_t>(batch.cu_seqlens[batch.rows]);
  batch.rewards = call.required<Float>(at.at("rewards"), tokens);
  batch.values = call.required<Float>(at.at("values"), tokens);
  batch.mask = call.data<std::uint8_t>(at.at("mask"), tokens);
  batch.bootstrap_values = call.data<Float>(at.at("bootstrapValues"), batch.rows);
  auto* advantages = call.written<Float>(at.at("advantages"), tokens);
  auto* returns = call.written<Float>(at.at("returns"), tokens);
  call.check_finite<Float>(at.at("rewards"), batch.mask);
  call.check_finite<Float>(at.at("values"), batch.mask);
  call.check_finite<Float>(at.at("bootstrapValues"));
  check_cancelled();
  device::gae(device::chosen(), rule, batch, advantages, returns);
}

constexpr Signature vtrace_signature("rewards",
                                     {"rewards", "values", "logRatios", "cuSeqlens", "mask",
                                      "bootstrapValues"},
                                     {"targets", "advantages"});
constexpr Signature retrace_signature("rewards",
                                      {"rewards", "values", "actionValues", "logRatios", "cuSeqlens", "mask",
                                       "bootstrapValues"},
                                      {"targets"});
constexpr Signature upgo_signature("rewards",
                                   {"rewards", "values", "logRatios", "cuSeqlens", "mask", "bootstrapValues"},
                                   {"returns", "advantages"});

template <typename Float, const Signature& at>
rl::ReturnsBatch<Float> batch_of(const Call& call, std::size_t& tokens) {
  rl::ReturnsBatch<Float> batch;
  batch.rows = call.offsets(at.at("cuSeqlens"), batch.cu_seqlens);
  tokens = static_cast<std::size_t>(batch.cu_seqlens[batch.rows]);
  batch.rewards = call.required<Float>(at.at("rewards"), tokens);
  batch.values = call.required<Float>(at.at("values"), tokens);
  batch.log_ratios = call.data<Float>(at.at("logRatios"), tokens);
  batch.mask = call.data<std::uint8_t>(at.at("mask"), tokens);
  batch.bootstrap_values = call.data<Float>(at.at("bootstrapValues"), batch.rows);
  return batch;
}

template <typename Float, const Signature& at>
void check_inputs(const Call& call, const rl::ReturnsBatch<Float>& batch) {
  call.check_finite<Float>(at.at("rewards"), batch.mask);
  call.check_finite<Float>(at.at("values"), batch.mask);
  call.check_finite<Float>(at.at("logRatios"), batch.mask);
  call.check_finite<Float>(at.at("bootstrapValues"));
  check_cancelled();
}

// Products of ratios that no bound holds at 1 can exceed what the element type holds.
template <typename Float>
void check_overflow(const rl::ReturnsBatch<Float>& batch, double largest_bound, const char* name,
                    const Float* results, std::size_t tokens) {
  if (!batch.log_ratios || largest_bound <= 1) return;
  const std::size_t index = rl::first_not_finite(results, nullptr, tokens);
  if (index == tokens) return;
  throw Error{
      "ARGUMENT_INVALID",
      std::string(name) + "[" + std::to_string(index) +
          "] is beyond the largest number of its element type: the importance ratios of this step and "
          "those after it are too large; bound them (rhoClip, cClip), or give smaller logRatios"};
}

template <typename Float>
void vtrace(const rl::VtraceRule& rule, const Call& call) {
  constexpr const Signature& at = vtrace_signature;
  std::size_t tokens = 0;
  const auto batch = batch_of<Float, vtrace_signature>(call, tokens);
  auto* targets = call.written<Float>(at.at("targets"), tokens);
  auto* advantages = call.written<Float>(at.at("advantages"), tokens);
  check_inputs<Float, vtrace_signature>(call, batch);
  device::vtrace(device::chosen(), rule, batch, targets, advantages);
  const double bound = std::max({rule.rho_clip, rule.c_clip, rule.policy_gradient_rho_clip});
  check_overflow(batch, bound, "targets", targets, tokens);
  check_overflow(batch, bound, "advantages", advantages, tokens);
}

template <typename Float>
void retrace(const rl::RetraceRule& rule, const Call& call) {
  constexpr const Signature& at = retrace_signature;
  std::size_t tokens = 0;
  auto batch = batch_of<Float, retrace_signature>(call, tokens);
  batch.action_values = call.required<Float>(at.at("actionValues"), tokens);
  auto* targets = call.written<Float>(at.at("targets"), tokens);
  call.check_finite<Float>(at.at("actionValues"), batch.mask);
  check_inputs<Float, retrace_signature>(call, batch);
  device::retrace(device::chosen(), rule, batch, targets);
  check_overflow(batch, rule.c_clip, "targets", targets, tokens);
}

template <typename Float>
void upgo(const rl::UpgoRule& rule, const Call& call) {
  constexpr const Signature& at = upgo_signature;
  std::size_t tokens = 0;
  const auto batch = batch_of<Float, upgo_signature>(call, tokens);
  auto* returns = call.written<Float>(at.at("returns"), tokens);
  auto* advantages = call.written<Float>(at.at("advantages"), tokens);
  check_inputs<Float, upgo_signature>(call, batch);
  device::upgo(device::chosen(), rule, batch, returns, advantages);
  check_overflow(batch, rule.rho_clip, "advantages", advantages, tokens);
}

}  // namespace

void register_rl_returns(Napi::Env env, Napi::Object exports) {
  export_rl_call(env, exports, "rlGae", gae_signature, 0, [](const Napi::Object& from) {
    const rl::GaeRule rule{number(from, "gamma", 1), number(from, "lambda", 1),
                           boolean(from, "skipMasked", true)};
    return either_type([rule](const Call& call, double*, auto type) { gae<decltype(type)>(rule, call); });
  });
  export_rl_call(env, exports, "rlVtrace", vtrace_signature, 0, [](const Napi::Object& from) {
    const rl::VtraceRule rule{number(from, "gamma", 1), number(from, "lambda", 1),
                              number(from, "rhoClip", INFINITY), number(from, "cClip", INFINITY),
                              number(from, "policyGradientRhoClip", INFINITY)};
    return either_type([rule](const Call& call, double*, auto type) { vtrace<decltype(type)>(rule, call); });
  });
  export_rl_call(env, exports, "rlRetrace", retrace_signature, 0, [](const Napi::Object& from) {
    const rl::RetraceRule rule{number(from, "gamma", 1), number(from, "lambda", 1),
                               number(from, "cClip", INFINITY)};
    return either_type([rule](const Call& call, double*, auto type) { retrace<decltype(type)>(rule, call); });
  });
  export_rl_call(env, exports, "rlUpgo", upgo_signature, 0, [](const Napi::Object& from) {
    const rl::UpgoRule rule{number(from, "gamma", 1), number(from, "rhoClip", INFINITY)};
    return either_type([rule](const Call& call, double*, auto type) { upgo<decltype(type)>(rule, call); });
  });
}

}  // namespace adjudge
