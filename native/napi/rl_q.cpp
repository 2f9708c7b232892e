// Q-learning for JavaScript: targets, losses with gradients, dueling heads, target networks. src/rl/q names
// the wrong field first.
#include "../rl/dueling.h"
#include "../rl/polyak.h"
#include "../rl/q_loss.h"
#include "../rl/q_targets.h"

#include <cmath>

#include "rl_arguments.h"

namespace adjudge {
namespace {

using namespace rl_arguments;

std::size_t natural(const Napi::Object& object, const char* name, std::size_t otherwise, std::size_t least) {
  const double value = number(object, name, static_cast<double>(otherwise));
  if (!(value >= static_cast<double>(least) && value <= 9007199254740991.0 && value == std::floor(value))) {
    invalid(name, "a whole number, at least " + std::to_string(least));
  }
  return static_cast<std::size_t>(value);
}

template <typename Float>
Float* created(Napi::Env env, Napi::Object& out, const char* name, std::size_t length) {
  auto array = Napi::TypedArrayOf<Float>::New(env, length, float_type<Float>);
  out.Set(name, array);
  return array.Data();
}

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
  rule.steps = natural(from, "steps", 1, 1);
  rule.lambda_return = !absent(from.Get("lambda"));
  rule.lambda = number(from, "lambda", 0);
  rule.trace = choice<Trace>(from, "trace", {{"peng", Trace::peng}, {"watkins", Trace::watkins}});
  return rule;
}

void check_actions(const std::int32_t* taken, std::size_t steps, std::size_t actions) {
  for (std::size_t t = 0; taken && t < steps; ++t) {
    if (taken[t] < 0 || static_cast<std::size_t>(taken[t]) >= actions) {
      invalid("actions[" + std::to_string(t) + "]",
              "0 to " + std::to_string(actions - 1) + " and not " + std::to_string(taken[t]));
    }
  }
}

template <typename Float>
Napi::Value q_targets(Napi::Env env, const Napi::Object& from, const Napi::Object& input) {
  const rl::QTargetRule rule = target_rule(from);
  rl::QTargetBatch<Float> batch;
  const std::size_t steps = batch.steps = length_of(input, "rewards");
  batch.quantiles = natural(input, "quantiles", 1, 1);
  batch.rewards = required<Float>(input, "rewards", steps);
  batch.terminated = data<std::uint8_t>(input, "terminated", steps);
  batch.truncated = data<std::uint8_t>(input, "truncated", steps);
  batch.discounts = data<Float>(input, "discounts", steps);
  if (!absent(input.Get("cuSeqlens"))) {
    batch.trajectories = offsets(input, "cuSeqlens", batch.cu_seqlens);
    if (static_cast<std::size_t>(batch.cu_seqlens[batch.trajectories]) != steps)
      invalid("cuSeqlens", std::to_string(steps) + " (the number of rewards) as its last element");
  }
  if (rule.bootstrap == rl::Bootstrap::value) {
    if (batch.quantiles != 1) invalid("quantiles", "1 with a bootstrap from values");
    batch.next_values = required<Float>(input, "nextValues", steps);
  } else {
    batch.actions = natural(input, "actionCount", 0, 1);
    const std::size_t numbers = steps * batch.actions * batch.quantiles;
    batch.next_q = required<Float>(input, "nextQ", numbers);
    batch.twin_next_q = data<Float>(input, "twinNextQ", numbers);
    if (rule.bootstrap == rl::Bootstrap::double_q)
      batch.next_online_q = required<Float>(input, "nextOnlineQ", numbers);
    batch.next_action_mask = data<std::uint8_t>(input, "nextActionMask", steps * batch.actions);
    if (rule.lambda_return && rule.trace == rl::Trace::watkins) {
      batch.taken = required<std::int32_t>(input, "actions", steps);
      check_actions(batch.taken, steps, batch.actions);
    }
  }
  if (batch.quantiles != 1 && (rule.bootstrap == rl::Bootstrap::soft || rule.lambda_return))
    invalid("quantiles", "1 with a soft bootstrap or a λ-return");
  auto targets = Napi::TypedArrayOf<Float>::New(env, steps * batch.quantiles, float_type<Float>);
  rl::q_targets(rule, batch, targets.Data());
  return targets;
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

struct HeadNames {
  const char* q;
  const char* action_q;
  const char* log_sum_exp;
  const char* q_gradients;
  const char* action_q_gradients;
  const char* log_sum_exp_gradients;
};

constexpr HeadNames head_names[2] = {
    {"q", "actionQ", "logSumExpQ", "qGradients", "actionQGradients", "logSumExpQGradients"},
    {"twinQ", "twinActionQ", "twinLogSumExpQ", "twinQGradients", "twinActionQGradients",
     "twinLogSumExpQGradients"}};

template <typename Float>
rl::QHead<Float> head_of(Napi::Env env, const Napi::Object& input, const HeadNames& names,
                         const rl::QLossBatch<Float>& batch, bool conservative, Napi::Object& out) {
  rl::QHead<Float> head;
  head.q_name = names.q;
  head.action_q_name = names.action_q;
  head.log_sum_exp_name = names.log_sum_exp;
  if (batch.actions > 0) {
    const std::size_t numbers = batch.steps * batch.actions * batch.quantiles;
    head.q = required<Float>(input, names.q, numbers);
    head.q_gradients = created<Float>(env, out, names.q_gradients, numbers);
    return head;
  }
  head.action_q = required<Float>(input, names.action_q, batch.steps);
  head.action_q_gradients = created<Float>(env, out, names.action_q_gradients, batch.steps);
  if (conservative) {
    head.log_sum_exp = required<Float>(input, names.log_sum_exp, batch.steps);
    head.log_sum_exp_gradients = created<Float>(env, out, names.log_sum_exp_gradients, batch.steps);
  }
  return head;
}

template <typename Float>
Napi::Value q_loss(Napi::Env env, const Napi::Object& from, const Napi::Object& input) {
  const rl::QLossRule rule = loss_rule(from);
  rl::QLossBatch<Float> batch;
  Napi::Object out = Napi::Object::New(env);
  const std::size_t steps = batch.steps = natural(input, "steps", 0, 0);
  batch.actions = natural(input, "actionCount", 0, 0);
  batch.quantiles = natural(input, "quantiles", 1, 1);
  if (rule.td != rl::TdKind::quantile && batch.quantiles != 1)
    invalid("quantiles", "1 but for the quantile loss");
  if (batch.actions == 0 && rule.td == rl::TdKind::quantile) invalid("q", "whole Q for the quantile loss");
  batch.head_count = boolean(input, "twin", false) ? 2 : 1;
  if (batch.actions > 0) batch.taken = required<std::int32_t>(input, "actions", steps);
  for (std::size_t h = 0; h < batch.head_count; ++h) {
    batch.heads[h] =
        head_of<Float>(env, input, head_names[h], batch, rule.conservative_coefficient != 0, out);
  }
  batch.targets = data<Float>(input, "targets", steps * batch.quantiles);
  batch.weights = data<Float>(input, "weights", steps);
  batch.mask = data<std::uint8_t>(input, "mask", steps);
  batch.action_mask = data<std::uint8_t>(input, "actionMask", steps * batch.actions);
  batch.batch_steps = number(input, "batchSteps", -1);
  if (batch.targets) batch.priorities = created<Float>(env, out, "priorities", steps);
  batch.values = data<Float>(input, "values", steps);
  if (batch.values) {
    batch.target_q = required<Float>(input, "targetQ", steps);
    batch.twin_target_q = data<Float>(input, "twinTargetQ", steps);
    batch.value_gradients = created<Float>(env, out, "valueGradients", steps);
    if (boolean(input, "policyWeights", false)) {
      batch.policy_weights = created<Float>(env, out, "policyWeights", steps);
      batch.log_probs = data<Float>(input, "logProbs", steps);
      if (batch.log_probs) batch.log_prob_gradients = created<Float>(env, out, "logProbGradients", steps);
    }
  }
  const rl::QLossValue value = rl::q_loss(rule, batch);
  Napi::Object metrics = Napi::Object::New(env);
  metrics.Set("td", value.td);
  metrics.Set("conservative", value.conservative);
  metrics.Set("value", value.value);
  metrics.Set("policy", value.policy);
  metrics.Set("steps", value.steps);
  metrics.Set("actionQ", value.action_q);
  metrics.Set("target", value.target);
  metrics.Set("priority", value.priority);
  metrics.Set("stateValue", value.state_value);
  metrics.Set("policyWeight", value.policy_weight);
  out.Set("loss", value.loss);
  out.Set("metrics", metrics);
  return out;
}

rl::DuelingCentre centre_of(const Napi::Object& rule) {
  return choice<rl::DuelingCentre>(rule, "centre",
                                   {{"mean", rl::DuelingCentre::mean}, {"max", rl::DuelingCentre::max}});
}

rl::DuelingShape shape_of(const Napi::Object& input) {
  return {natural(input, "steps", 0, 0), natural(input, "actionCount", 0, 1),
          natural(input, "quantiles", 1, 1)};
}

template <typename Float>
Napi::Value dueling_q(Napi::Env env, const Napi::Object& rule, const Napi::Object& input) {
  const rl::DuelingShape shape = shape_of(input);
  const std::size_t numbers = shape.steps * shape.actions * shape.quantiles;
  const Float* values = required<Float>(input, "values", shape.steps * shape.quantiles);
  const Float* advantages = required<Float>(input, "advantages", numbers);
  auto q = Napi::TypedArrayOf<Float>::New(env, numbers, float_type<Float>);
  rl::dueling_q(centre_of(rule), shape, values, advantages, q.Data());
  return q;
}

template <typename Float>
Napi::Value dueling_gradients(Napi::Env env, const Napi::Object& rule, const Napi::Object& input) {
  const rl::DuelingShape shape = shape_of(input);
  const std::size_t numbers = shape.steps * shape.actions * shape.quantiles;
  const Float* advantages = required<Float>(input, "advantages", numbers);
  const Float* q_gradients = required<Float>(input, "qGradients", numbers);
  Napi::Object out = Napi::Object::New(env);
  Float* value_gradients = created<Float>(env, out, "valueGradients", shape.steps * shape.quantiles);
  Float* advantage_gradients = created<Float>(env, out, "advantageGradients", numbers);
  rl::dueling_gradients(centre_of(rule), shape, advantages, q_gradients, value_gradients,
                        advantage_gradients);
  return out;
}

template <typename Float>
Napi::Value polyak_average(Napi::Env env, const Napi::Object& rule, const Napi::Object& input) {
  const std::size_t count = length_of(input, "target");
  const Float* online = required<Float>(input, "online", count);
  Float* target = const_cast<Float*>(required<Float>(input, "target", count));
  rl::polyak_average(number(rule, "rate", 0), online, target, count);
  return env.Undefined();
}

}  // namespace

void register_rl_q(Napi::Env env, Napi::Object exports) {
  set_kernel(env, exports, "rlQTargets", "rewards", q_targets<float>, q_targets<double>);
  set_kernel(env, exports, "rlQLoss", "like", q_loss<float>, q_loss<double>);
  set_kernel(env, exports, "rlDuelingQ", "advantages", dueling_q<float>, dueling_q<double>);
  set_kernel(env, exports, "rlDuelingGradients", "advantages", dueling_gradients<float>,
             dueling_gradients<double>);
  set_kernel(env, exports, "rlPolyakAverage", "target", polyak_average<float>, polyak_average<double>);
}

}  // namespace adjudge
