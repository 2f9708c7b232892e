// The f32 kernels of the policy loss against the f64 reference on the same rounded numbers: every kind and
// option on random ragged rows, for the instruction set that ADJUDGE_ISA chooses.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "native/rl/policy_loss.h"
#include "native/tests/policy_loss_comparison.h"

namespace adjudge::rl {
namespace {

using namespace testing;

TEST(RlPolicyLossVectors, EveryKindAndAggregation) {
  const Rows rows(1, 60, 1500, true);
  for (const LossKind kind : kinds) {
    for (const Aggregation aggregation : aggregations) {
      LossRule rule;
      rule.kind = kind;
      aggregate_by(rule, aggregation);
      rule.kl.coefficient = 0.1;
      rule.entropy_coefficient = 0.01;
      // clip_cov takes every candidate: its draw depends on the bits of the log-probs, and so on their type.
      rule.covariance = {kind == LossKind::clip_cov ? 1 : 0.1, -10, 0.4, 0.5};
      rule.dual_clip = kind == LossKind::clip ? 1.3 : rule.dual_clip;
      if (kind == LossKind::dppo_tv || kind == LossKind::dppo_kl) rule.ratio_cap = 1.5;
      for (const bool per_token : {false, true}) {
        Parts parts;
        parts.per_token = per_token;
        compare(rule, rows, parts, name_of(rule, name_of(aggregation)));
      }
    }
  }
}

TEST(RlPolicyLossVectors, RatiosOfRows) {
  const Rows rows(2, 60, 900, true);
  const auto with_kl = [](LossKind kind) {
    LossRule rule;
    rule.kind = kind;
    rule.kl.coefficient = 0.1;
    return rule;
  };
  for (LossRule rule : row_ratio_rules(with_kl)) {
    for (const bool weighted : {false, true}) {
      rule.kl.ratio_weighted = weighted;
      compare(rule, rows, {}, name_of(rule, weighted ? "weighted KL" : "KL"));
    }
  }
}

TEST(RlPolicyLossVectors, OptionsOneByOne) {
  const Rows rows(3, 60, 900, true);
  for (const LossKind kind : kinds) {
    for (std::size_t option = 0; option < options.size(); ++option) {
      LossRule rule;
      rule.kind = kind;
      rule.kl.coefficient = 0.2;
      rule.entropy_coefficient = 0.05;
      rule.covariance = {kind == LossKind::clip_cov ? 1 : 0.1, -10, 0.4, 0.5};
      options[option](rule);
      compare(rule, rows, {}, name_of(rule, "option " + std::to_string(option)));
    }
  }
}

TEST(RlPolicyLossVectors, OptionalArraysMayBeAbsent) {
  for (const bool masked : {false, true}) {
    const Rows rows(4, 40, 700, masked);
    for (const LossKind kind : kinds) {
      LossRule rule;
      rule.kind = kind;
      rule.off_policy_threshold = 0.02;
      rule.covariance = {kind == LossKind::clip_cov ? 1 : 0.1, -10, 0.4, 0.5};
      Parts none{false, false, false, false, false, masked};
      compare(rule, rows, none, name_of(rule, "nothing more"));
      none.per_token = true;
      compare(rule, rows, none, name_of(rule, "nothing more, per token"));
    }
  }
}

TEST(RlPolicyLossVectors, ManyRowsOfFewTokensAndOneLongRow) {
  Rows rows(5, 4000, 3, true);
  compare(LossRule{}, rows, {}, "short rows");
  LossRule sequence;
  sequence.ratio = Ratio::sequence;
  compare(sequence, rows, {}, "short rows, ratios of rows");
  Rows one(6, 1, 50000, false);
  compare(LossRule{}, one, {}, "one row");
  compare(sequence, one, {}, "one row, its ratio");
}

TEST(RlPolicyLossVectors, NoRowsAndOnlyEmptyRows) {
  LossBatch<float> batch;
  const std::vector<std::int32_t> cu_seqlens{0, 0, 0};
  const Floats advantages{1, -1};
  batch.cu_seqlens = cu_seqlens.data();
  batch.advantages = advantages.data();
  EXPECT_EQ(policy_loss_vectors(LossRule{}, batch, nullptr, nullptr).loss, 0);
  batch.rows = 2;
  EXPECT_EQ(policy_loss_vectors(LossRule{}, batch, nullptr, nullptr).metrics.sequences, 0);
}

TEST(RlPolicyLossVectors, TheSameBitsWhateverTheThreads) {
  const Rows rows(7, 900, 1500, true);
  for (const Ratio ratio : {Ratio::token, Ratio::sequence}) {
    LossRule rule;
    rule.ratio = ratio;
    rule.kl.coefficient = 0.1;
    compare_threads(rule, rows, {});
  }
}

// Gradients beyond the caches' size are written past them.
TEST(RlPolicyLossVectors, LargeBatchesGiveTheGradientsOfTheirParts) {
  const std::int32_t length = 3001, rows = 2800, tokens = length * rows;
  Floats log_probs(tokens), old_log_probs(tokens), advantages(rows);
  std::vector<std::int32_t> cu_seqlens(rows + 1);
  for (std::int32_t t = 0; t < tokens; ++t) {
    old_log_probs[t] = -static_cast<float>(t % 1013) / 300;
    log_probs[t] = old_log_probs[t] + static_cast<float>(t % 97 - 48) / 100;
  }
  for (std::int32_t i = 0; i <= rows; ++i) cu_seqlens[i] = i * length;
  for (std::int32_t i = 0; i < rows; ++i) advantages[i] = static_cast<float>(i % 5 - 2);
  LossRule rule;
  rule.aggregation.kind = Aggregation::token_sum;
  LossBatch<float> batch;
  batch.log_probs = log_probs.data();
  batch.old_log_probs = old_log_probs.data();
  batch.advantages = advantages.data();
  batch.cu_seqlens = cu_seqlens.data();
  batch.rows = rows;
  Floats whole(tokens + 1), parts(tokens, 7);  // one element further: not aligned
  const double loss = policy_loss_vectors(rule, batch, whole.data() + 1, nullptr).loss;
  double sum = 0;
  batch.rows = rows / 4;
  for (std::int32_t i = 0; i < rows; i += rows / 4) {
    const std::size_t first = static_cast<std::size_t>(i) * length;
    batch.log_probs = log_probs.data() + first;
    batch.old_log_probs = old_log_probs.data() + first;
    batch.advantages = advantages.data() + i;
    sum += policy_loss_vectors(rule, batch, parts.data() + first, nullptr).loss;
  }
  EXPECT_EQ(std::memcmp(whole.data() + 1, parts.data(), parts.size() * sizeof(float)), 0);
  EXPECT_NEAR(loss / sum, 1, 1e-6);
}

}  // namespace
}  // namespace adjudge::rl
