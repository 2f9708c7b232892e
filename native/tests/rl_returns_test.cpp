// GAE and off-policy returns in both element types, and the bounds of sequences: nothing leaks from one to
// the next.
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "native/rl/gae.h"
#include "native/rl/off_policy_returns.h"
#include "native/rl/repetition.h"

namespace adjudge::rl {
namespace {

template <typename Float>
void expect_near(const std::vector<Float>& actual, const std::vector<double>& expected, double tolerance) {
  ASSERT_EQ(actual.size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR(actual[i], expected[i], tolerance) << i;
}

template <typename Float>
class RlReturns : public testing::Test {
 protected:
  // The same sequence twice, with an empty one between.
  std::vector<Float> rewards{0, 0, 1, 0, 0, 1};
  std::vector<Float> values{0.5, Float(0.4), Float(0.3), 0.5, Float(0.4), Float(0.3)};
  std::vector<std::int32_t> cu_seqlens{0, 3, 3, 6};
  double tolerance = sizeof(Float) == 4 ? 1e-6 : 1e-14;

  ReturnsBatch<Float> batch() {
    ReturnsBatch<Float> batch;
    batch.rewards = rewards.data();
    batch.values = values.data();
    batch.cu_seqlens = cu_seqlens.data();
    batch.rows = 3;
    return batch;
  }
};

using FloatTypes = testing::Types<float, double>;
TYPED_TEST_SUITE(RlReturns, FloatTypes);

TYPED_TEST(RlReturns, Gae) {
  const GaeBatch<TypeParam> batch{this->rewards.data(), this->values.data(), this->cu_seqlens.data(), 3};
  std::vector<TypeParam> advantages(6), returns(6);
  gae(GaeRule{1, 0.95, true}, batch, advantages.data(), returns.data());
  expect_near(advantages, {0.43675, 0.565, 0.7, 0.43675, 0.565, 0.7}, this->tolerance);
  expect_near(returns, {0.93675, 0.965, 1, 0.93675, 0.965, 1}, this->tolerance);
}

TYPED_TEST(RlReturns, Vtrace) {
  const auto log = [](double x) { return static_cast<TypeParam>(std::log(x)); };
  const std::vector<TypeParam> log_ratios{log(2), log(0.5), 0, log(2), log(0.5), 0};
  auto batch = this->batch();
  batch.log_ratios = log_ratios.data();
  std::vector<TypeParam> targets(6), advantages(6);
  VtraceRule rule;
  rule.gamma = 0.9;
  vtrace(rule, batch, targets.data(), advantages.data());
  expect_near(targets, {0.585, 0.65, 1, 0.585, 0.65, 1}, this->tolerance);
  expect_near(advantages, {0.085, 0.25, 0.7, 0.085, 0.25, 0.7}, this->tolerance);
}

TYPED_TEST(RlReturns, UpgoSkipsWhatIsMasked) {
  const std::vector<std::uint8_t> mask{1, 1, 1, 1, 0, 1};
  auto batch = this->batch();
  batch.mask = mask.data();
  std::vector<TypeParam> returns(6, 9), advantages(6, 9);
  upgo(UpgoRule{}, batch, returns.data(), advantages.data());
  expect_near(returns, {0.4, 1, 1, 1, 0, 1}, this->tolerance);
  expect_near(advantages, {-0.1, 0.6, 0.7, 0.5, 0, 0.7}, this->tolerance);
}

TYPED_TEST(RlReturns, RetraceOfOneStepIsItsReward) {
  auto batch = this->batch();
  batch.action_values = this->values.data();
  std::vector<TypeParam> targets(6);
  RetraceRule rule;
  rule.lambda = 0;
  retrace(rule, batch, targets.data());
  expect_near(targets, {0.4, 0.3, 1, 0.4, 0.3, 1}, this->tolerance);
}

TEST(RlRepetition, CountsNGramsWithinEachCompletion) {
  const std::vector<std::int32_t> tokens{1, 2, 3, 4, 5, 5, 5, 5, 5, 7, 1, 2, 1, 2, 1};
  const std::vector<std::int32_t> cu_seqlens{0, 4, 9, 10, 10, 15};
  EXPECT_EQ(repeated_share(tokens.data(), cu_seqlens.data(), 5, 2),
            (std::vector<double>{0, 0.75, 0, 0, 0.5}));
  EXPECT_EQ(repeated_share(tokens.data(), cu_seqlens.data(), 5, 1)[4], 0.6);
}

}  // namespace
}  // namespace adjudge::rl
