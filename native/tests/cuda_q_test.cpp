// Q targets, Q losses, dueling heads and Polyak over the SIMT shim against the f64 bodies on the same rounded
// inputs.
#include "tests/cuda_launch.h"
#include "tests/q_data.h"

#include "rl/dueling.h"
#include "rl/polyak.h"
#include "rl/q_loss.h"
#include "rl/q_targets.h"

namespace adjudge::cuda::testing {
namespace {

using namespace rl::testing;

// Rows of a thread, of a warp, and of a block.
constexpr std::size_t widths[] = {3, 33, 2100};

std::size_t steps_of(std::size_t width) { return width > 1000 ? 3 : 41; }

void compare_targets(const TargetData& data, const rl::QTargetRule& rule, bool twin) {
  const std::size_t count = data.steps * data.quantiles;
  std::vector<double> expected(count);
  rl::q_targets(rule, data.batch<double>(rule.bootstrap, twin, rl::testing::looks_ahead(rule)),
                expected.data());
  in_every_order([&](int threads) {
    std::vector<float> targets(count, -7.0f);
    Fault fault{FaultKind::group_of_one, 0, 0};
    enqueue(threads, [&](Launch& launch) {
      return adjudge_cuda_kernels()->q_targets(
          rule, data.batch<float>(rule.bootstrap, twin, rl::testing::looks_ahead(rule)), targets.data(),
          &fault, launch);
    });
    EXPECT_EQ(fault.kind, FaultKind::none);
    expect_close(targets, expected);
    Bits bits;
    bits.add(targets);
    return bits;
  });
}

TEST(CudaQ, TargetsOfEveryRuleAreTheReference) {
  for (const std::size_t width : widths) {
    for (const std::size_t quantiles : {std::size_t{1}, std::size_t{5}}) {
      if (quantiles > 1 && width > 1000) continue;
      const TargetData data(steps_of(width), width, quantiles, 3);
      for (const rl::QTargetRule& rule : target_rules(quantiles)) {
        SCOPED_TRACE(std::to_string(width) + " actions, " + std::to_string(quantiles) +
                     " quantiles, bootstrap " + std::to_string(static_cast<int>(rule.bootstrap)));
        compare_targets(data, rule, width == 33);
        if (::testing::Test::HasFailure()) return;
      }
    }
  }
}

void compare_loss(const LossData& data, const rl::QLossRule& rule, bool gathered, double batch_steps) {
  LossOutputs<double> expected(data.steps, data.numbers());
  auto wide = data.batch<double>(rule, gathered, true, expected);
  wide.batch_steps = batch_steps;
  const rl::QLossValue reference = rl::q_loss(rule, wide);
  in_every_order([&](int threads) {
    LossOutputs<float> found(data.steps, data.numbers());
    auto batch = data.batch<float>(rule, gathered, true, found);
    batch.batch_steps = batch_steps;
    rl::QLossValue value;
    value.loss = -7;
    Fault fault{FaultKind::group_of_one, 0, 0};
    enqueue(threads, [&](Launch& launch) {
      return adjudge_cuda_kernels()->q_loss(rule, batch, &value, &fault, launch);
    });
    EXPECT_EQ(fault.kind, FaultKind::none);
    expect_outputs_near(found, expected);
    expect_loss_near(value, reference, 1e-6);
    Bits bits;
    for (int h = 0; h < 2; ++h) {
      bits.add(found.q[h]);
      bits.add(found.action_q[h]);
      bits.add(found.log_sum_exp[h]);
    }
    for (const auto* each : {&found.values, &found.log_probs, &found.priorities, &found.policy_weights})
      bits.add(*each);
    bits.add(value);
    return bits;
  });
}

TEST(CudaQ, LossesOfEveryRuleAreTheReference) {
  for (const std::size_t width : widths) {
    for (const std::size_t quantiles : {std::size_t{1}, std::size_t{5}}) {
      if (quantiles > 1 && width > 1000) continue;
      const LossData data(steps_of(width), width, quantiles, 4);
      std::vector<rl::QLossRule> rules = loss_rules(quantiles);
      if (width > 1000) rules = {rules.back()};
      for (const rl::QLossRule& rule : rules) {
        SCOPED_TRACE(std::to_string(width) + " actions, " + std::to_string(quantiles) + " quantiles");
        compare_loss(data, rule, false, 1);
        if (quantiles == 1 && width == 3) compare_loss(data, rule, true, -1);
        if (::testing::Test::HasFailure()) return;
      }
    }
  }
}

TEST(CudaQ, ManyStepsOfOneTeamAddUp) {
  const LossData data(700, 9, 1, 5);
  compare_loss(data, rl::testing::loss_rules(1).back(), false, -1);
}

Fault fault_of_loss(const LossData& data, const rl::QLossRule& rule) {
  LossOutputs<float> out(data.steps, data.numbers());
  rl::QLossValue value;
  Fault fault;
  enqueue(64, [&](Launch& launch) {
    return adjudge_cuda_kernels()->q_loss(rule, data.batch<float>(rule, false, true, out), &value, &fault,
                                          launch);
  });
  return fault;
}

TEST(CudaQ, WhatIsWrongIsNoted) {
  TargetData targets(40, 33, 1, 7);
  std::vector<float> out(40);
  const auto fault_of = [&] {
    Fault fault;
    enqueue(64, [&](Launch& launch) {
      return adjudge_cuda_kernels()->q_targets({}, targets.batch<float>(rl::Bootstrap::max, true, false),
                                               out.data(), &fault, launch);
    });
    return fault;
  };
  EXPECT_EQ(fault_of().kind, FaultKind::none);
  targets.terminated[31] = 0;
  for (std::size_t a = 0; a < 33; ++a) targets.allowed[31 * 33 + a] = 0;
  EXPECT_EQ(fault_of().kind, FaultKind::no_action_allowed);
  EXPECT_EQ(fault_of().index, 31);
  targets.rewards.set(12, INFINITY);
  EXPECT_EQ(fault_of().kind, FaultKind::value_not_finite);
  EXPECT_EQ(fault_of().index, 12);

  LossData losses(40, 33, 1, 8);
  rl::QLossRule rule = loss_rules(1).back();
  losses.mask[20] = losses.mask[21] = 1;
  losses.taken[20] = 33;
  losses.taken[21] = -1;
  EXPECT_EQ(fault_of_loss(losses, rule).kind, FaultKind::action_invalid);
  EXPECT_EQ(fault_of_loss(losses, rule).index, 20);
  losses.mask[20] = losses.mask[21] = 0;
  EXPECT_EQ(fault_of_loss(losses, rule).kind, FaultKind::none);
  rule.weight_limit = INFINITY;
  rule.beta = 1e6;
  EXPECT_EQ(fault_of_loss(losses, rule).kind, FaultKind::weight_overflow);
}

TEST(CudaQ, DuelingIsTheReference) {
  for (const std::size_t actions : {std::size_t{3}, std::size_t{40}, std::size_t{2100}}) {
    for (const std::size_t quantiles : {std::size_t{1}, std::size_t{6}}) {
      const std::size_t steps = actions > 1000 ? 2 : 21;
      const rl::DuelingShape shape{steps, actions, quantiles};
      QNumbers numbers(steps, actions, quantiles, 6);
      const Twofold values = numbers.normal(steps * quantiles, 1, 500),
                    slopes = numbers.normal(numbers.numbers());
      Twofold advantages = numbers.normal(numbers.numbers(), 3, -500);
      for (std::size_t i = 1; i < numbers.numbers(); i += 3) advantages.set(i, advantages.dual[i - 1]);
      for (const rl::DuelingCentre centre : {rl::DuelingCentre::mean, rl::DuelingCentre::max}) {
        std::vector<double> q(numbers.numbers()), v(steps * quantiles), a(numbers.numbers());
        rl::dueling_q(centre, shape, values.data<double>(), advantages.data<double>(), q.data());
        rl::dueling_gradients(centre, shape, advantages.data<double>(), slopes.data<double>(), v.data(),
                              a.data());
        in_every_order([&](int threads) {
          std::vector<float> found_q(q.size()), found_v(v.size()), found_a(a.size());
          enqueue(threads, [&](Launch& launch) {
            return adjudge_cuda_kernels()->dueling_q(centre, shape, values.data<float>(),
                                                     advantages.data<float>(), found_q.data(), launch);
          });
          enqueue(threads, [&](Launch& launch) {
            return adjudge_cuda_kernels()->dueling_gradients(centre, shape, advantages.data<float>(),
                                                             slopes.data<float>(), found_v.data(),
                                                             found_a.data(), launch);
          });
          expect_close(found_q, q);
          expect_close(found_v, v);
          expect_close(found_a, a);
          Bits bits;
          bits.add(found_q);
          bits.add(found_v);
          bits.add(found_a);
          return bits;
        });
      }
    }
  }
}

TEST(CudaQ, PolyakHasTheBitsOfTheProcessor) {
  QNumbers numbers(1, 1, 1, 10);
  for (const std::size_t count : {std::size_t{1}, std::size_t{6}, std::size_t{1031}}) {
    const Twofold online = numbers.normal(count), start = numbers.normal(count);
    for (const double rate : {0.005, 1.0}) {
      std::vector<float> expected = start.single;
      rl::polyak_average(rate, online.data<float>(), expected.data(), count);
      in_every_order([&](int threads) {
        std::vector<float> target = start.single;
        enqueue(threads, [&](Launch& launch) {
          return adjudge_cuda_kernels()->polyak_average(rate, online.data<float>(), target.data(),
                                                        static_cast<std::int64_t>(count), launch);
        });
        EXPECT_EQ(target, expected);
        Bits bits;
        bits.add(target);
        return bits;
      });
    }
  }
}

}  // namespace
}  // namespace adjudge::cuda::testing
