// Rules and batches without what singles out tokens or bounds ratios, which the policy loss sweeps row by
// row: against the f64 reference, for the instruction set that ADJUDGE_ISA chooses.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "native/tests/policy_loss_comparison.h"

namespace adjudge::rl {
namespace {

using namespace testing;

Parts plain(bool with_kl, bool masked) { return {with_kl, false, false, false, false, masked}; }

const std::vector<LossKind> plain_kinds{
    LossKind::policy_gradient, LossKind::clip,    LossKind::cispo, LossKind::sapo,
    LossKind::dppo_tv,         LossKind::dppo_kl, LossKind::dro};

std::string plain_name(const LossRule& rule, bool with_kl, bool masked) {
  return name_of(rule, "aggregation " + std::to_string(static_cast<int>(rule.aggregation.kind)) +
                           (with_kl ? " KL" : "") + (masked ? " masked" : ""));
}

TEST(RlPolicyLossPlain, EveryKindAggregationAndMask) {
  for (const bool masked : {false, true}) {
    const Rows rows(11, 60, 1500, masked);
    for (const LossKind kind : plain_kinds) {
      for (const Aggregation aggregation : aggregations) {
        for (const bool with_kl : {false, true}) {
          LossRule rule;
          rule.kind = kind;
          rule.aggregation = {aggregation, 100, 0, aggregation == Aggregation::sequence_mean};
          rule.kl.coefficient = 0.1;
          compare(rule, rows, plain(with_kl, masked), plain_name(rule, with_kl, masked));
        }
      }
    }
  }
}

// Arrays that leave a rule plain, each alone and all together.
TEST(RlPolicyLossPlain, AdvantagesOfTokensImportanceWeightsAndEntropies) {
  const Rows rows(19, 60, 1500, true);
  for (const LossKind kind : plain_kinds) {
    for (int parts = 1; parts < 8; ++parts) {
      for (const bool token_mean : {false, true}) {
        LossRule rule;
        rule.kind = kind;
        rule.kl.coefficient = 0.1;
        rule.entropy_coefficient = 0.02;
        rule.entropy_token_mean = token_mean;
        rule.dual_clip = 1.3;
        rule.aggregation.kind = Aggregation::sequence_mean_token_mean;
        const Parts arrays{parts != 3, (parts & 1) != 0, (parts & 2) != 0,
                           false,      (parts & 4) != 0, parts != 5};
        if (parts == 5) {
          const Rows whole(20, 60, 1500, false);
          compare(rule, whole, arrays, plain_name(rule, true, false) + " arrays 5");
        } else {
          compare(rule, rows, arrays,
                  plain_name(rule, parts != 3, true) + " arrays " + std::to_string(parts));
        }
      }
    }
  }
}

TEST(RlPolicyLossPlain, MeanRatiosOfRows) {
  for (const bool masked : {false, true}) {
    const Rows rows(12, 60, 1500, masked);
    for (const RatioGradient gradient : {RatioGradient::joint, RatioGradient::own_token}) {
      for (const LossKind kind : {LossKind::clip, LossKind::sapo}) {
        for (const auto aggregation : {Aggregation::sequence_mean, Aggregation::token_mean}) {
          for (const bool with_kl : {false, true}) {
            LossRule rule;
            rule.kind = kind;
            rule.ratio = Ratio::sequence;
            rule.ratio_gradient = gradient;
            rule.clip_low = 0.03;
            rule.clip_high = 0.04;
            rule.kl.coefficient = 0.1;
            rule.aggregation = {aggregation, 1, 0, true};
            compare(rule, rows, plain(with_kl, masked), plain_name(rule, with_kl, masked));
            rule.entropy_coefficient = 0.02;
            compare(rule, rows, {with_kl, true, false, false, false, masked}, "with entropies");
          }
        }
      }
    }
  }
}

TEST(RlPolicyLossPlain, CapsAndDualClipsOnEitherSideOfTheClip) {
  const Rows rows(13, 60, 900, false);
  for (const double cap : {0.7, 0.9, 1.1, 1.3, HUGE_VAL}) {
    for (const double dual : {1.05, 1.25, 3.0, HUGE_VAL}) {
      for (const LossKind kind : {LossKind::clip, LossKind::dppo_tv, LossKind::cispo}) {
        LossRule rule;
        rule.kind = kind;
        rule.ratio_cap = cap;
        rule.dual_clip = dual;
        const std::string name =
            name_of(rule, "cap " + std::to_string(cap) + " dual " + std::to_string(dual));
        compare(rule, rows, plain(false, false), name);
        if (kind == LossKind::clip) compare(rule, rows, {}, name + " beside other arrays");
      }
    }
  }
}

TEST(RlPolicyLossPlain, RowsOfOneTokenAndRowsWithoutACountedOne) {
  for (const Ratio ratio : {Ratio::token, Ratio::sequence}) {
    LossRule rule;
    rule.ratio = ratio;
    rule.kl.coefficient = 0.1;
    const Rows few(14, 3000, 2, true);
    compare(rule, few, plain(true, true), "one or two tokens");
    Rows none(15, 30, 200, true);
    std::fill(none.mask.begin(), none.mask.end(), std::uint8_t{0});
    compare(rule, none, plain(true, true), "all masked");
    rule.aggregation = {Aggregation::sequence_mean, 1, 0, true};
    compare(rule, none, plain(true, true), "all masked, counted as rows");
  }
}

// One token whose log-prob moved by `change` from the old one and lies `distance` under the reference's.
void compare_one(LossKind kind, float change, float distance, float advantage) {
  LossRule rule;
  rule.kind = kind;
  rule.kl.coefficient = 0.5;
  rule.aggregation.kind = Aggregation::token_sum;
  Rows rows(0, 0, 0, false);
  rows.cu_seqlens = {0, 1};
  rows.old_log_probs = {-1};
  rows.log_probs = {-1 + change};
  rows.reference = {rows.log_probs[0] + distance};
  rows.advantages = {advantage};
  const Copies<float> single(rows, plain(true, false));
  const Copies<double> dual(rows, plain(true, false));
  float gradient = 7;
  double expected = 7;
  const LossValue value = policy_loss_vectors(rule, single.batch, &gradient, nullptr);
  const LossValue wanted = reference::policy_loss<double>(rule, dual.batch, &expected, nullptr);
  const std::string at = name_of(rule, "change " + std::to_string(change) + ", reference " +
                                           std::to_string(distance) + ", A " + std::to_string(advantage));
  EXPECT_TRUE(near(expected, static_cast<double>(gradient), 1e-5))
      << at << ": " << expected << ' ' << gradient;
  EXPECT_TRUE(near(wanted.loss, value.loss, 1e-5)) << at << ": " << wanted.loss << ' ' << value.loss;
  EXPECT_TRUE(near(wanted.metrics.ratio_max, value.metrics.ratio_max, 1e-5)) << at;
}

// Far outside of what training sees, where the ratio and k3 still are numbers of f32.
TEST(RlPolicyLossPlain, ExtremeLogRatiosStayWithinTheTolerance) {
  const std::vector<float> changes{-400, -120, -88, -87, -30, -1e-6F, 0, 1e-6F, 3, 15, 40, 75};
  for (const float change : changes) {
    for (const float distance : changes) {
      for (const float advantage : {-1.5F, 0.0F, 2.0F}) {
        for (const LossKind kind : {LossKind::policy_gradient, LossKind::clip, LossKind::cispo}) {
          compare_one(kind, change, distance, advantage);
        }
      }
    }
  }
}

TEST(RlPolicyLossPlain, EqualLogProbsHaveARatioOfOneAndNoKl) {
  Rows rows(16, 40, 700, false);
  rows.old_log_probs = rows.reference = rows.log_probs;
  const Copies<float> copies(rows, plain(true, false));
  Floats gradients(rows.mask.size());
  const LossMetrics metrics =
      policy_loss_vectors(LossRule{}, copies.batch, gradients.data(), nullptr).metrics;
  EXPECT_EQ(metrics.ratio_mean, 1);
  EXPECT_EQ(metrics.ratio_max, 1);
  EXPECT_EQ(metrics.kl, 0);
  EXPECT_EQ(metrics.old_kl_absolute, 0);
}

// The derivative of k3 keeps its digits where policy and reference are close.
TEST(RlPolicyLossPlain, SmallDistancesFromTheReferenceKeepTheirDigits) {
  Rows rows(0, 0, 0, false);
  rows.cu_seqlens = {0, 40};
  rows.advantages = {0};
  for (int t = 0; t < 40; ++t) {
    rows.log_probs.push_back(-0.5F);
    rows.reference.push_back(-0.5F + (t % 2 ? 0x1p-14F : -0x1p-14F));
  }
  rows.old_log_probs = rows.log_probs;
  LossRule rule;
  rule.kl.coefficient = 1;
  rule.aggregation.kind = Aggregation::token_sum;
  const Copies<float> copies(rows, plain(true, false));
  Floats gradients(40);
  policy_loss_vectors(rule, copies.batch, gradients.data(), nullptr);
  for (std::size_t t = 0; t < gradients.size(); ++t) {
    const double expected = -std::expm1(static_cast<double>(rows.reference[t]) + 0.5);
    EXPECT_NEAR(static_cast<double>(gradients[t]) / expected, 1, 1e-6) << t;
  }
}

TEST(RlPolicyLossPlain, TheSameBitsWhateverTheThreads) {
  for (const bool masked : {false, true}) {
    const Rows rows(18, 900, 1500, masked);
    for (const Ratio ratio : {Ratio::token, Ratio::sequence}) {
      LossRule rule;
      rule.ratio = ratio;
      rule.kl.coefficient = 0.1;
      compare_threads(rule, rows, plain(true, masked));
    }
  }
}

}  // namespace
}  // namespace adjudge::rl
