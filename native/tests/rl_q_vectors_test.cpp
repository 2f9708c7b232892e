// The vector kernels of Q-learning against the f64 bodies on the same rounded inputs.
#include <cstring>
#include <functional>

#include "tests/q_data.h"

#include "core/error.h"
#include "core/thread_pool.h"
#include "rl/dueling.h"
#include "rl/polyak.h"
#include "rl/q_loss.h"
#include "rl/q_targets.h"

namespace adjudge::rl {
namespace {

using namespace testing;

constexpr std::size_t widths[] = {1, 2, 3, 7, 8, 9, 16, 17, 32, 33, 100};

void compare_targets(const TargetData& data, const QTargetRule& rule, bool twin, bool masked) {
  const std::size_t count = data.steps * data.quantiles;
  std::vector<float> found(count, NAN);
  std::vector<double> expected(count, NAN);
  auto single = data.batch<float>(rule.bootstrap, twin, looks_ahead(rule));
  auto dual = data.batch<double>(rule.bootstrap, twin, looks_ahead(rule));
  if (!masked) single.next_action_mask = dual.next_action_mask = nullptr;
  q_targets(rule, single, found.data());
  q_targets(rule, dual, expected.data());
  expect_near("targets", found, expected);
}

TEST(RlQVectors, TargetsOfEveryRuleAreTheReference) {
  for (const std::size_t actions : widths) {
    for (const std::size_t quantiles : {std::size_t{1}, std::size_t{5}, std::size_t{19}}) {
      TargetData data(173, actions, quantiles, 3);
      for (const bool masked : {true, false}) {
        if (!masked) data.allow_all();
        for (const QTargetRule& rule : target_rules(quantiles)) {
          SCOPED_TRACE(std::to_string(actions) + " actions, " + std::to_string(quantiles) +
                       " quantiles, bootstrap " + std::to_string(static_cast<int>(rule.bootstrap)));
          compare_targets(data, rule, false, masked);
          compare_targets(data, rule, true, masked);
        }
      }
    }
  }
}

void compare_loss(const LossData& data, const QLossRule& rule, bool gathered, bool twin) {
  LossOutputs<float> found(data.steps, data.numbers());
  LossOutputs<double> expected(data.steps, data.numbers());
  const QLossValue value = q_loss(rule, data.batch<float>(rule, gathered, twin, found));
  const QLossValue reference = q_loss(rule, data.batch<double>(rule, gathered, twin, expected));
  expect_outputs_near(found, expected);
  expect_loss_near(value, reference, 1e-6);
}

TEST(RlQVectors, LossesOfEveryRuleAreTheReference) {
  for (const std::size_t actions : widths) {
    for (const std::size_t quantiles : {std::size_t{1}, std::size_t{5}, std::size_t{19}}) {
      const LossData data(301, actions, quantiles, 4);
      for (const QLossRule& rule : loss_rules(quantiles)) {
        SCOPED_TRACE(std::to_string(actions) + " actions, " + std::to_string(quantiles) + " quantiles");
        compare_loss(data, rule, false, true);
        compare_loss(data, rule, false, false);
        if (quantiles == 1) compare_loss(data, rule, true, true);
      }
    }
  }
}

TEST(RlQVectors, LargeValuesKeepTheirDifferences) {
  LossData data(64, 20, 1, 5);
  for (std::size_t i = 0; i < data.numbers(); ++i) data.q[0].set(i, data.q[0].dual[i] + 3000);
  for (std::size_t t = 0; t < data.steps; ++t) data.targets.set(t, data.targets.dual[t] + 3000);
  for (const QLossRule& rule : loss_rules(1)) compare_loss(data, rule, false, false);
}

TEST(RlQVectors, DuelingIsTheReference) {
  for (const std::size_t actions : widths) {
    for (const std::size_t quantiles : {std::size_t{1}, std::size_t{6}}) {
      const DuelingShape shape{57, actions, quantiles};
      QNumbers numbers(57, actions, quantiles, 6);
      const Twofold values = numbers.normal(57 * quantiles, 1, 500),
                    slopes = numbers.normal(numbers.numbers());
      Twofold advantages = numbers.normal(numbers.numbers(), 3, -500);
      for (std::size_t i = 1; i < numbers.numbers(); i += 3) advantages.set(i, advantages.dual[i - 1]);
      for (const DuelingCentre centre : {DuelingCentre::mean, DuelingCentre::max}) {
        std::vector<float> q(numbers.numbers()), v(57 * quantiles), a(numbers.numbers());
        std::vector<double> wide_q(q.size()), wide_v(v.size()), wide_a(a.size());
        dueling_q(centre, shape, values.data<float>(), advantages.data<float>(), q.data());
        dueling_q(centre, shape, values.data<double>(), advantages.data<double>(), wide_q.data());
        expect_near("q", q, wide_q);
        dueling_gradients(centre, shape, advantages.data<float>(), slopes.data<float>(), v.data(), a.data());
        dueling_gradients(centre, shape, advantages.data<double>(), slopes.data<double>(), wide_v.data(),
                          wide_a.data());
        expect_near("values", v, wide_v);
        expect_near("advantages", a, wide_a);
      }
    }
  }
}

std::string message_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.code + " " + error.what();
  }
  return "no error";
}

TEST(RlQVectors, WhatIsWrongIsNamed) {
  TargetData targets(5000, 33, 1, 7);  // several work items
  std::vector<float> out(5000);
  QTargetRule rule;
  const auto call = [&] { q_targets(rule, targets.batch<float>(rule.bootstrap, true, false), out.data()); };
  const std::size_t live = [&] {
    for (std::size_t i = 4000 * 33;; ++i)
      if (!std::isnan(targets.twin_next_q.dual[i])) return i;
  }();
  targets.twin_next_q.set(live, INFINITY);
  EXPECT_EQ(message_of(call).rfind("ARGUMENT_INVALID twinNextQ[" + std::to_string(live) + "] is Infinity", 0),
            0u)
      << message_of(call);
  targets.rewards.set(17, NAN);
  EXPECT_EQ(message_of(call).rfind("ARGUMENT_INVALID rewards[17]", 0), 0u) << message_of(call);

  LossData losses(5000, 33, 1, 8);
  LossOutputs<float> gradients(5000, losses.numbers());
  QLossRule loss = loss_rules(1).back();
  const auto train = [&] { q_loss(loss, losses.batch<float>(loss, false, true, gradients)); };
  EXPECT_EQ(message_of(train), "no error");
  losses.mask[4100] = 1;
  losses.taken[4100] = 33;
  EXPECT_EQ(message_of(train).rfind("ARGUMENT_INVALID actions[4100] is 33", 0), 0u) << message_of(train);
  losses.mask[4100] = 0;
  losses.mask[9] = 1;
  losses.target_q.set(9, 500);
  losses.twin_target_q.set(9, 500);
  losses.values.set(9, 0);
  losses.log_probs.set(9, 0);
  losses.weights.set(9, 1);
  losses.targets.set(9, 0);
  losses.taken[9] = 0;
  for (std::size_t a = 0; a < 33; ++a) {
    losses.q[0].set(9 * 33 + a, 0);
    losses.q[1].set(9 * 33 + a, 0);
  }
  losses.allowed[9 * 33] = 1;
  EXPECT_EQ(message_of(train), "no error") << "the weight has a limit";
  loss.weight_limit = INFINITY;
  EXPECT_EQ(message_of(train).rfind("ARGUMENT_INVALID targetQ[9] lies", 0), 0u) << message_of(train);
}

TEST(RlQVectors, TheThreadsDoNotChangeABit) {
  const LossData data(9000, 40, 1, 9);
  const TargetData targets(9000, 40, 1, 9);
  const QLossRule rule = loss_rules(1).back();
  QTargetRule ahead = target_rules(1)[2];
  const int before = threads();
  std::vector<std::vector<float>> runs;
  for (const int count : {1, 3}) {
    set_threads(count);
    LossOutputs<float> out(data.steps, data.numbers());
    const QLossValue value = q_loss(rule, data.batch<float>(rule, false, true, out));
    std::vector<float> all = out.q[0];
    all.insert(all.end(), out.log_probs.begin(), out.log_probs.end());
    const auto* loss = reinterpret_cast<const float*>(&value);
    all.insert(all.end(), loss, loss + sizeof value / sizeof(float));
    std::vector<float> found(9000);
    q_targets(ahead, targets.batch<float>(ahead.bootstrap, false, true), found.data());
    all.insert(all.end(), found.begin(), found.end());
    runs.push_back(all);
  }
  set_threads(before);
  EXPECT_EQ(std::memcmp(runs[0].data(), runs[1].data(), runs[0].size() * sizeof(float)), 0);
}

TEST(RlQVectors, PolyakIsTheSameForEveryLength) {
  QNumbers numbers(1, 1, 1, 10);
  for (const std::size_t count : {1, 7, 16, 33, 300'001}) {
    const Twofold online = numbers.normal(count);
    Twofold target = numbers.normal(count);
    polyak_average(0.005, online.data<float>(), target.single.data(), count);
    polyak_average(0.005, online.data<double>(), target.dual.data(), count);
    expect_near("target", target.single, target.dual, 1e-7);
  }
}

}  // namespace
}  // namespace adjudge::rl
