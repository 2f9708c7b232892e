// Losses of value-based learning: every derivative against central differences, the sums against a plain
// sum over the steps, and the same bits whatever the threads.
#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "native/core/error.h"
#include "native/core/thread_pool.h"
#include "native/rl/dueling.h"
#include "native/rl/polyak.h"
#include "native/rl/q_loss.h"

namespace adjudge::rl {
namespace {

using Values = std::vector<double>;

Values random_values(std::size_t count, unsigned seed, double low = -1, double high = 1) {
  std::mt19937_64 engine(seed);
  std::uniform_real_distribution<double> draw(low, high);
  Values values(count);
  for (double& value : values) value = draw(engine);
  return values;
}

// Twin heads over a vector of actions, every term of the loss in use.
struct Whole {
  std::size_t steps;
  std::size_t actions = 4;
  std::size_t quantiles;
  Values q, twin_q, targets, weights, values, target_q, twin_target_q, log_probs;
  std::vector<std::int32_t> taken;
  std::vector<std::uint8_t> mask, action_mask;

  Whole(std::size_t step_count, std::size_t quantile_count) : steps(step_count), quantiles(quantile_count) {
    q = random_values(steps * actions * quantiles, 1);
    twin_q = random_values(steps * actions * quantiles, 2);
    targets = random_values(steps * quantiles, 3, -3, 3);
    weights = random_values(steps, 4, 0.2, 2);
    values = random_values(steps, 5);
    target_q = random_values(steps, 6);
    twin_target_q = random_values(steps, 7);
    log_probs = random_values(steps, 8, -3, -0.1);
    for (std::size_t t = 0; t < steps; ++t) {
      taken.push_back(static_cast<std::int32_t>(t % actions));
      mask.push_back(t % 5 != 3);
      for (std::size_t action = 0; action < actions; ++action) {
        action_mask.push_back(action == t % actions || (t + action) % 3 != 0);
      }
    }
    // What does not count is not read.
    for (std::size_t t = 0; t < steps; ++t) {
      if (!mask[t]) targets[t * quantiles] = values[t] = weights[t] = log_probs[t] = NAN;
    }
  }
};

struct Gradients {
  Values q, twin_q, values, log_probs, priorities, policy_weights;
};

QLossValue loss_of(const QLossRule& rule, const Whole& data, Gradients& gradients) {
  gradients = {Values(data.q.size(), 7), Values(data.q.size(), 7), Values(data.steps, 7),
               Values(data.steps, 7),    Values(data.steps, 7),    Values(data.steps, 7)};
  QLossBatch<double> batch;
  batch.steps = data.steps;
  batch.actions = data.actions;
  batch.quantiles = data.quantiles;
  batch.head_count = 2;
  batch.heads[0].q = data.q.data();
  batch.heads[0].q_gradients = gradients.q.data();
  batch.heads[1].q = data.twin_q.data();
  batch.heads[1].q_gradients = gradients.twin_q.data();
  batch.taken = data.taken.data();
  batch.targets = data.targets.data();
  batch.weights = data.weights.data();
  batch.mask = data.mask.data();
  batch.action_mask = data.action_mask.data();
  batch.values = data.values.data();
  batch.target_q = data.target_q.data();
  batch.twin_target_q = data.twin_target_q.data();
  batch.log_probs = data.log_probs.data();
  batch.value_gradients = gradients.values.data();
  batch.log_prob_gradients = gradients.log_probs.data();
  batch.priorities = gradients.priorities.data();
  batch.policy_weights = gradients.policy_weights.data();
  return q_loss(rule, batch);
}

QLossRule every_term(TdKind td) {
  QLossRule rule;
  rule.td = td;
  rule.td_coefficient = 0.7;
  rule.huber_threshold = 0.8;
  rule.conservative_coefficient = 0.3;
  rule.conservative_temperature = 1.7;
  rule.value_coefficient = 0.9;
  rule.expectile = 0.8;
  return rule;
}

void expect_slopes(const QLossRule& rule, Whole data, Values Whole::*input, const Values& gradients) {
  Gradients ignored;
  constexpr double shift = 1e-6;
  for (std::size_t i = 0; i < (data.*input).size(); ++i) {
    const double here = (data.*input)[i];
    if (std::isnan(here)) {
      EXPECT_EQ(gradients[i], 0) << i;
      continue;
    }
    (data.*input)[i] = here + shift;
    const double above = loss_of(rule, data, ignored).loss;
    (data.*input)[i] = here - shift;
    const double below = loss_of(rule, data, ignored).loss;
    (data.*input)[i] = here;
    EXPECT_NEAR((above - below) / (2 * shift), gradients[i], 2e-8) << i;
  }
}

TEST(RlQLoss, GradientsEqualCentralDifferences) {
  for (const TdKind td : {TdKind::squared, TdKind::huber, TdKind::quantile}) {
    const Whole data(13, td == TdKind::quantile ? 3 : 1);
    Gradients gradients;
    loss_of(every_term(td), data, gradients);
    expect_slopes(every_term(td), data, &Whole::q, gradients.q);
    expect_slopes(every_term(td), data, &Whole::twin_q, gradients.twin_q);
    expect_slopes(every_term(td), data, &Whole::values, gradients.values);
  }
}

// The advantage-weighted term's weight is a constant for every derivative, so V has none from it.
TEST(RlQLoss, ThePolicyTermTeachesTheLogProbsOnly) {
  QLossRule rule = every_term(TdKind::squared);
  rule.policy_coefficient = 0.4;
  rule.beta = 2;
  rule.weight_limit = 1.5;
  const Whole data(13, 1);
  Gradients gradients, without;
  loss_of(rule, data, gradients);
  expect_slopes(rule, data, &Whole::log_probs, gradients.log_probs);
  loss_of(every_term(TdKind::squared), data, without);
  EXPECT_EQ(gradients.values, without.values);
  for (std::size_t t = 0; t < data.steps; ++t) {
    if (!data.mask[t]) continue;
    const double lead = std::min(data.target_q[t], data.twin_target_q[t]) - data.values[t];
    EXPECT_NEAR(gradients.policy_weights[t], std::min(std::exp(2 * lead), 1.5), 1e-12);
  }
}

// A fused head gives Q of the action taken and the log-sum-exp only: the same loss as from whole rows.
TEST(RlQLoss, TheGatheredFormEqualsWholeRows) {
  QLossRule rule = every_term(TdKind::huber);
  rule.value_coefficient = 0;
  Whole data(9, 1);
  data.action_mask.assign(data.steps * data.actions, 1);
  Gradients whole;
  const QLossValue expected = loss_of(rule, data, whole);

  QLossBatch<double> batch;
  batch.steps = data.steps;
  batch.head_count = 2;
  Values action_q[2], log_sum_exp[2], action_gradients[2], sum_gradients[2];
  for (std::size_t h = 0; h < 2; ++h) {
    const Values& q = h == 0 ? data.q : data.twin_q;
    for (std::size_t t = 0; t < data.steps; ++t) {
      double total = 0;
      for (std::size_t a = 0; a < data.actions; ++a) {
        total += std::exp(q[t * data.actions + a] / rule.conservative_temperature);
      }
      action_q[h].push_back(q[t * data.actions + static_cast<std::size_t>(data.taken[t])]);
      log_sum_exp[h].push_back(rule.conservative_temperature * std::log(total));
    }
    action_gradients[h].assign(data.steps, 7);
    sum_gradients[h].assign(data.steps, 7);
    batch.heads[h].action_q = action_q[h].data();
    batch.heads[h].log_sum_exp = log_sum_exp[h].data();
    batch.heads[h].action_q_gradients = action_gradients[h].data();
    batch.heads[h].log_sum_exp_gradients = sum_gradients[h].data();
  }
  batch.targets = data.targets.data();
  batch.weights = data.weights.data();
  batch.mask = data.mask.data();
  const QLossValue found = q_loss(rule, batch);
  EXPECT_NEAR(found.loss, expected.loss, 1e-12);
  EXPECT_NEAR(found.conservative, expected.conservative, 1e-12);
  for (std::size_t t = 0; t < data.steps; ++t) {
    for (std::size_t a = 0; a < data.actions; ++a) {
      const double q = data.q[t * data.actions + a];
      const double share =
          data.mask[t] ? std::exp((q - log_sum_exp[0][t]) / rule.conservative_temperature) : 0;
      const double own = static_cast<std::int32_t>(a) == data.taken[t] ? action_gradients[0][t] : 0;
      EXPECT_NEAR(whole.q[t * data.actions + a], own + sum_gradients[0][t] * share, 1e-12);
    }
  }
}

TEST(RlQLoss, TheThreadsDoNotChangeABit) {
  const Whole data(60000, 1);  // several work items
  Gradients one, several;
  const int before = threads();
  set_threads(1);
  const QLossValue alone = loss_of(every_term(TdKind::huber), data, one);
  set_threads(4);
  const QLossValue together = loss_of(every_term(TdKind::huber), data, several);
  set_threads(before);
  EXPECT_EQ(alone.loss, together.loss);
  EXPECT_EQ(alone.priority, together.priority);
  EXPECT_EQ(one.q, several.q);
  EXPECT_EQ(one.priorities, several.priorities);
}

TEST(RlQLoss, ACountedNaNIsNamed) {
  Whole data(9, 1);
  data.targets[6] = NAN;
  Gradients gradients;
  try {
    loss_of(every_term(TdKind::huber), data, gradients);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code, "ARGUMENT_INVALID");
    EXPECT_NE(std::string(error.what()).find("targets[6]"), std::string::npos) << error.what();
  }
}

TEST(RlDueling, GradientsEqualCentralDifferences) {
  const DuelingShape shape{3, 4, 2};
  const Values values = random_values(3 * 2, 11);
  const Values advantages = random_values(3 * 4 * 2, 12);
  const Values slopes = random_values(3 * 4 * 2, 13);
  for (const DuelingCentre centre : {DuelingCentre::mean, DuelingCentre::max}) {
    const auto objective = [&](const Values& v, const Values& a) {
      Values q(slopes.size());
      dueling_q(centre, shape, v.data(), a.data(), q.data());
      double sum = 0;
      for (std::size_t i = 0; i < q.size(); ++i) sum += q[i] * slopes[i];
      return sum;
    };
    Values value_gradients(values.size()), advantage_gradients(advantages.size());
    dueling_gradients(centre, shape, advantages.data(), slopes.data(), value_gradients.data(),
                      advantage_gradients.data());
    const auto expect = [&](bool of_values, std::size_t i, double gradient) {
      Values v = values, a = advantages;
      double& moved = of_values ? v[i] : a[i];
      moved += 1e-6;
      const double above = objective(v, a);
      moved -= 2e-6;
      EXPECT_NEAR((above - objective(v, a)) / 2e-6, gradient, 1e-8) << of_values << ' ' << i;
    };
    for (std::size_t i = 0; i < values.size(); ++i) expect(true, i, value_gradients[i]);
    for (std::size_t i = 0; i < advantages.size(); ++i) expect(false, i, advantage_gradients[i]);
  }
}

TEST(RlPolyak, MovesByTheRateAndCopiesExactlyAtOne) {
  const Values online{1, -2, 0.1};
  Values target{0, 2, 0.3};
  polyak_average(0.25, online.data(), target.data(), 3);
  EXPECT_EQ(target, (Values{0.25, 1, 0.25}));
  polyak_average(1.0, online.data(), target.data(), 3);
  EXPECT_EQ(target, online);
}

}  // namespace
}  // namespace adjudge::rl
