// Off-policy corrections: single precision against double on the same numbers, rows that count nothing, and
// the bounds at both sides of a weight.
#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "native/rl/off_policy.h"

namespace adjudge::rl {
namespace {

template <typename Float>
struct Case {
  std::vector<Float> log_probs, rollout;
  std::vector<Float> advantages{1, -1, 0, -2, 3};
  std::vector<std::uint8_t> mask{1, 1, 0, 1, 1, 1, 1, 0, 0, 1, 1};
  std::vector<std::int32_t> cu_seqlens{0, 4, 4, 7, 9, 11};

  Case() {
    std::mt19937 random(5);
    std::normal_distribution<double> normal(0, 0.4);
    for (int t = 0; t < 11; ++t) {
      log_probs.push_back(static_cast<Float>(static_cast<float>(-2 + normal(random))));
      rollout.push_back(static_cast<Float>(static_cast<float>(log_probs.back() + normal(random))));
    }
  }

  RolloutBatch<Float> batch() const {
    RolloutBatch<Float> batch;
    batch.log_probs = log_probs.data();
    batch.rollout_log_probs = rollout.data();
    batch.advantages = advantages.data();
    batch.mask = mask.data();
    batch.cu_seqlens = cu_seqlens.data();
    batch.rows = 5;
    return batch;
  }
};

TEST(RlOffPolicy, SinglePrecisionAgreesWithDoubleOnTheSameNumbers) {
  const Case<float> single;
  const Case<double> twice;
  for (const auto level : {WeightLevel::token, WeightLevel::sequence}) {
    for (const auto gate :
         {WeightGate::weight, WeightGate::geometric_mean, WeightGate::binary_kl, WeightGate::binary_kl_mean,
          WeightGate::total_variation, WeightGate::total_variation_mean}) {
      WeightRule rule;
      rule.level = level;
      rule.gate = gate;
      rule.outside = OutsideBand::zero;
      rule.high = gate == WeightGate::weight || gate == WeightGate::geometric_mean ? 1.2 : 0.01;
      rule.normalize = true;
      const Weights left = importance_weights(rule, single.batch());
      const Weights right = importance_weights(rule, twice.batch());
      EXPECT_EQ(left.tokens, right.tokens);
      EXPECT_EQ(left.sequences, right.sequences);
    }
  }
  const RejectionRule rule{{{Divergence::k3, RejectionLevel::sequence_mean, -INFINITY, 0.05, false},
                            {Divergence::binary_kl, RejectionLevel::token, -INFINITY, 0.02, true}},
                           20,
                           0};
  EXPECT_EQ(rejection_mask(rule, single.batch()).mask, rejection_mask(rule, twice.batch()).mask);
  EXPECT_EQ(mismatch_metrics(single.batch()).k3, mismatch_metrics(twice.batch()).k3);
}

TEST(RlOffPolicy, ABandKeepsBothItsEnds) {
  const std::vector<double> log_probs{std::log(0.5), std::log(0.25), std::log(0.5)};
  const std::vector<double> rollout{std::log(0.25), std::log(0.5), std::log(0.1)};
  const std::vector<std::int32_t> cu_seqlens{0, 1, 2, 3};
  RolloutBatch<double> batch;
  batch.log_probs = log_probs.data();
  batch.rollout_log_probs = rollout.data();
  batch.cu_seqlens = cu_seqlens.data();
  batch.rows = 3;
  WeightRule rule;
  rule.outside = OutsideBand::zero;
  rule.low = std::exp(log_probs[1] - rollout[1]);
  rule.high = std::exp(log_probs[0] - rollout[0]);
  const Weights weights = importance_weights(rule, batch);
  EXPECT_EQ(weights.tokens, (std::vector<double>{rule.high, rule.low, 0}));
  EXPECT_NEAR(weights.metrics.outside, 1.0 / 3, 1e-15);
}

TEST(RlOffPolicy, NothingCountedGivesNumbersThroughout) {
  Case<double> data;
  data.mask.assign(11, 0);
  WeightRule rule;
  rule.normalize = true;
  const Weights weights = importance_weights(rule, data.batch());
  for (const double weight : weights.tokens) EXPECT_EQ(weight, 0);
  EXPECT_EQ(weights.metrics.effective_sample_size, 0);
  EXPECT_EQ(weights.metrics.normalizer, 1);
  const RejectionRule rejection{{{Divergence::k2, RejectionLevel::token, -INFINITY, 0.1, false}}, 20, 1e-8};
  const Rejection result = rejection_mask(rejection, data.batch());
  EXPECT_EQ(result.masked_fraction, 0);
  EXPECT_TRUE(std::isfinite(result.criteria[0].maximum));
  EXPECT_TRUE(std::isfinite(mismatch_metrics(data.batch()).chi2_token));
}

TEST(RlOffPolicy, GammaWeightsAreOneOnPolicyAndFallAwayFromIt) {
  Case<double> data;
  GammaBatch<double> batch;
  batch.log_probs = batch.old_log_probs = data.log_probs.data();
  batch.advantages = data.advantages.data();
  batch.cu_seqlens = data.cu_seqlens.data();
  batch.rows = 5;
  for (const double weight : gamma_weights(GammaWeight{}, batch)) EXPECT_EQ(weight, 1);
  std::vector<double> far = data.log_probs;
  for (double& value : far) value += 100;
  batch.log_probs = far.data();
  const std::vector<double> weights = gamma_weights(GammaWeight{}, batch);
  EXPECT_EQ(weights[0], 0);
  EXPECT_EQ(weights[1], 1);  // no token
}

}  // namespace
}  // namespace adjudge::rl
