// The coefficient code that processors' vectors and GPU lanes share, one float at a time, against the f64
// formulas of the reference.
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "native/reference/loss_clip.h"
#include "native/reference/loss_geometric.h"
#include "native/reference/loss_smooth.h"
#include "native/reference/loss_weighted.h"
#include "native/rules/kl_terms.h"
#include "native/rules/loss_terms.h"

namespace adjudge::rl {
namespace {

bool near(double expected, double value) {
  return std::abs(expected - value) <= 1e-5 * (1 + std::abs(expected));
}

reference::LossTerm reference_term(const LossRule& rule, const reference::LossToken& token, double weight) {
  switch (rule.kind) {
    case LossKind::clip:
      return reference::clip_term(rule, token);
    case LossKind::cispo:
      return reference::cispo_term(rule, token);
    case LossKind::sapo:
      return reference::sapo_term(rule, token);
    case LossKind::dppo_tv:
    case LossKind::dppo_kl:
      return reference::dppo_term(rule, token);
    case LossKind::dro:
      return reference::dro_term(rule, token);
    case LossKind::clip_cov:
      return reference::clip_cov_term(rule, token);
    case LossKind::kl_cov:
      return reference::kl_cov_term(rule, token);
    default:
      return reference::weighted_log_prob(token, rule.kind == LossKind::vespo ? weight : 1);
  }
}

TEST(RlLossTerms, EveryKindEqualsTheReference) {
  std::mt19937 random(5);
  std::normal_distribution<float> normal;
  int decisions = 0;
  int total = 0;
  for (const LossKind kind :
       {LossKind::policy_gradient, LossKind::clip, LossKind::cispo, LossKind::sapo, LossKind::vespo,
        LossKind::dppo_tv, LossKind::dppo_kl, LossKind::dro, LossKind::clip_cov, LossKind::kl_cov}) {
    for (int option = 0; option < 4; ++option) {
      LossRule rule;
      rule.kind = kind;
      if (kind == LossKind::dppo_tv || kind == LossKind::dppo_kl) rule.clip_low = rule.clip_high = 0.05;
      if (option & 1) rule.dual_clip = 1.5;
      if (option & 2) rule.ratio_cap = 1.4;
      const LossConstants constants = loss_constants(rule);
      for (int i = 0; i < 2000; ++i, ++total) {
        const float old_log_prob = -std::abs(normal(random)) * 2;
        const float log_prob = std::min(old_log_prob + 0.4f * normal(random), -1e-6f);
        const float advantage = i % 10 == 0 ? 0 : normal(random);
        const float ratio = token_ratio(constants, log_prob - old_log_prob).value;
        const float weight = std::abs(normal(random));
        const bool selected = i % 3 == 0;
        const auto expected =
            reference_term(rule, {log_prob, old_log_prob, ratio, advantage, 0, selected}, weight);
        const auto term = loss_term_lanes<float>(
            kind, constants, {log_prob, old_log_prob, ratio, advantage, weight, selected});
        if (expected.low != term.low || expected.high != term.high || expected.dual != term.dual ||
            expected.bound != term.bound) {
          ++decisions;
          continue;
        }
        EXPECT_TRUE(near(expected.value, term.value)) << static_cast<int>(kind) << ' ' << expected.value;
        EXPECT_TRUE(near(expected.ratio_slope, term.ratio_slope)) << static_cast<int>(kind);
        EXPECT_TRUE(near(expected.log_prob_slope, term.log_prob_slope)) << static_cast<int>(kind);
        EXPECT_TRUE(near(std::exp(static_cast<double>(log_prob) - old_log_prob), ratio));
      }
    }
  }
  EXPECT_LE(decisions, total / 10000);
}

TEST(RlLossTerms, HeldLogRatiosEqualTheReference) {
  LossRule rule;
  const LossConstants constants = loss_constants(rule);
  for (const float advantage : {-1.0f, 0.0f, 2.0f}) {
    for (float log_ratio = -0.5f; log_ratio < 0.5f; log_ratio += 0.03f) {
      const auto expected = reference::held_log_ratio(log_ratio, advantage, rule.clip_low, rule.clip_high);
      const auto held = held_log_ratio_lanes(constants, log_ratio, advantage);
      EXPECT_TRUE(near(expected.value, held.value));
      EXPECT_EQ(expected.slope, held.slope);
    }
  }
}

TEST(RlLossTerms, EveryKlEqualsTheReference) {
  std::mt19937 random(6);
  std::normal_distribution<float> normal;
  for (const KlKind kind : {KlKind::k1, KlKind::k2, KlKind::k3, KlKind::absolute}) {
    for (const KlGradient gradient : {KlGradient::value, KlGradient::unbiased, KlGradient::unbiased_ratio}) {
      for (const bool bounded : {false, true}) {
        KlRule rule;
        rule.kind = kind;
        rule.gradient = gradient;
        if (bounded) {
          rule.difference_low = -1;
          rule.difference_high = 1;
          rule.value_limit = 0.7;
        }
        const KlConstants constants = kl_constants(rule);
        for (int i = 0; i < 1000; ++i) {
          const float log_prob = normal(random), other = normal(random), old_log_prob = normal(random);
          const auto expected = kl_divergence(rule, log_prob, other, old_log_prob);
          const auto kl = kl_lanes<float>(constants, log_prob, other, old_log_prob);
          EXPECT_TRUE(near(expected.value, kl.value));
          EXPECT_TRUE(near(expected.gradient, kl.gradient));
        }
      }
    }
  }
}

}  // namespace
}  // namespace adjudge::rl
