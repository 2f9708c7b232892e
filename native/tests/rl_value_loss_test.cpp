// The critic's loss: its gradient for every aggregation, and values at both sides of the clip.
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "native/rl/value_loss.h"

namespace adjudge::rl {
namespace {

struct Case {
  std::vector<double> values{0.3, -0.8, 9, 1.4, 0.2, 0.9, -0.1, 7, 0.6};
  std::vector<double> old_values{0.05, -0.1, 0, 1.3, 0.8, 0.95, -0.65, 0, 0.2};
  std::vector<double> returns{1, 0.4, 3, 0.2, 1.1, -0.3, 0.5, 4, 0.55};
  std::vector<std::uint8_t> mask{1, 1, 0, 1, 1, 1, 1, 0, 1};
  std::vector<std::int32_t> cu_seqlens{0, 4, 4, 6, 9};

  ValueBatch<double> batch() const {
    ValueBatch<double> batch;
    batch.values = values.data();
    batch.old_values = old_values.data();
    batch.returns = returns.data();
    batch.mask = mask.data();
    batch.cu_seqlens = cu_seqlens.data();
    batch.rows = 4;
    return batch;
  }
};

TEST(RlValueLoss, GradientsEqualCentralDifferences) {
  for (const auto aggregation :
       {Aggregation::token_mean, Aggregation::token_sum, Aggregation::sequence_mean_token_mean,
        Aggregation::sequence_mean_token_sum, Aggregation::constant}) {
    for (const double clip : {0.2, 0.5, static_cast<double>(INFINITY)}) {
      ValueRule rule;
      rule.clip = clip;
      rule.aggregation.kind = aggregation;
      rule.aggregation.constant = 5;
      const Case data;
      std::vector<double> gradients(9), ignored(9);
      value_loss<double>(rule, data.batch(), gradients.data());
      for (std::size_t t = 0; t < 9; ++t) {
        Case shifted = data;
        shifted.values[t] += 1e-6;
        const double above = value_loss<double>(rule, shifted.batch(), ignored.data()).loss;
        shifted.values[t] -= 2e-6;
        const double below = value_loss<double>(rule, shifted.batch(), ignored.data()).loss;
        EXPECT_NEAR((above - below) / 2e-6, gradients[t], 1e-8) << static_cast<int>(aggregation) << ' ' << t;
      }
    }
  }
}

TEST(RlValueLoss, AClippedErrorHoldsTheLossAndStopsTheGradient) {
  // Moves towards the return by 1, counted as if by 0.2: (0.2 - 2)^2 and not (1 - 2)^2.
  const std::vector<double> values{1}, old_values{0}, returns{2};
  const std::vector<std::int32_t> cu_seqlens{0, 1};
  ValueBatch<double> batch;
  batch.values = values.data();
  batch.old_values = old_values.data();
  batch.returns = returns.data();
  batch.cu_seqlens = cu_seqlens.data();
  batch.rows = 1;
  ValueRule rule;
  rule.clip = 0.2;
  double gradient = 7;
  const ValueLossResult clipped = value_loss<double>(rule, batch, &gradient);
  EXPECT_NEAR(clipped.loss, 0.5 * 1.8 * 1.8, 1e-15);
  EXPECT_EQ(gradient, 0);
  EXPECT_EQ(clipped.metrics.clip_fraction, 1);
  EXPECT_TRUE(std::isnan(clipped.metrics.explained_variance));
  batch.old_values = nullptr;
  EXPECT_NEAR(value_loss<double>(rule, batch, &gradient).loss, 0.5, 1e-15);
  EXPECT_NEAR(gradient, -1, 1e-15);
}

}  // namespace
}  // namespace adjudge::rl
