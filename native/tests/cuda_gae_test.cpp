#include "rl/gae.h"

#include "tests/cuda_launch.h"

namespace adjudge::cuda::testing {
namespace {

void compare(const rl::GaeRule& rule, Ragged& ragged, bool masked) {
  std::vector<float> rewards = ragged.normal(ragged.tokens());
  std::vector<float> values = ragged.normal(ragged.tokens());
  const std::vector<float> bootstrap = ragged.normal(ragged.rows());
  if (masked) {
    rewards = ragged.hidden(rewards);
    values = ragged.hidden(values);
  }
  const std::uint8_t* mask = masked ? ragged.mask.data() : nullptr;
  const std::vector<double> wide_rewards = widened(rewards), wide_values = widened(values),
                            wide_bootstrap = widened(bootstrap);
  std::vector<double> expected(ragged.tokens()), expected_returns(ragged.tokens());
  rl::gae<double>(rule,
                  {wide_rewards.data(), wide_values.data(), ragged.cu_seqlens.data(), ragged.rows(), mask,
                   wide_bootstrap.data()},
                  expected.data(), expected_returns.data());
  const rl::GaeBatch<float> batch{rewards.data(), values.data(), ragged.cu_seqlens.data(),
                                  ragged.rows(),  mask,          bootstrap.data()};
  in_every_order([&](int threads) {
    std::vector<float> advantages(ragged.tokens(), -7.0f), returns(ragged.tokens(), -7.0f);
    enqueue(threads, [&](Launch& launch) {
      return adjudge_cuda_kernels()->gae(rule, batch, static_cast<std::int64_t>(ragged.tokens()),
                                         advantages.data(), returns.data(), launch);
    });
    expect_close(advantages, expected);
    expect_close(returns, expected_returns);
    Bits bits;
    bits.add(advantages);
    bits.add(returns);
    return bits;
  });
}

TEST(CudaGae, RaggedRowsAreTheReference) {
  Ragged ragged({0, 1, 3, 127, 0, 128, 129, 515, 2, 1300, 31, 0});
  compare({0.99, 0.95, true}, ragged, false);
  compare({1, 1, true}, ragged, false);
}

TEST(CudaGae, MaskedTokensMayBeNaNUnderBothRules) {
  Ragged ragged({5, 0, 130, 64, 1, 700, 33, 2, 1100});
  // A row without a counted token, and one that ends in many masked ones.
  for (std::int32_t t = ragged.cu_seqlens[3]; t < ragged.cu_seqlens[4]; ++t)
    ragged.mask[static_cast<std::size_t>(t)] = 0;
  for (std::int32_t t = ragged.cu_seqlens[6] - 300; t < ragged.cu_seqlens[6]; ++t) {
    ragged.mask[static_cast<std::size_t>(t)] = 0;
  }
  compare({0.98, 0.9, true}, ragged, true);
  compare({0.98, 0.9, false}, ragged, true);
}

TEST(CudaGae, LongRowsKeepTheirDigits) {
  Ragged ragged({8192, 8191});
  compare({1, 0.999, true}, ragged, false);
  compare({1, 1, true}, ragged, false);
}

}  // namespace
}  // namespace adjudge::cuda::testing
