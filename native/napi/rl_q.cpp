// Q-learning for JavaScript: targets, losses with gradients, dueling heads, target networks. src/rl/q names
// the wrong field first.
#include <cmath>

#include "../device/rl.h"
#include "rl_call.h"

namespace adjudge {
namespace {

using namespace rl_arguments;

rl::QTargetRule target_rule(const Napi::Object& from) {
  using namespace rl;
  QTargetRule rule;
  rule.bootstrap = choice<Bootstrap>(from, "bootstrap",
                                     {{"max", Bootstrap::max},
                                      {"double", Bootstrap::double_q},
                                      {"soft", Bootstrap::soft},
                                      {"value", Bootstrap::value}});
  rule.gamma = number(from, "gamma", rule.gamma);
  rule.temperature = number(from, "temperature", rule.temperature);
  rule.steps = static_cast<std::size_t>(number(from, "steps", 1));
  rule.lambda_return = !absent(from.Get("lambda"));
  rule.lambda = number(from, "lambda", 0);
  rule.trace = choice<Trace>(from, "trace", {{"peng", Trace::peng}, {"watkins", Trace::watkins}});
  return rule;
}

constexpr Signature targets_signature("rewards",
                                      {"rewards", "cuSeqlens", "terminated", "truncated", "discounts",
                                       "nextQ", "twinNextQ", "nextOnlineQ", "nextActionMask", "nextValues",
                                       "actions", "quantiles"},
                                      {"targets"});

void check_actions(const std::int32_t* taken, std::size_t steps, std::size_t actions) {
  for (std::size_t t = 0; taken && t < steps; ++t) {
    if (taken[t] < 0 || static_cast<std::size_t>(taken[t]) >= actions) {
      invalid("actions[" + std::to_string(t) + "]",
              "0 to " + std::to_string(actions - 1) + " and not " + std::to_string(taken[t]));
    }
  }
}

// Actions of rows of whole Q; src/rl/q has checked that they divide.
std::size_t actions_of(const Call& call, std::size_t at, std::size_t rows, const char* name) {
  const std::size_t actions = rows > 0 ? call.length(at) / rows : 1;
  if (actions == 0) invalid(name, "at least one action per step");
  return actions;
}

template <typename Float>
void q_targets(const rl::QTargetRule& rule, const Call& call) {
  constexpr const Signature& at = targets_signature;
  rl::QTargetBatch<Float> batch;
  const std::size_t steps = batch.steps = call.length(at.at("rewards"));
  batch.quantiles = call.natural(at.at("quantiles"), 1, 1);
  batch.rewards = call.required<Float>(at.at("rewards"), steps);
  batch.terminated = call.data<std::uint8_t>(at.at("terminated"), steps);
  batch.truncated = call.data<std::uint8_t>(at.at("truncated"), steps);
  batch.discounts = call.data<Float>(at.at("discounts"), steps);
  if (call.given(at.at("cuSeqlens"))) {
    batch.trajectories = call.offsets(at.at("cuSeqlens"), batch.cu_seqlens);
    if (static_cast<std::size_t>(batch.cu_seqlens[batch.trajectories]) != steps)
      invalid("cuSeqlens", std::to_string(steps) + " (the number of rewards) as its last element");
  }
  if (rule.bootstrap == rl::Bootstrap::value) {
    if (batch.quantiles != 1) invalid("quantiles", "1 with a bootstrap from values");
    batch.next_values = call.required<Float>(at.at("nextValues"), steps);
  } else {
    batch.actions = actions_of(call, at.at("nextQ"), steps * batch.quantiles, "nextQ");
    const std::size_t numbers = steps * batch.actions * batch.quantiles;
    batch.next_q = call.required<Float>(at.at("nextQ"), numbers);
    batch.twin_next_q = call.data<Float>(at.at("twinNextQ"), numbers);
    if (rule.bootstrap == rl::Bootstrap::double_q)
      batch.next_online_q = call.required<Float>(at.at("nextOnlineQ"), numbers);
    batch.next_action_mask = call.data<std::uint8_t>(at.at("nextActionMask"), steps * batch.actions);
    if (rule.lambda_return && rule.trace == rl::Trace::watkins) {
      batch.taken = call.required<std::int32_t>(at.at("actions"), steps);
      check_actions(batch.taken, steps, batch.actions);
    }
  }
  if (batch.quantiles != 1 && (rule.bootstrap == rl::Bootstrap::soft || rule.lambda_return))
    invalid("quantiles", "1 with a soft bootstrap or a λ-return");
  auto* targets = call.written<Float>(at.at("targets"), steps * batch.quantiles);
  check_cancelled();
  device::q_targets(device::chosen(), rule, batch, targets);
}

rl::QLossRule loss_rule(const Napi::Object& from) {
  using namespace rl;
  QLossRule rule;
  rule.td = choice<TdKind>(
      from, "td", {{"squared", TdKind::squared}, {"huber", TdKind::huber}, {"quantile", TdKind::quantile}});
  rule.td_coefficient = number(from, "tdCoefficient", 1);
  rule.huber_threshold = number(from, "huberThreshold", 1);
  rule.conservative_coefficient = number(from, "conservativeCoefficient", 0);
  rule.conservative_temperature = number(from, "conservativeTemperature", 1);
  rule.value_coefficient = number(from, "valueCoefficient", 0);
  rule.expectile = number(from, "expectile", rule.expectile);
  rule.policy_coefficient = number(from, "policyCoefficient", 0);
  rule.beta = number(from, "beta", 1);
  rule.weight_limit = number(from, "weightLimit", INFINITY);
  return rule;
}

// like: whole or gathered Q of the first head, whose type all have.
constexpr Signature loss_signature("like",
                                   {"like", "q", "twinQ", "actionQ", "twinActionQ", "logSumExpQ",
                                    "twinLogSumExpQ", "actions", "targets", "weights", "mask", "actionMask",
                                    "values", "targetQ", "twinTargetQ", "logProbs", "quantiles",
                                    "batchSteps"},
                                   {"qGradients", "twinQGradients", "actionQGradients",
                                    "twinActionQGradients", "logSumExpQGradients", "twinLogSumExpQGradients",
                                    "valueGradients", "logProbGradients", "priorities", "policyWeights"});

struct HeadPlaces {
  std::size_t q, action_q, log_sum_exp;
  std::size_t q_gradients, action_q_gradients, log_sum_exp_gradients;
};

constexpr HeadPlaces head_places[2] = {
    {loss_signature.at("q"), loss_signature.at("actionQ"), loss_signature.at("logSumExpQ"),
     loss_signature.at("qGradients"), loss_signature.at("actionQGradients"),
     loss_signature.at("logSumExpQGradients")},
    {loss_signature.at("twinQ"), loss_signature.at("twinActionQ"), loss_signature.at("twinLogSumExpQ"),
     loss_signature.at("twinQGradients"), loss_signature.at("twinActionQGradients"),
     loss_signature.at("twinLogSumExpQGradients")}};

template <typename Float>
rl::QHead<Float> head_of(const Call& call, const HeadPlaces& at, const rl::QLossBatch<Float>& batch,
                         bool conservative) {
  rl::QHead<Float> head;
  head.q_name = loss_signature.name(at.q);
  head.action_q_name = loss_signature.name(at.action_q);
  head.log_sum_exp_name = loss_signature.name(at.log_sum_exp);
  if (batch.actions > 0) {
    const std::size_t numbers = batch.steps * batch.actions * batch.quantiles;
    head.q = call.required<Float>(at.q, numbers);
    head.q_gradients = call.written<Float>(at.q_gradients, numbers);
    return head;
  }
  head.action_q = call.required<Float>(at.action_q, batch.steps);
  head.action_q_gradients = call.written<Float>(at.action_q_gradients, batch.steps);
  if (conservative) {
    head.log_sum_exp = call.required<Float>(at.log_sum_exp, batch.steps);
    head.log_sum_exp_gradients = call.written<Float>(at.log_sum_exp_gradients, batch.steps);
  }
  return head;
}

template <typename Float>
void q_loss(const rl::QLossRule& rule, const Call& call, double* numbers) {
  constexpr const Signature& at = loss_signature;
  rl::QLossBatch<Float> batch;
  const bool whole = call.given(at.at("q"));
  const std::size_t steps = batch.steps = call.length(whole ? at.at("actions") : at.at("actionQ"));
  batch.quantiles = call.natural(at.at("quantiles"), 1, 1);
  if (whole) batch.actions = actions_of(call, at.at("q"), steps * batch.quantiles, "q");
  if (rule.td != rl::TdKind::quantile && batch.quantiles != 1)
    invalid("quantiles", "1 but for the quantile loss");
  if (!whole && rule.td == rl::TdKind::quantile) invalid("q", "whole Q for the quantile loss");
  batch.head_count = call.given(at.at("twinQ")) || call.given(at.at("twinActionQ")) ? 2 : 1;
  if (whole) batch.taken = call.required<std::int32_t>(at.at("actions"), steps);
  for (std::size_t h = 0; h < batch.head_count; ++h)
    batch.heads[h] = head_of<Float>(call, head_places[h], batch, rule.conservative_coefficient != 0);
  batch.targets = call.data<Float>(at.at("targets"), steps * batch.quantiles);
  batch.weights = call.data<Float>(at.at("weights"), steps);
  batch.mask = call.data<std::uint8_t>(at.at("mask"), steps);
  batch.action_mask = call.data<std::uint8_t>(at.at("actionMask"), steps * batch.actions);
  batch.batch_steps = call.number(at.at("batchSteps"), -1);
  if (batch.targets) batch.priorities = call.written<Float>(at.at("priorities"), steps);
  batch.values = call.data<Float>(at.at("values"), steps);
  if (batch.values) {
    batch.target_q = call.required<Float>(at.at("targetQ"), steps);
    batch.twin_target_q = call.data<Float>(at.at("twinTargetQ"), steps);
    batch.value_gradients = call.written<Float>(at.at("valueGradients"), steps);
    batch.policy_weights = call.output<Float>(at.at("policyWeights"), steps);
    if (batch.policy_weights) {
      batch.log_probs = call.data<Float>(at.at("logProbs"), steps);
      if (batch.log_probs) batch.log_prob_gradients = call.written<Float>(at.at("logProbGradients"), steps);
    }
  }
  check_cancelled();
  const rl::QLossValue value = device::q_loss(device::chosen(), rule, batch);
  write_numbers(numbers,
                {value.loss, value.td, value.conservative, value.value, value.policy, value.steps,
                 value.action_q, value.target, value.priority, value.state_value, value.policy_weight});
}

constexpr Signature dueling_signature("advantages", {"values", "advantages", "quantiles", "max"}, {"q"});
constexpr Signature dueling_gradients_signature("advantages",
                                                {"values", "advantages", "quantiles", "max", "qGradients"},
                                                {"valueGradients", "advantageGradients"});

// The first four arguments, which both calls share.
struct Dueling {
  rl::DuelingCentre centre;
  rl::DuelingShape shape;
  std::size_t columns;  // steps x quantiles
  std::size_t numbers;
};

Dueling dueling_of(const Call& call) {
  constexpr const Signature& at = dueling_signature;
  static_assert(at.at("values") == dueling_gradients_signature.at("values") &&
                at.at("max") == dueling_gradients_signature.at("max"));
  Dueling dueling;
  dueling.centre = call.flag(at.at("max")) ? rl::DuelingCentre::max : rl::DuelingCentre::mean;
  dueling.columns = call.length(at.at("values"));
  dueling.shape.quantiles = call.natural(at.at("quantiles"), 1, 1);
  dueling.shape.steps = dueling.columns / dueling.shape.quantiles;
  dueling.shape.actions = actions_of(call, at.at("advantages"), dueling.columns, "advantages");
  dueling.numbers = dueling.columns * dueling.shape.actions;
  if (dueling.shape.steps * dueling.shape.quantiles != dueling.columns)
    invalid("values", "steps × quantiles elements");
  return dueling;
}

template <typename Float>
void dueling_q(const Call& call) {
  constexpr const Signature& at = dueling_signature;
  const Dueling dueling = dueling_of(call);
  const Float* values = call.required<Float>(at.at("values"), dueling.columns);
  const Float* advantages = call.required<Float>(at.at("advantages"), dueling.numbers);
  auto* q = call.written<Float>(at.at("q"), dueling.numbers);
  call.check_finite<Float>(at.at("values"));
  call.check_finite<Float>(at.at("advantages"));
  check_cancelled();
  device::dueling_q(device::chosen(), dueling.centre, dueling.shape, values, advantages, q);
}

template <typename Float>
void dueling_gradients(const Call& call) {
  constexpr const Signature& at = dueling_gradients_signature;
  const Dueling dueling = dueling_of(call);
  const Float* advantages = call.required<Float>(at.at("advantages"), dueling.numbers);
  const Float* q_gradients = call.required<Float>(at.at("qGradients"), dueling.numbers);
  auto* value_gradients = call.written<Float>(at.at("valueGradients"), dueling.columns);
  auto* advantage_gradients = call.written<Float>(at.at("advantageGradients"), dueling.numbers);
  call.check_finite<Float>(at.at("advantages"));
  call.check_finite<Float>(at.at("qGradients"));
  check_cancelled();
  device::dueling_gradients(device::chosen(), dueling.centre, dueling.shape, advantages, q_gradients,
                            value_gradients, advantage_gradients);
}

constexpr Signature polyak_signature("online", {"online", "rate"}, {"target"});

template <typename Float>
void polyak_average(const Call& call) {
  constexpr const Signature& at = polyak_signature;
  const std::size_t count = call.length(at.at("target"));
  auto* target = call.written<Float>(at.at("target"), count);
  const Float* online = call.required<Float>(at.at("online"), count);
  check_cancelled();
  device::polyak_average(device::chosen(), call.number(at.at("rate"), 0), online, target, count);
}

}  // namespace

void register_rl_q(Napi::Env env, Napi::Object exports) {
  export_rl_call(env, exports, "rlQTargets", targets_signature, 0, [](const Napi::Object& from) {
    return either_type([rule = target_rule(from)](const Call& call, double*, auto type) {
      q_targets<decltype(type)>(rule, call);
    });
  });
  export_rl_call(env, exports, "rlQLoss", loss_signature, 11, [](const Napi::Object& from) {
    return either_type([rule = loss_rule(from)](const Call& call, double* numbers, auto type) {
      q_loss<decltype(type)>(rule, call, numbers);
    });
  });
  export_rl_call(env, exports, "rlDuelingQ", dueling_signature, 0, [](const Napi::Object&) {
    return either_type([](const Call& call, double*, auto type) { dueling_q<decltype(type)>(call); });
  });
  export_rl_call(env, exports, "rlDuelingGradients", dueling_gradients_signature, 0, [](const Napi::Object&) {
    return either_type([](const Call& call, double*, auto type) { dueling_gradients<decltype(type)>(call); });
  });
  export_rl_call(env, exports, "rlPolyakAverage", polyak_signature, 0, [](const Napi::Object&) {
    return either_type([](const Call& call, double*, auto type) { polyak_average<decltype(type)>(call); });
  });
}

}  // namespace adjudge
