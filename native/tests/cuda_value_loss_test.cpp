// The critic's loss over the SIMT shim against the f64 path on the same rounded inputs.
#include "rl/value_loss.h"

#include <cmath>

#include "tests/cuda_launch.h"

namespace adjudge::cuda::testing {
namespace {

void expect_metric(double got, double expected) {
  if (std::isnan(expected)) {
    EXPECT_TRUE(std::isnan(got));
  } else {
    EXPECT_NEAR(got, expected, 1e-6 * (1 + std::abs(expected)));
  }
}

struct Case {
  Ragged ragged;
  std::vector<float> values, old_values, returns;

  explicit Case(const std::vector<int>& lengths) : ragged(lengths) {
    values = ragged.hidden(ragged.normal(ragged.tokens()));
    old_values = ragged.hidden(ragged.normal(ragged.tokens()));
    returns = ragged.hidden(ragged.normal(ragged.tokens(), 2, 30));
  }
};

void compare(const rl::ValueRule& rule, const Case& data, double batch_tokens = -1,
             double batch_sequences = -1) {
  const Ragged& ragged = data.ragged;
  const std::vector<double> wide_values = widened(data.values), wide_old_values = widened(data.old_values),
                            wide_returns = widened(data.returns);
  std::vector<double> expected(ragged.tokens());
  const rl::ValueLossResult reference = rl::value_loss<double>(
      rule,
      {wide_values.data(), wide_old_values.data(), wide_returns.data(), ragged.mask.data(),
       ragged.cu_seqlens.data(), ragged.rows(), batch_tokens, batch_sequences},
      expected.data());
  const rl::ValueBatch<float> batch{data.values.data(), data.old_values.data(),   data.returns.data(),
                                    ragged.mask.data(), ragged.cu_seqlens.data(), ragged.rows(),
                                    batch_tokens,       batch_sequences};
  in_every_order([&](int threads) {
    std::vector<float> gradients(ragged.tokens(), -7.0f);
    rl::ValueLossResult value;
    value.loss = -7;
    enqueue(threads, [&](Launch& launch) {
      return adjudge_cuda_kernels()->value_loss(rule, batch, static_cast<std::int64_t>(ragged.tokens()),
                                                gradients.data(), &value, launch);
    });
    expect_close(gradients, expected);
    expect_metric(value.loss, reference.loss);
    expect_metric(value.metrics.tokens, reference.metrics.tokens);
    expect_metric(value.metrics.sequences, reference.metrics.sequences);
    expect_metric(value.metrics.clip_fraction, reference.metrics.clip_fraction);
    expect_metric(value.metrics.value, reference.metrics.value);
    expect_metric(value.metrics.value_error, reference.metrics.value_error);
    expect_metric(value.metrics.returns, reference.metrics.returns);
    expect_metric(value.metrics.explained_variance, reference.metrics.explained_variance);
    Bits bits;
    bits.add(gradients);
    bits.add(value);
    return bits;
  });
}

TEST(CudaValueLoss, EveryAggregationIsTheReference) {
  const Case data({0, 1, 3, 127, 0, 128, 129, 515, 2, 31, 0});
  for (const auto kind : {rl::Aggregation::token_mean, rl::Aggregation::token_sum,
                          rl::Aggregation::sequence_mean_token_mean, rl::Aggregation::sequence_mean_token_sum,
                          rl::Aggregation::constant, rl::Aggregation::sequence_mean}) {
    SCOPED_TRACE("aggregation " + std::to_string(static_cast<int>(kind)));
    rl::ValueRule rule;
    rule.clip = 0.5;
    rule.aggregation.kind = kind;
    rule.aggregation.constant = 64;
    compare(rule, data);
  }
}

TEST(CudaValueLoss, TheOptimizerBatchAndEmptyRowsCount) {
  const Case data({4, 0, 70, 0, 9});
  rl::ValueRule rule;
  compare(rule, data, 1000, 40);
  rule.aggregation.kind = rl::Aggregation::sequence_mean_token_sum;
  compare(rule, data, 1000, 40);
  rule.aggregation.count_empty_rows = true;
  compare(rule, data);
}

TEST(CudaValueLoss, NothingCountedIsNoLoss) {
  Case data({5, 0, 40});
  data.ragged.mask.assign(data.ragged.tokens(), 0);
  compare({}, data);
  compare({}, Case({}));
}

}  // namespace
}  // namespace adjudge::cuda::testing
