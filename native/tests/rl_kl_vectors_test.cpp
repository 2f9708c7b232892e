// The f32 kernels of KL against the f64 reference on the same rounded numbers, for the instruction set that
// ADJUDGE_ISA chooses.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "native/core/thread_pool.h"
#include "native/reference/kl_reward.h"
#include "native/reference/kl_rows.h"
#include "native/reference/kl_tokens.h"
#include "native/rl/kl_reward.h"
#include "native/rl/kl_rows.h"
#include "native/rl/kl_tokens.h"
#include "native/tests/kl_rules.h"

namespace adjudge::rl {
namespace {

using Floats = std::vector<float>;

void expect_near(const Floats& values, const std::vector<double>& expected) {
  ASSERT_EQ(values.size(), expected.size());
  for (std::size_t i = 0; i < values.size(); ++i)
    ASSERT_NEAR(values[i], expected[i], 1e-5 * (1 + std::abs(expected[i]))) << i;
}

std::vector<double> widened(const Floats& values) { return {values.begin(), values.end()}; }

struct Rows {
  std::size_t rows, width;
  Floats logits, reference;
  std::vector<std::uint8_t> mask;

  // The reference's logits lie 60 higher, and both climb: later blocks have larger maxima.
  Rows(std::size_t row_count, std::size_t row_width, float spread) : rows(row_count), width(row_width) {
    std::mt19937 random(7);
    std::normal_distribution<float> normal(0, spread);
    for (std::size_t i = 0; i < rows * width; ++i) {
      const float slope = static_cast<float>(i % width) / 2000;
      logits.push_back(normal(random) + slope);
      reference.push_back(normal(random) + 60 - slope);
    }
    mask.assign(rows, 1);
  }

  template <typename Float>
  KlRowsBatch<Float> batch(const std::vector<Float>& policy, const std::vector<Float>& other) const {
    return {policy.data(), other.data(), mask.data(), rows, width};
  }
};

void compare(const Rows& data) {
  const auto policy = widened(data.logits), other = widened(data.reference);
  for (const auto direction : {KlDirection::reverse, KlDirection::forward}) {
    std::vector<double> expected(data.rows), expected_gradients(data.rows * data.width);
    reference::kl_rows(direction, data.batch(policy, other), expected.data(), expected_gradients.data());
    Floats values(data.rows), gradients(data.rows * data.width, -7), alone(data.rows);
    kl_rows(direction, data.batch(data.logits, data.reference), values.data(), gradients.data());
    kl_rows<float>(direction, data.batch(data.logits, data.reference), alone.data(), nullptr);
    expect_near(values, expected);
    expect_near(gradients, expected_gradients);
    EXPECT_EQ(values, alone);
  }
}

TEST(RlKlVectors, RowsOfEveryWidthAreTheReference) {
  for (const std::size_t width : {1, 3, 16, 33, 1003, 4096, 4097, 20000}) {
    SCOPED_TRACE(width);
    compare(Rows(5, width, 3));
    compare(Rows(3, width, 0.1F));
  }
}

TEST(RlKlVectors, AMaskedRowIs0AndATokenImpossibleInBothAddsNothing) {
  Rows data(4, 9000, 2);
  data.mask[1] = 0;
  for (std::size_t k = 9000; k < 18000; ++k) data.logits[k] = data.reference[k] = std::nanf("");
  const float never = -std::numeric_limits<float>::infinity();
  // The whole first block of a row, and single tokens.
  for (std::size_t k = 0; k < 4096; ++k) data.logits[k] = data.reference[k] = never;
  for (const std::size_t k : {18005, 22097, 26999, 35999}) data.logits[k] = data.reference[k] = never;
  compare(data);
}

TEST(RlKlVectors, AnInfiniteDivergenceIsInfiniteAndWhatIsNoDistributionIsNaN) {
  const float never = -std::numeric_limits<float>::infinity();
  for (const std::size_t at : {std::size_t{2}, std::size_t{4999}}) {
    Rows data(1, 5000, 1);
    const auto value = [&](KlDirection direction) {
      Floats values(1);
      kl_rows<float>(direction, data.batch(data.logits, data.reference), values.data(), nullptr);
      return values[0];
    };
    data.reference[at] = never;
    EXPECT_EQ(value(KlDirection::reverse), -never);
    EXPECT_TRUE(std::isfinite(value(KlDirection::forward)));
    std::swap(data.logits, data.reference);
    EXPECT_TRUE(std::isfinite(value(KlDirection::reverse)));
    EXPECT_EQ(value(KlDirection::forward), -never);
    for (const float bad : {std::nanf(""), -never}) {
      Rows spoiled(1, 5000, 1);
      (at == 2 ? spoiled.logits : spoiled.reference)[at] = bad;
      std::swap(data, spoiled);
      EXPECT_TRUE(std::isnan(value(KlDirection::reverse)));
      EXPECT_TRUE(std::isnan(value(KlDirection::forward)));
    }
  }
  Rows none(2, 30, 1);
  for (std::size_t k = 0; k < 30; ++k) none.logits[k] = none.reference[k + 30] = never;
  for (const auto direction : {KlDirection::reverse, KlDirection::forward}) {
    Floats values(2);
    std::vector<double> expected(2);
    kl_rows<float>(direction, none.batch(none.logits, none.reference), values.data(), nullptr);
    const auto policy = widened(none.logits), other = widened(none.reference);
    reference::kl_rows<double>(direction, none.batch(policy, other), expected.data(), nullptr);
    for (std::size_t row = 0; row < 2; ++row) {
      EXPECT_TRUE(std::isnan(values[row]));
      EXPECT_TRUE(std::isnan(expected[row]));
    }
  }
}

struct Tokens {
  std::vector<std::int32_t> cu_seqlens{0};
  Floats log_probs, reference, old_log_probs, token_rewards, rewards;
  std::vector<std::uint8_t> mask;

  Tokens(int rows, int longest) {
    std::mt19937 random(5);
    std::normal_distribution<float> normal;
    const float nothing = std::numeric_limits<float>::quiet_NaN();
    for (int i = 0; i < rows; ++i) {
      rewards.push_back(3 * normal(random));
      const int length = static_cast<int>(random() % static_cast<unsigned>(i % 4 == 0 ? longest + 1 : 20));
      for (int t = 0; t < length; ++t) {
        const bool counted = i % 9 != 0 && random() % 5 != 0;
        mask.push_back(counted ? static_cast<std::uint8_t>(1 + random() % 3) : 0);
        for (Floats* values : {&log_probs, &reference, &old_log_probs, &token_rewards})
          values->push_back(counted ? normal(random) - 1 : nothing);
      }
      cu_seqlens.push_back(static_cast<std::int32_t>(mask.size()));
    }
  }
  KlRewardBatch<float> batch() const {
    KlRewardBatch<float> batch;
    batch.rewards = rewards.data();
    batch.token_rewards = token_rewards.data();
    batch.log_probs = log_probs.data();
    batch.reference_log_probs = reference.data();
    batch.mask = mask.data();
    batch.cu_seqlens = cu_seqlens.data();
    batch.rows = rewards.size();
    return batch;
  }
};

TEST(RlKlVectors, TokensOfEveryEstimatorAreTheReference) {
  const Tokens data(300, 800);
  const std::size_t tokens = data.mask.size();
  for (const KlRule& rule : testing::kl_rules()) {
    for (const bool old : {false, true}) {
      const KlTokensBatch<float> batch{data.log_probs.data(), data.reference.data(),
                                       old ? data.old_log_probs.data() : nullptr, data.mask.data(), tokens};
      Floats values(tokens, -7), gradients(tokens, -7), expected(tokens), expected_gradients(tokens);
      kl_tokens(rule, batch, values.data(), gradients.data());
      reference::kl_tokens(rule, batch, expected.data(), expected_gradients.data());
      expect_near(values, widened(expected));
      expect_near(gradients, widened(expected_gradients));
    }
  }
}

void compare_rewards(const KlRewardRule& rule, const KlRewardBatch<float>& batch) {
  const auto tokens = static_cast<std::size_t>(batch.cu_seqlens[batch.rows]);
  Floats results(tokens + 1, -7), expected(tokens);
  const KlRewardMetrics metrics = kl_reward(rule, batch, results.data() + 1);
  const KlRewardMetrics wanted = reference::kl_reward(rule, batch, expected.data());
  EXPECT_EQ(results[0], -7);
  results.erase(results.begin());
  expect_near(results, widened(expected));
  EXPECT_NEAR(metrics.kl, wanted.kl, 1e-6 * (1 + std::abs(wanted.kl)));
  EXPECT_NEAR(metrics.kl_token, wanted.kl_token, 1e-6 * (1 + std::abs(wanted.kl_token)));
}

TEST(RlKlVectors, RewardsOfEveryEstimatorAreTheReference) {
  const Tokens data(300, 800);
  for (const KlRule& kl : testing::kl_rules()) {
    KlRewardRule rule;
    rule.kl = kl;
    rule.clip_low = -2;
    rule.clip_high = 2.5;
    compare_rewards(rule, data.batch());
  }
  KlRewardRule rule;
  rule.kl.coefficient = 0.5;
  KlRewardBatch<float> batch = data.batch();
  batch.token_rewards = nullptr;
  compare_rewards(rule, batch);
  batch.kl = data.old_log_probs.data();
  compare_rewards(rule, batch);
  batch.rewards = nullptr;
  compare_rewards(rule, batch);
  batch.kl = batch.log_probs = nullptr;
  batch.mask = nullptr;
  batch.rewards = data.rewards.data();
  compare_rewards(rule, batch);
}

TEST(RlKlVectors, TheSameBitsOnAnyNumberOfThreads) {
  const Tokens data(60000, 1200);  // written past the caches
  ASSERT_GT(data.mask.size(), std::size_t{8} << 20);
  const Rows rows(90, 3001, 2);
  KlRewardRule rule;
  rule.kl.coefficient = 0.3;
  const auto on = [&](int threads) {
    set_threads(threads);
    Floats all(data.mask.size());
    const KlRewardMetrics metrics = kl_reward(rule, data.batch(), all.data());
    all.push_back(static_cast<float>(metrics.kl));
    all.push_back(static_cast<float>(metrics.kl_token));
    Floats values(rows.rows), gradients(rows.rows * rows.width);
    kl_rows(KlDirection::forward, rows.batch(rows.logits, rows.reference), values.data(), gradients.data());
    all.insert(all.end(), values.begin(), values.end());
    all.insert(all.end(), gradients.begin(), gradients.end());
    return all;
  };
  EXPECT_EQ(on(1), on(3));
  Floats expected(data.mask.size()), results(data.mask.size());
  reference::kl_reward(rule, data.batch(), expected.data());
  kl_reward(rule, data.batch(), results.data());
  expect_near(results, widened(expected));
}

}  // namespace
}  // namespace adjudge::rl
