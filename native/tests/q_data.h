// Random batches of Q-learning in f32, with NaN wherever nothing is to be read, and the same numbers in f64.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "rules/dueling.h"
#include "rules/q_loss.h"
#include "rules/q_targets.h"

namespace adjudge::rl::testing {

// In both element types.
struct Twofold {
  std::vector<float> single;
  std::vector<double> dual;

  explicit Twofold(std::size_t count = 0, float value = 0) : single(count, value), dual(count, value) {}
  void set(std::size_t index, double value) {
    single[index] = static_cast<float>(value);
    dual[index] = single[index];
  }
  template <typename Float>
  std::vector<Float>& of() {
    if constexpr (sizeof(Float) == 4)
      return single;
    else
      return dual;
  }
  template <typename Float>
  const Float* data() const {
    const auto& values = const_cast<Twofold*>(this)->of<Float>();
    return values.empty() ? nullptr : values.data();
  }
};

inline void expect_near(const std::string& name, const std::vector<float>& found,
                        const std::vector<double>& expected, double tolerance = 1e-5) {
  ASSERT_EQ(found.size(), expected.size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    const bool near = std::abs(found[i] - expected[i]) <= tolerance * (1 + std::abs(expected[i]));
    if (!near && !(std::isnan(found[i]) && std::isnan(expected[i])))
      FAIL() << name << "[" << i << "] is " << found[i] << ", expected " << expected[i];
  }
}

struct QNumbers {
  std::size_t steps, actions, quantiles;
  std::mt19937_64 engine;

  QNumbers(std::size_t step_count, std::size_t action_count, std::size_t quantile_count, unsigned seed)
      : steps(step_count), actions(action_count), quantiles(quantile_count), engine(seed) {}

  Twofold normal(std::size_t count, double deviation = 1, double mean = 0) {
    std::normal_distribution<double> draw(mean, deviation);
    Twofold values(count);
    for (std::size_t i = 0; i < count; ++i) values.set(i, draw(engine));
    return values;
  }
  std::vector<std::uint8_t> chance(std::size_t count, double share) {
    std::vector<std::uint8_t> values(count);
    for (auto& one : values) one = std::uniform_real_distribution<double>(0, 1)(engine) < share;
    return values;
  }
  std::size_t numbers() const { return steps * actions * quantiles; }
};

struct TargetData : QNumbers {
  Twofold rewards, discounts, next_q, twin_next_q, next_online_q, next_values;
  std::vector<std::uint8_t> terminated, truncated, allowed;
  std::vector<std::int32_t> taken, cu_seqlens{0};

  TargetData(std::size_t step_count, std::size_t action_count, std::size_t quantile_count, unsigned seed)
      : QNumbers(step_count, action_count, quantile_count, seed) {
    rewards = normal(steps);
    discounts = normal(steps, 0.02, 0.9);
    next_q = normal(numbers(), 2);
    twin_next_q = normal(numbers(), 2);
    next_online_q = normal(numbers(), 2);
    next_values = normal(steps, 2);
    terminated = chance(steps, 0.1);
    truncated = chance(steps, 0.1);
    allowed = chance(steps * actions, 0.7);
    while (static_cast<std::size_t>(cu_seqlens.back()) < steps) {
      const auto length = static_cast<std::int32_t>(engine() % 9 == 0 ? 40 : engine() % 6);
      cu_seqlens.push_back(std::min(cu_seqlens.back() + length, static_cast<std::int32_t>(steps)));
    }
    for (std::size_t t = 0; t < steps; ++t) {
      taken.push_back(static_cast<std::int32_t>(engine() % actions));
      allowed[t * actions + engine() % actions] = 1;
      for (std::size_t a = 0; a < actions; ++a) {
        for (std::size_t k = 0; k < quantiles; ++k) {
          const std::size_t at = (t * actions + a) * quantiles + k;
          if (!terminated[t] && allowed[t * actions + a]) continue;
          for (Twofold* each : {&next_q, &twin_next_q, &next_online_q}) each->set(at, NAN);
        }
      }
      if (terminated[t]) next_values.set(t, NAN);
    }
  }

  template <typename Float>
  QTargetBatch<Float> batch(Bootstrap bootstrap, bool twin, bool long_returns) const {
    QTargetBatch<Float> batch;
    batch.steps = steps;
    batch.actions = bootstrap == Bootstrap::value ? 0 : actions;
    batch.quantiles = quantiles;
    if (long_returns) {
      batch.cu_seqlens = cu_seqlens.data();
      batch.trajectories = cu_seqlens.size() - 1;
    }
    batch.rewards = rewards.data<Float>();
    batch.terminated = terminated.data();
    batch.truncated = truncated.data();
    batch.discounts = long_returns ? nullptr : discounts.data<Float>();
    if (bootstrap == Bootstrap::value) {
      batch.next_values = next_values.data<Float>();
      return batch;
    }
    batch.next_q = next_q.data<Float>();
    if (twin) batch.twin_next_q = twin_next_q.data<Float>();
    if (bootstrap == Bootstrap::double_q) batch.next_online_q = next_online_q.data<Float>();
    batch.next_action_mask = allowed.data();
    batch.taken = taken.data();
    return batch;
  }

  // Every action may be taken, and has a number wherever the step has not terminated.
  void allow_all() {
    allowed.assign(allowed.size(), 1);
    for (Twofold* each : {&next_q, &twin_next_q, &next_online_q}) {
      const Twofold fresh = normal(numbers(), 2);
      for (std::size_t i = 0; i < numbers(); ++i) {
        if (!terminated[i / (actions * quantiles)]) each->set(i, fresh.dual[i]);
      }
    }
  }
};

inline std::vector<QTargetRule> target_rules(std::size_t quantiles) {
  std::vector<QTargetRule> rules;
  for (const Bootstrap bootstrap : {Bootstrap::max, Bootstrap::double_q, Bootstrap::soft, Bootstrap::value}) {
    if (quantiles > 1 && (bootstrap == Bootstrap::soft || bootstrap == Bootstrap::value)) continue;
    QTargetRule rule;
    rule.bootstrap = bootstrap;
    rule.temperature = 0.7;
    rule.gamma = 0.95;
    rules.push_back(rule);
    rule.steps = 3;
    rules.push_back(rule);
    if (quantiles > 1) continue;
    rule.steps = 1;
    rule.lambda_return = true;
    rule.lambda = 0.8;
    rules.push_back(rule);
    if (bootstrap != Bootstrap::max && bootstrap != Bootstrap::double_q) continue;
    rule.trace = Trace::watkins;
    rules.push_back(rule);
  }
  return rules;
}

inline bool looks_ahead(const QTargetRule& rule) { return rule.steps > 1 || rule.lambda_return; }

// Gradients and other outputs of a loss, by name.
template <typename Float>
struct LossOutputs {
  std::vector<Float> q[2], action_q[2], log_sum_exp[2], values, log_probs, priorities, policy_weights;

  LossOutputs(std::size_t steps, std::size_t numbers) {
    for (int h = 0; h < 2; ++h) {
      q[h].assign(numbers, 7);
      action_q[h].assign(steps, 7);
      log_sum_exp[h].assign(steps, 7);
    }
    for (auto* each : {&values, &log_probs, &priorities, &policy_weights}) each->assign(steps, 7);
  }
};

struct LossData : QNumbers {
  Twofold q[2], action_q[2], log_sum_exp[2], targets, weights, values, target_q, twin_target_q, log_probs;
  std::vector<std::uint8_t> mask, allowed;
  std::vector<std::int32_t> taken;

  LossData(std::size_t step_count, std::size_t action_count, std::size_t quantile_count, unsigned seed)
      : QNumbers(step_count, action_count, quantile_count, seed) {
    mask = chance(steps, 0.85);
    allowed = chance(steps * actions, 0.7);
    for (int h = 0; h < 2; ++h) {
      q[h] = normal(numbers(), 2);
      action_q[h] = normal(steps, 2);
      log_sum_exp[h] = normal(steps, 1, 4);
    }
    targets = normal(steps * quantiles, 2);
    weights = normal(steps, 0.1, 0.8);
    values = normal(steps, 2);
    target_q = normal(steps, 2);
    twin_target_q = normal(steps, 2);
    log_probs = normal(steps, 1, -3);
    for (std::size_t t = 0; t < steps; ++t) {
      taken.push_back(static_cast<std::int32_t>(engine() % actions));
      allowed[t * actions + static_cast<std::size_t>(taken[t])] = 1;
      for (std::size_t a = 0; a < actions; ++a) {
        for (std::size_t k = 0; k < quantiles; ++k) {
          if (mask[t] && allowed[t * actions + a]) continue;
          for (Twofold& each : q) each.set((t * actions + a) * quantiles + k, NAN);
        }
      }
      if (mask[t]) continue;
      for (std::size_t k = 0; k < quantiles; ++k) targets.set(t * quantiles + k, NAN);
      for (Twofold* each : {&weights, &values, &target_q, &twin_target_q, &log_probs, &action_q[0],
                            &action_q[1], &log_sum_exp[0], &log_sum_exp[1]})
        each->set(t, NAN);
      taken[t] = -5;  // not read either
    }
  }

  template <typename Float>
  QLossBatch<Float> batch(const QLossRule& rule, bool gathered, bool twin, LossOutputs<Float>& out) const {
    QLossBatch<Float> batch;
    batch.steps = steps;
    batch.actions = gathered ? 0 : actions;
    batch.quantiles = quantiles;
    batch.head_count = twin ? 2 : 1;
    for (std::size_t h = 0; h < batch.head_count; ++h) {
      QHead<Float>& head = batch.heads[h];
      if (gathered) {
        head.action_q = action_q[h].data<Float>();
        head.action_q_gradients = out.action_q[h].data();
        if (rule.conservative_coefficient == 0) continue;
        head.log_sum_exp = log_sum_exp[h].data<Float>();
        head.log_sum_exp_gradients = out.log_sum_exp[h].data();
      } else {
        head.q = q[h].data<Float>();
        head.q_gradients = out.q[h].data();
      }
    }
    if (!gathered) {
      batch.taken = taken.data();
      batch.action_mask = allowed.data();
    }
    batch.targets = targets.data<Float>();
    batch.weights = weights.data<Float>();
    batch.mask = mask.data();
    batch.batch_steps = 1;  // a sum, so that the gradients are no tiny numbers
    batch.priorities = out.priorities.data();
    if (rule.value_coefficient == 0) return batch;
    batch.values = values.data<Float>();
    batch.target_q = target_q.data<Float>();
    batch.twin_target_q = twin_target_q.data<Float>();
    batch.value_gradients = out.values.data();
    if (rule.policy_coefficient == 0) return batch;
    batch.log_probs = log_probs.data<Float>();
    batch.policy_weights = out.policy_weights.data();
    batch.log_prob_gradients = out.log_probs.data();
    return batch;
  }
};

inline std::vector<QLossRule> loss_rules(std::size_t quantiles) {
  std::vector<QLossRule> rules;
  for (const TdKind td : {TdKind::squared, TdKind::huber, TdKind::quantile}) {
    if ((td == TdKind::quantile) != (quantiles > 1)) continue;
    for (const double conservative : {0.0, 0.4}) {
      QLossRule rule;
      rule.td = td;
      rule.td_coefficient = 0.7;
      rule.huber_threshold = conservative > 0 ? 0.8 : 1.3;
      rule.conservative_coefficient = conservative;
      rule.conservative_temperature = 1.7;
      rules.push_back(rule);
    }
    QLossRule rule = rules.back();
    rule.value_coefficient = 0.9;
    rule.expectile = 0.8;
    rules.push_back(rule);
    rule.policy_coefficient = 0.5;
    rule.beta = 1.5;
    rule.weight_limit = 20;
    rules.push_back(rule);
    if (td != TdKind::quantile) continue;
    rule.huber_threshold = 0;
    rules.push_back(rule);
  }
  return rules;
}

inline void expect_loss_near(const QLossValue& found, const QLossValue& expected, double tolerance) {
  const auto near = [&](double a, double b, const char* name) {
    EXPECT_NEAR(a, b, tolerance * (1 + std::abs(b))) << name;
  };
  near(found.loss, expected.loss, "loss");
  near(found.td, expected.td, "td");
  near(found.conservative, expected.conservative, "conservative");
  near(found.value, expected.value, "value");
  near(found.policy, expected.policy, "policy");
  near(found.action_q, expected.action_q, "action_q");
  near(found.target, expected.target, "target");
  near(found.priority, expected.priority, "priority");
  near(found.state_value, expected.state_value, "state_value");
  near(found.policy_weight, expected.policy_weight, "policy_weight");
  EXPECT_EQ(found.steps, expected.steps);
}

inline void expect_outputs_near(const LossOutputs<float>& found, const LossOutputs<double>& expected) {
  for (int h = 0; h < 2; ++h) {
    expect_near("q", found.q[h], expected.q[h]);
    expect_near("action_q", found.action_q[h], expected.action_q[h]);
    expect_near("log_sum_exp", found.log_sum_exp[h], expected.log_sum_exp[h]);
  }
  expect_near("values", found.values, expected.values);
  expect_near("log_probs", found.log_probs, expected.log_probs);
  expect_near("priorities", found.priorities, expected.priorities);
  expect_near("policy_weights", found.policy_weights, expected.policy_weights);
}

}  // namespace adjudge::rl::testing
