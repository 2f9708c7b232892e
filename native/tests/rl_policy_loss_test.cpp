// Gradients of every ratio, aggregation and KL against central differences, on a ragged batch with masked
// tokens.
#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "native/core/error.h"
#include "native/rl/exact.h"
#include "native/reference/policy_loss.h"
#include "native/rl/policy_loss.h"

namespace adjudge::rl {
namespace {

struct Case {
  std::vector<double> log_probs, old_log_probs, reference, advantages{1.3, -0.7, 0.4, -1.1};
  std::vector<std::uint8_t> mask{1, 1, 0, 1, 1, 1, 1, 0, 1};
  std::vector<std::int32_t> cu_seqlens{0, 4, 4, 6, 9};

  Case() {
    std::mt19937 random(11);
    std::normal_distribution<double> normal(-1.5, 0.3);
    for (auto* values : {&log_probs, &old_log_probs, &reference}) {
      for (int t = 0; t < 9; ++t) values->push_back(normal(random));
    }
  }

  LossBatch<double> batch() const {
    LossBatch<double> batch;
    batch.log_probs = log_probs.data();
    batch.old_log_probs = old_log_probs.data();
    batch.reference_log_probs = reference.data();
    batch.advantages = advantages.data();
    batch.mask = mask.data();
    batch.cu_seqlens = cu_seqlens.data();
    batch.rows = 4;
    return batch;
  }
};

double gradient_error(const LossRule& rule) {
  Case data;
  std::vector<double> gradients(9);
  std::vector<double> ignored(9);
  policy_loss<double>(rule, data.batch(), gradients.data(), nullptr);
  double worst = 0;
  for (std::size_t t = 0; t < 9; ++t) {
    Case shifted = data;
    shifted.log_probs[t] += 1e-6;
    const double above = policy_loss<double>(rule, shifted.batch(), ignored.data(), nullptr).loss;
    shifted.log_probs[t] -= 2e-6;
    const double below = policy_loss<double>(rule, shifted.batch(), ignored.data(), nullptr).loss;
    worst = std::max(worst, std::abs((above - below) / 2e-6 - gradients[t]));
  }
  return worst;
}

TEST(RlPolicyLoss, GradientsEqualCentralDifferences) {
  for (const Ratio ratio : {Ratio::token, Ratio::sequence, Ratio::sequence_sum}) {
    for (const auto aggregation :
         {Aggregation::token_mean, Aggregation::token_sum, Aggregation::sequence_mean_token_mean,
          Aggregation::sequence_mean_token_sum, Aggregation::constant, Aggregation::sequence_mean}) {
      for (const KlKind kind : {KlKind::k1, KlKind::k2, KlKind::k3, KlKind::absolute}) {
        for (const bool weighted : {false, true}) {
          LossRule rule;
          rule.ratio = ratio;
          rule.aggregation.kind = aggregation;
          rule.aggregation.constant = 5;
          rule.kl.kind = kind;
          rule.kl.coefficient = 0.4;
          rule.kl.ratio_weighted = weighted;
          rule.dual_clip = 1.05;
          EXPECT_LT(gradient_error(rule), 1e-7)
              << static_cast<int>(ratio) << ' ' << static_cast<int>(aggregation) << ' '
              << static_cast<int>(kind);
        }
      }
    }
  }
}

// Losses that are differentiated as a whole; the others hold a weight constant (tests/rl/lossKinds.test.ts).
TEST(RlPolicyLoss, GradientsOfOtherKindsEqualCentralDifferences) {
  for (const LossKind kind :
       {LossKind::sapo, LossKind::gmpo, LossKind::dro, LossKind::clip_cov, LossKind::kl_cov}) {
    for (const auto aggregation : {Aggregation::token_mean, Aggregation::sequence_mean_token_mean}) {
      LossRule rule;
      rule.kind = kind;
      rule.aggregation.kind = aggregation;
      rule.aggregation.token_epsilon = 1e-8;
      rule.kl.coefficient = 0.4;
      rule.covariance = {1, -10, 10, 0.5};
      EXPECT_LT(gradient_error(rule), 1e-7) << static_cast<int>(kind);
    }
  }
}

TEST(RlPolicyLoss, WeightedKindsHaveTheWeightAsTheirGradient) {
  Case data;
  std::vector<double> gradients(9);
  LossRule rule;
  rule.kind = LossKind::cispo;
  rule.aggregation.kind = Aggregation::token_sum;
  policy_loss<double>(rule, data.batch(), gradients.data(), nullptr);
  for (const std::size_t t : {0U, 1U, 3U}) {
    const double ratio = std::exp(data.log_probs[t] - data.old_log_probs[t]);
    EXPECT_NEAR(gradients[t], -std::min(std::max(ratio, 0.8), 1.2) * 1.3, 1e-14);
  }
}

TEST(RlPolicyLoss, HighEntropyTokensAreThoseAtOrAboveTheQuantile) {
  Case data;
  const std::vector<double> entropies{5, 1, 9, 2, 3, 4, 0, 9, 6};
  LossRule rule;
  rule.top_entropy_quantile = 0.5;
  rule.entropy_coefficient = 1;
  rule.entropy_token_mean = true;
  LossBatch<double> batch = data.batch();
  batch.reference_log_probs = nullptr;
  batch.entropies = entropies.data();
  std::vector<double> gradients(9);
  std::vector<double> entropy_gradients(9);
  policy_loss<double>(rule, batch, gradients.data(), entropy_gradients.data());
  // Counted: 5 1 2 3 4 0 6, median 3.
  const std::vector<double> expected{-0.25, 0, 0, 0, -0.25, -0.25, 0, 0, -0.25};
  for (std::size_t t = 0; t < 9; ++t) {
    EXPECT_DOUBLE_EQ(entropy_gradients[t], expected[t]) << t;
    EXPECT_TRUE(expected[t] != 0 || gradients[t] == 0) << t;
  }
}

TEST(RlPolicyLoss, CandidateOrderMustBeAPermutation) {
  Case data;
  LossRule rule;
  rule.kind = LossKind::clip_cov;
  rule.clip_low = rule.clip_high = 10;
  rule.covariance = {0.2, -10, 10, 1};
  LossBatch<double> batch = data.batch();
  std::vector<double> gradients(9);
  std::vector<std::int32_t> order{6, 5, 4, 3, 2, 1, 0};
  batch.candidate_order = order.data();
  batch.candidate_count = 7;
  policy_loss<double>(rule, batch, gradients.data(), nullptr);
  for (std::size_t t = 0; t < 8; ++t) EXPECT_EQ(gradients[t] == 0, !data.mask[t]) << t;
  EXPECT_EQ(gradients[8], 0);
  order[6] = 6;
  EXPECT_THROW(policy_loss<double>(rule, batch, gradients.data(), nullptr), Error);
  batch.candidate_count = 6;
  EXPECT_THROW(policy_loss<double>(rule, batch, gradients.data(), nullptr), Error);
}

TEST(RlPolicyLoss, OnPolicyRatioIsExactlyOne) {
  Case data;
  data.old_log_probs = data.log_probs;
  std::vector<double> gradients(9);
  const LossValue value = policy_loss<double>(LossRule{}, data.batch(), gradients.data(), nullptr);
  EXPECT_EQ(value.metrics.ratio_mean, 1);
  EXPECT_EQ(value.metrics.ratio_max, 1);
  EXPECT_EQ(value.metrics.clip_low + value.metrics.clip_high, 0);
  EXPECT_EQ(gradients[2], 0);
}

// The reference computes in f64 whatever the arrays; the f32 kernels: rl_policy_loss_vectors_test.cpp.
TEST(RlPolicyLoss, TheReferenceOfSinglePrecisionAgreesWithDoubleOnTheSameNumbers) {
  Case data;
  std::vector<float> log_probs(data.log_probs.begin(), data.log_probs.end());
  std::vector<float> old_log_probs(data.old_log_probs.begin(), data.old_log_probs.end());
  std::vector<float> advantages(data.advantages.begin(), data.advantages.end());
  data.log_probs.assign(log_probs.begin(), log_probs.end());
  data.old_log_probs.assign(old_log_probs.begin(), old_log_probs.end());
  data.advantages.assign(advantages.begin(), advantages.end());
  LossBatch<float> single;
  single.log_probs = log_probs.data();
  single.old_log_probs = old_log_probs.data();
  single.advantages = advantages.data();
  single.mask = data.mask.data();
  single.cu_seqlens = data.cu_seqlens.data();
  single.rows = 4;
  LossBatch<double> twice = data.batch();
  twice.reference_log_probs = nullptr;
  std::vector<float> left(9);
  std::vector<double> right(9);
  EXPECT_EQ(reference::policy_loss<float>(LossRule{}, single, left.data(), nullptr).loss,
            policy_loss<double>(LossRule{}, twice, right.data(), nullptr).loss);
  for (std::size_t t = 0; t < 9; ++t) EXPECT_EQ(left[t], static_cast<float>(right[t]));
}

TEST(RlExact, SoftmaxOfTwoAnswers) {
  const std::vector<double> log_probs{std::log(0.3), std::log(0.1)};
  const std::vector<double> rewards{1, 0};
  const std::vector<std::int32_t> offsets{0, 2};
  ExactBatch<double> batch;
  batch.choice_log_probs = log_probs.data();
  batch.rewards = rewards.data();
  batch.group_offsets = offsets.data();
  batch.groups = 1;
  const ExactResult result = exact_objective(ExactRule{}, batch);
  EXPECT_NEAR(result.loss, -0.75, 1e-15);
  EXPECT_NEAR(result.gradients[0], -0.1875, 1e-15);
  EXPECT_NEAR(result.gradients[1], 0.1875, 1e-15);
  EXPECT_NEAR(result.mass, 0.4, 1e-15);
}

}  // namespace
}  // namespace adjudge::rl
