// KL between whole rows against its definition and central differences; KL in the reward; the adaptive
// coefficient.
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "native/rl/kl_reward.h"
#include "native/rl/kl_rows.h"

namespace adjudge::rl {
namespace {

const std::vector<double> logits{0.3, -1.2, 2.0, 0.1, 0.7, 0.7, -3.0, 1.5};
const std::vector<double> reference{-0.4, 0.9, 1.0, 0.0, 2.2, -0.3, 0.8, 0.4};

KlRowsBatch<double> rows_of(const std::vector<double>& policy) {
  KlRowsBatch<double> batch;
  batch.logits = policy.data();
  batch.reference_logits = reference.data();
  batch.rows = 2;
  batch.width = 4;
  return batch;
}

std::vector<double> softmax(const double* row) {
  double sum = 0;
  for (int k = 0; k < 4; ++k) sum += std::exp(row[k]);
  std::vector<double> result;
  for (int k = 0; k < 4; ++k) result.push_back(std::exp(row[k]) / sum);
  return result;
}

TEST(RlKlRows, EqualsItsDefinition) {
  std::vector<double> reverse(2), forward(2);
  kl_rows<double>(KlDirection::reverse, rows_of(logits), reverse.data(), nullptr);
  kl_rows<double>(KlDirection::forward, rows_of(logits), forward.data(), nullptr);
  for (std::size_t row = 0; row < 2; ++row) {
    const auto p = softmax(logits.data() + 4 * row);
    const auto q = softmax(reference.data() + 4 * row);
    double expected_reverse = 0, expected_forward = 0;
    for (int k = 0; k < 4; ++k) {
      expected_reverse += p[k] * std::log(p[k] / q[k]);
      expected_forward += q[k] * std::log(q[k] / p[k]);
    }
    EXPECT_NEAR(reverse[row], expected_reverse, 1e-14);
    EXPECT_NEAR(forward[row], expected_forward, 1e-14);
  }
}

TEST(RlKlRows, GradientsEqualCentralDifferences) {
  for (const auto direction : {KlDirection::reverse, KlDirection::forward}) {
    std::vector<double> values(2), gradients(8), ignored(2);
    kl_rows<double>(direction, rows_of(logits), values.data(), gradients.data());
    for (std::size_t k = 0; k < 8; ++k) {
      std::vector<double> shifted = logits;
      shifted[k] += 1e-6;
      kl_rows<double>(direction, rows_of(shifted), ignored.data(), nullptr);
      const double above = ignored[k / 4];
      shifted[k] -= 2e-6;
      kl_rows<double>(direction, rows_of(shifted), ignored.data(), nullptr);
      EXPECT_NEAR((above - ignored[k / 4]) / 2e-6, gradients[k], 1e-9) << k;
    }
  }
}

TEST(RlKlRows, AProbabilityOfZeroAddsNothing) {
  std::vector<double> cut = logits;
  cut[3] = -INFINITY;
  std::vector<double> values(2), gradients(8);
  kl_rows<double>(KlDirection::reverse, rows_of(cut), values.data(), gradients.data());
  EXPECT_TRUE(std::isfinite(values[0]));
  EXPECT_EQ(gradients[3], 0);
}

TEST(RlKlReward, RewardOnTheLastCountedTokenLessTheKl) {
  const std::vector<double> token_rewards{0, 0, 0.5, 0};
  const std::vector<double> kl{0.1, 0.2, 9, -0.3};
  const std::vector<std::uint8_t> mask{1, 1, 0, 1};
  const std::vector<std::int32_t> cu_seqlens{0, 3, 4, 4};
  const std::vector<double> rewards{5, 1, 7};
  KlRewardBatch<double> batch;
  batch.rewards = rewards.data();
  batch.token_rewards = token_rewards.data();
  batch.kl = kl.data();
  batch.mask = mask.data();
  batch.cu_seqlens = cu_seqlens.data();
  batch.rows = 3;
  KlRewardRule rule;
  rule.kl.coefficient = 0.1;
  rule.clip_high = 2;
  std::vector<double> results(4, 77);
  const KlRewardMetrics metrics = kl_reward(rule, batch, results.data());
  EXPECT_NEAR(results[0], -0.01, 1e-15);
  EXPECT_NEAR(results[1], 2 - 0.02, 1e-15);
  EXPECT_EQ(results[2], 0);
  EXPECT_NEAR(results[3], 1.03, 1e-15);
  EXPECT_NEAR(metrics.kl, (0.15 - 0.3 + 0) / 3, 1e-15);
  EXPECT_NEAR(metrics.kl_token, 0, 1e-15);
}

TEST(RlKlReward, TheCoefficientFollowsTheObservedKlWithinTheLimit) {
  AdaptiveKlRule rule;
  rule.horizon = 1000;
  EXPECT_NEAR(adapted_coefficient(rule, 0.04, 0.11, 64), 0.04 * (1 + 0.1 * 0.064), 1e-15);
  EXPECT_NEAR(adapted_coefficient(rule, 0.04, 5, 64), 0.04 * (1 + 0.2 * 0.064), 1e-15);
  EXPECT_NEAR(adapted_coefficient(rule, 0.04, -5, 64), 0.04 * (1 - 0.2 * 0.064), 1e-15);
}

}  // namespace
}  // namespace adjudge::rl
