// Advantages against numbers worked out by hand and against plain formulas on random unequal groups.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "native/core/error.h"
#include "native/rl/advantage.h"

namespace adjudge::rl {
namespace {

AdvantageBatch<double> batch_of(const std::vector<double>& rewards,
                                const std::vector<std::int32_t>& offsets) {
  AdvantageBatch<double> batch;
  batch.rewards = rewards.data();
  batch.group_offsets = offsets.data();
  batch.groups = offsets.size() - 1;
  return batch;
}

struct Result {
  std::vector<double> values;
  AdvantageMetrics metrics;
};

Result advantages_of(const AdvantageRule& rule, const AdvantageBatch<double>& batch) {
  const std::size_t rows = static_cast<std::size_t>(batch.group_offsets[batch.groups]);
  const bool per_token = advantages_per_token(rule, batch);
  Result result;
  result.values.resize(per_token ? static_cast<std::size_t>(batch.cu_seqlens[rows]) : rows);
  result.metrics = compute_advantages<double>(rule, batch, result.values.data(), nullptr);
  return result;
}

TEST(RlAdvantage, GroupDeviationWithAndWithoutBessel) {
  const std::vector<double> rewards{1, 0, 0, 1};
  const std::vector<std::int32_t> offsets{0, 4};
  AdvantageRule rule;
  rule.epsilon = 0;
  EXPECT_NEAR(advantages_of(rule, batch_of(rewards, offsets)).values[0], 0.5 / std::sqrt(1.0 / 3), 1e-15);
  rule.bessel = false;
  EXPECT_NEAR(advantages_of(rule, batch_of(rewards, offsets)).values[0], 1, 1e-15);
}

TEST(RlAdvantage, LeaveOneOutEqualsTheMeanOfTheOthersOnUnequalGroups) {
  std::mt19937 random(3);
  std::normal_distribution<double> normal;
  const std::vector<std::int32_t> offsets{0, 2, 2, 7, 19};
  std::vector<double> rewards(19);
  for (double& reward : rewards) reward = normal(random);
  AdvantageRule rule;
  rule.baseline = Baseline::leave_one_out;
  rule.scale = Scale::none;
  const auto result = advantages_of(rule, batch_of(rewards, offsets));
  for (std::size_t g = 0; g + 1 < offsets.size(); ++g) {
    for (auto i = offsets[g]; i < offsets[g + 1]; ++i) {
      double others = 0;
      for (auto j = offsets[g]; j < offsets[g + 1]; ++j) others += j == i ? 0 : rewards[j];
      EXPECT_NEAR(result.values[i], rewards[i] - others / (offsets[g + 1] - offsets[g] - 1), 1e-13);
    }
  }
}

TEST(RlAdvantage, UnscoredMembersChangeNothingForTheOthers) {
  const double missing = std::numeric_limits<double>::quiet_NaN();
  const std::vector<double> with{1, missing, 3, missing};
  const std::vector<double> without{1, 3};
  const std::vector<std::int32_t> offsets_with{0, 4};
  const std::vector<std::int32_t> offsets_without{0, 2};
  const AdvantageRule rule;
  const auto left = advantages_of(rule, batch_of(with, offsets_with));
  const auto right = advantages_of(rule, batch_of(without, offsets_without));
  EXPECT_EQ(left.values, (std::vector<double>{right.values[0], 0, right.values[1], 0}));
  EXPECT_EQ(left.metrics.unscored, 2u);
}

TEST(RlAdvantage, DiscountedReturnsSkipOrPassMaskedTokens) {
  const std::vector<double> rewards{8};
  const std::vector<std::int32_t> offsets{0, 1};
  const std::vector<std::int32_t> cu_seqlens{0, 4};
  const std::vector<std::uint8_t> mask{1, 0, 1, 1};
  AdvantageRule rule;
  rule.baseline = Baseline::none;
  rule.scale = Scale::none;
  rule.gamma = 0.5;
  auto batch = batch_of(rewards, offsets);
  batch.cu_seqlens = cu_seqlens.data();
  batch.mask = mask.data();
  EXPECT_EQ(advantages_of(rule, batch).values, (std::vector<double>{1, 0, 4, 8}));
  rule.masked_return = MaskedReturn::skip;
  EXPECT_EQ(advantages_of(rule, batch).values, (std::vector<double>{2, 0, 4, 8}));
}

TEST(RlAdvantage, AnInfiniteRewardIsRefusedByName) {
  const std::vector<double> rewards{1, std::numeric_limits<double>::infinity()};
  const std::vector<std::int32_t> offsets{0, 2};
  try {
    advantages_of(AdvantageRule{}, batch_of(rewards, offsets));
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code, "REWARD_INVALID");
    EXPECT_NE(std::string(error.what()).find("completion 1"), std::string::npos);
  }
}

}  // namespace
}  // namespace adjudge::rl
