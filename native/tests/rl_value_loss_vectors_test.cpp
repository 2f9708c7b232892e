// The f32 kernels of the value loss against the f64 reference on the same rounded numbers, for the
// instruction set that ADJUDGE_ISA chooses.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "native/core/thread_pool.h"
#include "native/reference/value_loss.h"
#include "native/rl/value_loss.h"

namespace adjudge::rl {
namespace {

// Rows of 0 to `longest` tokens; masked tokens hold NaN; a value is often exactly at the clip's bound or
// tied.
struct Tokens {
  std::vector<std::int32_t> cu_seqlens{0};
  std::vector<float> values, old_values, returns;
  std::vector<std::uint8_t> mask;

  Tokens(unsigned seed, int rows, int longest, bool masked) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    const float nothing = std::numeric_limits<float>::quiet_NaN();
    for (int i = 0; i < rows; ++i) {
      const int length = static_cast<int>(random() % static_cast<unsigned>(i % 5 == 0 ? longest + 1 : 9));
      const bool silent = masked && i % 7 == 0;
      for (int t = 0; t < length; ++t) {
        const bool counted = !masked || (!silent && random() % 4 != 0);
        const float old_value = normal(random);
        const float value = random() % 5 == 0 ? old_value + 0.5F : old_value + 0.4F * normal(random);
        mask.push_back(counted ? static_cast<std::uint8_t>(1 + random() % 3) : 0);
        values.push_back(counted ? value : nothing);
        old_values.push_back(counted ? old_value : nothing);
        returns.push_back(counted ? 100 + normal(random) : nothing);
      }
      cu_seqlens.push_back(static_cast<std::int32_t>(mask.size()));
    }
  }

  ValueBatch<float> batch(bool masked) const {
    ValueBatch<float> batch;
    batch.values = values.data();
    batch.old_values = old_values.data();
    batch.returns = returns.data();
    batch.mask = masked ? mask.data() : nullptr;
    batch.cu_seqlens = cu_seqlens.data();
    batch.rows = cu_seqlens.size() - 1;
    return batch;
  }
};

std::vector<double> numbers(const ValueLossResult& result) {
  const ValueMetrics& m = result.metrics;
  return {result.loss, m.tokens,      m.sequences, m.clip_fraction,
          m.value,     m.value_error, m.returns,   m.explained_variance};
}

void compare(const ValueRule& rule, const ValueBatch<float>& batch) {
  const auto tokens = static_cast<std::size_t>(batch.rows > 0 ? batch.cu_seqlens[batch.rows] : 0);
  // One element before the first: an output that is not aligned.
  std::vector<float> gradients(tokens + 1, -7), expected(tokens);
  const auto result = numbers(value_loss(rule, batch, gradients.data() + 1));
  const auto wanted = numbers(reference::value_loss(rule, batch, expected.data()));
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (std::isnan(wanted[i]))
      EXPECT_TRUE(std::isnan(result[i])) << i;
    else
      EXPECT_NEAR(result[i], wanted[i], 1e-12 * (1 + std::abs(wanted[i]))) << i;
  }
  EXPECT_EQ(gradients[0], -7);
  for (std::size_t t = 0; t < tokens; ++t) ASSERT_EQ(gradients[t + 1], expected[t]) << t;
}

TEST(RlValueLossVectors, GradientsAreTheRoundedReferenceAndMetricsAgree) {
  for (const bool masked : {false, true}) {
    const Tokens tokens(3, 200, 900, masked);
    for (const auto kind :
         {Aggregation::token_mean, Aggregation::token_sum, Aggregation::sequence_mean_token_mean,
          Aggregation::sequence_mean_token_sum, Aggregation::constant, Aggregation::sequence_mean}) {
      for (const double clip : {0.5, static_cast<double>(INFINITY)}) {
        SCOPED_TRACE(std::to_string(static_cast<int>(kind)) + (masked ? " masked" : "") +
                     (clip < 1 ? " clip" : ""));
        ValueRule rule;
        rule.clip = clip;
        rule.aggregation.kind = kind;
        rule.aggregation.constant = 7;
        rule.aggregation.token_epsilon = 1e-8;
        compare(rule, tokens.batch(masked));
      }
    }
  }
}

TEST(RlValueLossVectors, EmptyRowsAndBatchesWithoutCountedTokens) {
  ValueRule rule;
  rule.clip = 0.2;
  rule.aggregation.kind = Aggregation::sequence_mean_token_mean;
  rule.aggregation.count_empty_rows = true;
  for (const int rows : {0, 1, 3, 40}) compare(rule, Tokens(5, rows, 3, true).batch(true));
  Tokens silent(6, 30, 50, true);
  silent.mask.assign(silent.mask.size(), 0);
  compare(rule, silent.batch(true));
}

TEST(RlValueLossVectors, ALargeBatchHasTheSameBitsOnAnyNumberOfThreads) {
  const Tokens tokens(9, 40000, 2500, true);  // written past the caches
  ASSERT_GT(tokens.mask.size(), std::size_t{8} << 20);
  ValueRule rule;
  rule.clip = 0.5;
  rule.aggregation.kind = Aggregation::sequence_mean_token_mean;
  const ValueBatch<float> batch = tokens.batch(true);
  std::vector<float> one(tokens.mask.size()), three(tokens.mask.size()), expected(tokens.mask.size());
  set_threads(1);
  const auto first = numbers(value_loss(rule, batch, one.data()));
  set_threads(3);
  const auto second = numbers(value_loss(rule, batch, three.data()));
  EXPECT_EQ(first, second);
  EXPECT_EQ(one, three);
  const auto wanted = numbers(reference::value_loss(rule, batch, expected.data()));
  EXPECT_EQ(one, expected);
  for (std::size_t i = 0; i < wanted.size(); ++i)
    EXPECT_NEAR(first[i], wanted[i], 1e-9 * (1 + std::abs(wanted[i]))) << i;
}

}  // namespace
}  // namespace adjudge::rl
