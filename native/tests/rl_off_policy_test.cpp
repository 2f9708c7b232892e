// Off-policy corrections: single precision against double on the same numbers, rows that count nothing, and
// the bounds at both sides of a weight.
#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "native/core/thread_pool.h"
#include "native/reference/off_policy.h"
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

template <typename Float>
struct Weights {
  std::vector<Float> tokens, sequences;
  WeightMetrics metrics;

  Weights(const WeightRule& rule, const RolloutBatch<Float>& batch)
      : tokens(static_cast<std::size_t>(batch.cu_seqlens[batch.rows])),
        sequences(rule.level == WeightLevel::sequence ? batch.rows : 0) {
    metrics = importance_weights(rule, batch, tokens.data(), sequences.empty() ? nullptr : sequences.data());
  }
};

template <typename Float>
struct Rejection {
  std::vector<std::uint8_t> mask, keep;
  std::vector<CriterionMetrics> criteria;
  RejectionShares shares;

  Rejection(const RejectionRule& rule, const RolloutBatch<Float>& batch)
      : mask(static_cast<std::size_t>(batch.cu_seqlens[batch.rows])),
        keep(batch.rows),
        criteria(rule.criteria.size()) {
    shares = rejection_mask(rule, batch, mask.data(), keep.data(), criteria.data());
  }
};

void expect_near(const std::vector<float>& values, const std::vector<double>& expected) {
  ASSERT_EQ(values.size(), expected.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    EXPECT_NEAR(values[i], expected[i], 1e-5 * (1 + std::abs(expected[i])));
  }
}

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
      const Weights<float> left(rule, single.batch());
      const Weights<double> right(rule, twice.batch());
      expect_near(left.tokens, right.tokens);
      expect_near(left.sequences, right.sequences);
      // The reference of either type is one computation, rounded at its end.
      std::vector<float> tokens(11), sequences(5);
      reference::importance_weights(rule, single.batch(), tokens.data(), sequences.data());
      for (std::size_t t = 0; t < 11; ++t) EXPECT_EQ(tokens[t], static_cast<float>(right.tokens[t]));
    }
  }
  const RejectionRule rule{{{RejectionStatistic::k3, RejectionLevel::sequence_mean, -INFINITY, 0.05, false},
                            {RejectionStatistic::binary_kl, RejectionLevel::token, -INFINITY, 0.02, true}},
                           20,
                           0};
  EXPECT_EQ(Rejection<float>(rule, single.batch()).mask, Rejection<double>(rule, twice.batch()).mask);
  EXPECT_EQ(reference::mismatch_metrics(single.batch()).k3, reference::mismatch_metrics(twice.batch()).k3);
  EXPECT_NEAR(mismatch_metrics(single.batch()).k3, mismatch_metrics(twice.batch()).k3, 1e-6);
}

// Rows of 0 to 300 tokens, more than one thread's share of them; what does not count is NaN.
template <typename Float>
struct Long {
  std::vector<Float> log_probs, rollout, advantages;
  std::vector<std::uint8_t> mask;
  std::vector<std::int32_t> cu_seqlens{0};

  Long() {
    std::mt19937 random(9);
    std::normal_distribution<float> normal(0, 0.05f);
    while (cu_seqlens.back() < 60000) {
      cu_seqlens.push_back(cu_seqlens.back() + static_cast<std::int32_t>(random() % 301));
      advantages.push_back(static_cast<Float>(normal(random)));
    }
    cu_seqlens.push_back(cu_seqlens.back());
    advantages.push_back(-1);
    for (std::int32_t t = 0; t < cu_seqlens.back(); ++t) {
      mask.push_back(random() % 5 != 0);
      const float log_prob = mask.back() ? -1 + normal(random) : NAN;
      log_probs.push_back(log_prob);
      const float other = log_prob + normal(random);
      rollout.push_back(t % 13 == 7 ? NAN : other);  // the rollout's engine gave none
    }
  }
  RolloutBatch<Float> batch() const {
    return {log_probs.data(), rollout.data(),    advantages.data(),
            mask.data(),      cu_seqlens.data(), cu_seqlens.size() - 1};
  }
};

TEST(RlOffPolicy, ThreadsChangeNoBitAndAgreeWithTheReference) {
  const Long<float> single;
  const Long<double> twice;
  const int before = threads();
  for (const auto level : {WeightLevel::token, WeightLevel::sequence}) {
    const WeightRule rule{level, WeightGate::weight, OutsideBand::zero, 0.7, 1.3, 20, true, 1e-8};
    set_threads(1);
    const Weights<float> one(rule, single.batch());
    set_threads(3);
    const Weights<float> three(rule, single.batch());
    EXPECT_EQ(one.tokens, three.tokens);
    EXPECT_EQ(one.sequences, three.sequences);
    EXPECT_EQ(one.metrics.deviation, three.metrics.deviation);
    const Weights<double> expected(rule, twice.batch());
    expect_near(one.tokens, expected.tokens);
    expect_near(one.sequences, expected.sequences);
    EXPECT_NEAR(one.metrics.deviation, expected.metrics.deviation, 1e-9);
    EXPECT_NEAR(one.metrics.sequence_mean, expected.metrics.sequence_mean, 1e-9);
  }
  const RejectionRule rule{{{RejectionStatistic::k3, RejectionLevel::token, -INFINITY, 0.004, true},
                            {RejectionStatistic::k1, RejectionLevel::sequence_mean, -0.01, 0.005, false}},
                           20,
                           1e-8};
  set_threads(1);
  const Rejection<float> one(rule, single.batch());
  set_threads(3);
  const Rejection<float> three(rule, single.batch());
  set_threads(before);
  const Rejection<double> expected(rule, twice.batch());
  EXPECT_EQ(one.mask, three.mask);
  EXPECT_EQ(one.mask, expected.mask);
  EXPECT_EQ(one.keep, expected.keep);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(one.criteria[i].mean, three.criteria[i].mean);
    EXPECT_GT(one.criteria[i].masked_fraction, 0);
    EXPECT_NEAR(one.criteria[i].masked_fraction, expected.criteria[i].masked_fraction, 1e-12);
    EXPECT_NEAR(one.criteria[i].deviation, expected.criteria[i].deviation, 1e-9);
  }
}

TEST(RlOffPolicy, VectorsWeighAndJudgeAsTheReferenceDoes) {
  const Long<float> single;
  const Long<double> twice;
  for (const auto level : {WeightLevel::token, WeightLevel::sequence}) {
    for (const auto gate :
         {WeightGate::weight, WeightGate::geometric_mean, WeightGate::binary_kl, WeightGate::binary_kl_mean,
          WeightGate::total_variation, WeightGate::total_variation_mean}) {
      const bool ratio = gate == WeightGate::weight || gate == WeightGate::geometric_mean;
      const WeightRule rule{level, gate, OutsideBand::zero, ratio ? 0.9 : -INFINITY, ratio ? 1.1 : 1e-3, 20,
                            false, 0};
      const Weights<float> left(rule, single.batch());
      const Weights<double> right(rule, twice.batch());
      SCOPED_TRACE("gate " + std::to_string(static_cast<int>(gate)));
      expect_near(left.tokens, right.tokens);
      expect_near(left.sequences, right.sequences);
      EXPECT_EQ(left.metrics.outside, right.metrics.outside);
      EXPECT_EQ(left.metrics.fraction_low, right.metrics.fraction_low);
      EXPECT_NEAR(left.metrics.effective_sample_size, right.metrics.effective_sample_size, 1e-9);
    }
  }
  for (const auto level : {RejectionLevel::token, RejectionLevel::sequence_sum, RejectionLevel::sequence_mean,
                           RejectionLevel::sequence_max}) {
    for (const auto statistic :
         {RejectionStatistic::ratio, RejectionStatistic::k1, RejectionStatistic::k2, RejectionStatistic::k3,
          RejectionStatistic::binary_kl, RejectionStatistic::total_variation}) {
      const double low = statistic == RejectionStatistic::ratio ? 0.99 : -INFINITY;
      const double high = statistic == RejectionStatistic::ratio ? 1.06 : 2e-3;
      const RejectionRule rule{{{statistic, level, low, high, false}}, 20, 0};
      const Rejection<float> left(rule, single.batch());
      const Rejection<double> right(rule, twice.batch());
      SCOPED_TRACE("statistic " + std::to_string(static_cast<int>(statistic)) + " of level " +
                   std::to_string(static_cast<int>(level)));
      EXPECT_EQ(left.mask, right.mask);
      EXPECT_EQ(left.keep, right.keep);
      EXPECT_NEAR(left.criteria[0].mean, right.criteria[0].mean, 1e-9);
      EXPECT_NEAR(left.criteria[0].maximum, right.criteria[0].maximum, 1e-9);
      EXPECT_EQ(left.criteria[0].fraction_high, right.criteria[0].fraction_high);
    }
  }
}

// Without a limit of log ratios, a weight may leave the range of any number.
TEST(RlOffPolicy, VectorsTakeAnyLogProb) {
  Case<float> single;
  Case<double> twice;
  const float far[] = {-3000, -750, -100, -1e30f, -88, -87};
  for (int t = 0; t < 6; ++t) {
    twice.log_probs[4 + t] = single.log_probs[4 + t] = far[t];
    twice.rollout[10 - t] = single.rollout[10 - t] = t == 5 ? NAN : far[t] / 2;
  }
  for (const auto gate : {WeightGate::weight, WeightGate::binary_kl, WeightGate::total_variation}) {
    const WeightRule rule{WeightLevel::token, gate, OutsideBand::clip, -INFINITY, 3, INFINITY, false, 0};
    expect_near(Weights<float>(rule, single.batch()).tokens, Weights<double>(rule, twice.batch()).tokens);
  }
  for (const auto statistic : {RejectionStatistic::k3, RejectionStatistic::binary_kl}) {
    const RejectionRule rule{{{statistic, RejectionLevel::token, -INFINITY, 60, false}}, INFINITY, 0};
    EXPECT_EQ(Rejection<float>(rule, single.batch()).mask, Rejection<double>(rule, twice.batch()).mask);
  }
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
  const Weights<double> weights(rule, batch);
  EXPECT_EQ(weights.tokens, (std::vector<double>{rule.high, rule.low, 0}));
  EXPECT_NEAR(weights.metrics.outside, 1.0 / 3, 1e-15);
}

TEST(RlOffPolicy, NothingCountedGivesNumbersThroughout) {
  Case<double> data;
  data.mask.assign(11, 0);
  WeightRule rule;
  rule.normalize = true;
  const Weights<double> weights(rule, data.batch());
  for (const double weight : weights.tokens) EXPECT_EQ(weight, 0);
  EXPECT_EQ(weights.metrics.effective_sample_size, 0);
  EXPECT_EQ(weights.metrics.normalizer, 1);
  const RejectionRule rejection{
      {{RejectionStatistic::k2, RejectionLevel::token, -INFINITY, 0.1, false}}, 20, 1e-8};
  const Rejection<double> result(rejection, data.batch());
  EXPECT_EQ(result.shares.masked, 0);
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
  std::vector<double> weights(5);
  gamma_weights(GammaWeight{}, batch, weights.data());
  for (const double weight : weights) EXPECT_EQ(weight, 1);
  std::vector<double> far = data.log_probs;
  for (double& value : far) value += 100;
  batch.log_probs = far.data();
  gamma_weights(GammaWeight{}, batch, weights.data());
  EXPECT_EQ(weights[0], 0);
  EXPECT_EQ(weights[1], 1);  // no token
}

}  // namespace
}  // namespace adjudge::rl
