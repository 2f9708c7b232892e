// KL at sampled tokens, alone and in the reward, over the SIMT shim against the f64 path on the same rounded
// inputs.
#include "rl/kl_reward.h"
#include "rl/kl_tokens.h"
#include "tests/cuda_launch.h"
#include "tests/kl_rules.h"

namespace adjudge::cuda::testing {
namespace {

struct Tokens {
  Ragged ragged;
  std::vector<float> log_probs, reference, old_log_probs, token_rewards, rewards;

  explicit Tokens(const std::vector<int>& lengths) : ragged(lengths) {
    log_probs = ragged.hidden(ragged.normal(ragged.tokens(), 1, -2));
    reference = ragged.hidden(ragged.normal(ragged.tokens(), 1, -2));
    old_log_probs = ragged.hidden(ragged.normal(ragged.tokens(), 1, -2));
    token_rewards = ragged.hidden(ragged.normal(ragged.tokens()));
    rewards = ragged.normal(ragged.rows(), 3);
  }
};

void compare_tokens(const rl::KlRule& rule, const Tokens& data, bool old) {
  const std::size_t tokens = data.ragged.tokens();
  const auto log_probs = widened(data.log_probs), reference = widened(data.reference),
             old_log_probs = widened(data.old_log_probs);
  std::vector<double> expected(tokens), expected_gradients(tokens);
  rl::kl_tokens<double>(rule,
                        {log_probs.data(), reference.data(), old ? old_log_probs.data() : nullptr,
                         data.ragged.mask.data(), tokens},
                        expected.data(), expected_gradients.data());
  in_every_order([&](int threads) {
    std::vector<float> values(tokens, -7.0f), gradients(tokens, -7.0f);
    enqueue(threads, [&](Launch& launch) {
      return adjudge_cuda_kernels()->kl_tokens(
          rule,
          {data.log_probs.data(), data.reference.data(), old ? data.old_log_probs.data() : nullptr,
           data.ragged.mask.data(), tokens},
          values.data(), gradients.data(), launch);
    });
    expect_close(values, expected);
    expect_close(gradients, expected_gradients);
    Bits bits;
    bits.add(values);
    bits.add(gradients);
    return bits;
  });
}

struct Given {
  bool rewards, token_rewards, known, log_probs, masked;
};

template <typename Float>
rl::KlRewardBatch<Float> rewards_of(const Tokens& data, const Given& given,
                                    const std::vector<Float>& log_probs, const std::vector<Float>& reference,
                                    const std::vector<Float>& token_rewards,
                                    const std::vector<Float>& rewards) {
  rl::KlRewardBatch<Float> batch;
  if (given.rewards) batch.rewards = rewards.data();
  if (given.token_rewards) batch.token_rewards = token_rewards.data();
  if (given.known) batch.kl = reference.data();
  if (given.log_probs) {
    batch.log_probs = log_probs.data();
    batch.reference_log_probs = reference.data();
  }
  if (given.masked) batch.mask = data.ragged.mask.data();
  batch.cu_seqlens = data.ragged.cu_seqlens.data();
  batch.rows = data.ragged.rows();
  return batch;
}

void compare_rewards(const rl::KlRewardRule& rule, const Tokens& data, const Given& given) {
  const std::size_t tokens = data.ragged.tokens();
  std::vector<double> expected(tokens);
  const auto reference =
      rl::kl_reward<double>(rule,
                            rewards_of<double>(data, given, widened(data.log_probs), widened(data.reference),
                                               widened(data.token_rewards), widened(data.rewards)),
                            expected.data());
  const auto batch =
      rewards_of<float>(data, given, data.log_probs, data.reference, data.token_rewards, data.rewards);
  in_every_order([&](int threads) {
    std::vector<float> results(tokens, -7.0f);
    rl::KlRewardMetrics metrics{-7, -7};
    enqueue(threads, [&](Launch& launch) {
      return adjudge_cuda_kernels()->kl_reward(rule, batch, static_cast<std::int64_t>(tokens), results.data(),
                                               &metrics, launch);
    });
    expect_close(results, expected);
    EXPECT_NEAR(metrics.kl, reference.kl, 1e-6 * (1 + std::abs(reference.kl)));
    EXPECT_NEAR(metrics.kl_token, reference.kl_token, 1e-6 * (1 + std::abs(reference.kl_token)));
    Bits bits;
    bits.add(results);
    bits.add(metrics);
    return bits;
  });
}

TEST(CudaKlTokens, EveryEstimatorIsTheReference) {
  const Tokens data({0, 1, 3, 127, 0, 128, 129, 515, 2, 31, 0});
  for (const rl::KlRule& rule : rl::testing::kl_rules()) {
    compare_tokens(rule, data, false);
    if (rule.gradient == rl::KlGradient::unbiased_ratio) compare_tokens(rule, data, true);
  }
  compare_tokens({}, Tokens({}), false);
}

TEST(CudaKlReward, EveryEstimatorIsTheReference) {
  const Tokens data({0, 1, 3, 127, 0, 128, 129, 515, 2, 31, 0});
  for (const rl::KlRule& kl : rl::testing::kl_rules()) {
    rl::KlRewardRule rule;
    rule.kl = kl;
    rule.clip_low = -2;
    rule.clip_high = 2.5;
    compare_rewards(rule, data, {true, true, false, true, true});
  }
}

TEST(CudaKlReward, WhatIsNotGivenIsNothing) {
  Tokens data({4, 0, 70, 9});
  rl::KlRewardRule rule;
  rule.kl.coefficient = 0.5;
  compare_rewards(rule, data, {true, false, true, false, true});
  compare_rewards(rule, data, {false, true, false, true, true});
  compare_rewards(rule, data, {true, false, false, false, false});
  data.ragged.mask.assign(data.ragged.tokens(), 0);
  compare_rewards(rule, data, {true, true, false, true, true});
  compare_rewards(rule, Tokens({}), {true, false, false, true, true});
}

}  // namespace
}  // namespace adjudge::cuda::testing
