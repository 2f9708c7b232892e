// Targets of Q-learning against their definitions, written out step by step.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "native/core/error.h"
#include "native/rl/q_targets.h"

namespace adjudge::rl {
namespace {

using Values = std::vector<double>;

struct Trajectories {
  std::size_t actions = 3;
  std::vector<std::int32_t> cu_seqlens{0, 6, 6, 7, 15};
  std::size_t steps = 15;
  Values rewards, next_q, twin_next_q, next_online_q;
  std::vector<std::uint8_t> terminated, truncated, allowed;
  std::vector<std::int32_t> taken;

  Trajectories() {
    std::mt19937_64 engine(5);
    std::uniform_real_distribution<double> draw(-1, 1);
    for (std::size_t t = 0; t < steps; ++t) {
      rewards.push_back(draw(engine));
      terminated.push_back(t == 5 || t == 10);
      truncated.push_back(t == 12);
      taken.push_back(static_cast<std::int32_t>(t % 3));
      for (std::size_t a = 0; a < actions; ++a) {
        next_q.push_back(terminated[t] ? NAN : draw(engine));  // not read after the end
        twin_next_q.push_back(terminated[t] ? NAN : draw(engine));
        next_online_q.push_back(terminated[t] ? NAN : draw(engine));
        allowed.push_back(a != t % 3);
      }
    }
  }

  QTargetBatch<double> batch() const {
    QTargetBatch<double> batch;
    batch.steps = steps;
    batch.actions = actions;
    batch.cu_seqlens = cu_seqlens.data();
    batch.trajectories = cu_seqlens.size() - 1;
    batch.rewards = rewards.data();
    batch.terminated = terminated.data();
    batch.truncated = truncated.data();
    batch.next_q = next_q.data();
    return batch;
  }

  std::size_t end_of(std::size_t t) const {
    return static_cast<std::size_t>(*std::upper_bound(cu_seqlens.begin(), cu_seqlens.end(), t));
  }

  double largest(std::size_t t) const {
    return *std::max_element(next_q.begin() + static_cast<std::ptrdiff_t>(t * actions),
                             next_q.begin() + static_cast<std::ptrdiff_t>((t + 1) * actions));
  }
};

Values targets_of(const QTargetRule& rule, const QTargetBatch<double>& batch) {
  Values targets(batch.steps * batch.quantiles);
  q_targets(rule, batch, targets.data());
  return targets;
}

TEST(RlQTargets, NStepReturnsStopAtEveryEnd) {
  const Trajectories data;
  for (const std::size_t n : {1, 2, 3, 50}) {
    QTargetRule rule;
    rule.gamma = 0.9;
    rule.steps = n;
    const Values found = targets_of(rule, data.batch());
    for (std::size_t t = 0; t < data.steps; ++t) {
      double expected = 0;
      double weight = 1;
      for (std::size_t k = t;; ++k) {
        expected += weight * data.rewards[k];
        weight *= 0.9;
        if (data.terminated[k]) break;
        if (data.truncated[k] || k + 1 == data.end_of(t) || k + 1 - t == n) {
          expected += weight * data.largest(k);
          break;
        }
      }
      EXPECT_NEAR(found[t], expected, 1e-12) << n << ' ' << t;
    }
  }
}

// G(λ) = (1 − λ) Σ λ^(n−1) G(n), the last n-step return with the weight that is left.
TEST(RlQTargets, LambdaReturnsAreTheMixtureOfNStepReturns) {
  const Trajectories data;
  QTargetRule rule;
  rule.gamma = 0.9;
  rule.lambda_return = true;
  rule.lambda = 0.8;
  const Values found = targets_of(rule, data.batch());
  for (std::size_t t = 0; t < data.steps; ++t) {
    std::size_t longest = 1;
    for (std::size_t k = t; !data.terminated[k] && !data.truncated[k] && k + 1 < data.end_of(t); ++k)
      ++longest;
    double expected = 0;
    double left = 1;
    for (std::size_t n = 1; n <= longest; ++n) {
      QTargetRule n_step;
      n_step.gamma = 0.9;
      n_step.steps = n;
      const double weight = n < longest ? left * (1 - rule.lambda) : left;
      expected += weight * targets_of(n_step, data.batch())[t];
      left *= rule.lambda;
    }
    EXPECT_NEAR(found[t], expected, 1e-12) << t;
  }
}

TEST(RlQTargets, WatkinsCutsWhereTheNextActionWasNotGreedy) {
  const Trajectories data;
  QTargetRule rule;
  rule.gamma = 0.9;
  rule.lambda_return = true;
  rule.lambda = 0.8;
  rule.trace = Trace::watkins;
  QTargetBatch<double> batch = data.batch();
  batch.taken = data.taken.data();
  const Values found = targets_of(rule, batch);
  std::size_t cuts = 0;
  for (std::size_t t = 0; t + 1 < data.steps; ++t) {
    if (data.terminated[t]) continue;
    const auto following = static_cast<std::size_t>(data.taken[t + 1]);
    const bool last = data.truncated[t] || t + 1 == data.end_of(t);
    const bool greedy = data.next_q[t * data.actions + following] == data.largest(t);
    const double rest = last || !greedy ? data.largest(t) : 0.2 * data.largest(t) + 0.8 * found[t + 1];
    if (!last && !greedy) ++cuts;
    EXPECT_NEAR(found[t], data.rewards[t] + 0.9 * rest, 1e-12) << t;
  }
  EXPECT_GT(cuts, 2U);
}

TEST(RlQTargets, DoubleTwinSoftAndMaskedBootstraps) {
  const Trajectories data;
  QTargetRule rule;
  rule.gamma = 0.9;
  QTargetBatch<double> batch = data.batch();
  batch.twin_next_q = data.twin_next_q.data();
  batch.next_online_q = data.next_online_q.data();
  batch.next_action_mask = data.allowed.data();
  for (const Bootstrap bootstrap : {Bootstrap::max, Bootstrap::double_q, Bootstrap::soft}) {
    rule.bootstrap = bootstrap;
    rule.temperature = 0.5;
    const Values found = targets_of(rule, batch);
    for (std::size_t t = 0; t < data.steps; ++t) {
      double best = -INFINITY, best_online = -INFINITY, at_online = 0, total = 0;
      for (std::size_t a = 0; a < data.actions && !data.terminated[t]; ++a) {
        const std::size_t i = t * data.actions + a;
        if (!data.allowed[i]) continue;
        const double q = std::min(data.next_q[i], data.twin_next_q[i]);
        best = std::max(best, q);
        total += std::exp(q / 0.5);
        if (data.next_online_q[i] > best_online) {
          best_online = data.next_online_q[i];
          at_online = q;
        }
      }
      const double next = data.terminated[t]                 ? 0
                          : bootstrap == Bootstrap::max      ? best
                          : bootstrap == Bootstrap::double_q ? at_online
                                                             : 0.5 * std::log(total);
      EXPECT_NEAR(found[t], data.rewards[t] + 0.9 * next, 1e-12) << static_cast<int>(bootstrap) << ' ' << t;
    }
  }
}

TEST(RlQTargets, QuantilesOfTheActionWithTheLargestMean) {
  const Values rewards{1, 0.5};
  const Values next_q{0, 4, 1, 2, /* second step */ -1, 0, -3, 5};  // two actions of two quantiles
  QTargetBatch<double> batch;
  batch.steps = 2;
  batch.actions = 2;
  batch.quantiles = 2;
  batch.rewards = rewards.data();
  batch.next_q = next_q.data();
  QTargetRule rule;
  rule.gamma = 0.5;
  EXPECT_EQ(targets_of(rule, batch), (Values{1, 3, -1, 3}));
}

TEST(RlQTargets, AStateWithoutAnAllowedActionIsNamed) {
  Trajectories data;
  std::fill_n(data.allowed.begin() + 4 * 3, 3, std::uint8_t{0});
  QTargetBatch<double> batch = data.batch();
  batch.next_action_mask = data.allowed.data();
  EXPECT_THROW(targets_of(QTargetRule{}, batch), Error);
}

}  // namespace
}  // namespace adjudge::rl
