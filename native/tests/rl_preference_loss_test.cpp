// The preference losses: gradients of every kind against central differences on a ragged batch whose
// completions are in several pairs, and values that can be said by hand. Compared with TRL in
// tests/rl/preference.test.ts.
#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "native/core/error.h"
#include "native/rl/preference_loss.h"

namespace adjudge::rl {
namespace {

struct Case {
  std::vector<double> log_probs, reference;
  std::vector<std::uint8_t> mask{1, 1, 0, 1, 1, 1, 1, 0, 1};
  std::vector<std::int32_t> cu_seqlens{0, 4, 5, 7, 9};
  std::vector<std::int32_t> chosen{0, 0, 3};
  std::vector<std::int32_t> rejected{1, 2, 1};
  std::vector<std::uint8_t> desirable{1, 0, 0, 1};

  Case() {
    std::mt19937 random(3);
    std::uniform_real_distribution<double> uniform(-2, -0.1);
    for (auto* values : {&log_probs, &reference}) {
      for (int t = 0; t < 9; ++t) values->push_back(uniform(random));
    }
  }

  PreferenceBatch<double> batch(bool single) const {
    PreferenceBatch<double> batch;
    batch.log_probs = log_probs.data();
    batch.reference_log_probs = reference.data();
    batch.mask = mask.data();
    batch.cu_seqlens = cu_seqlens.data();
    batch.completions = 4;
    batch.kl_baseline = 0.2;
    if (single) {
      batch.desirable = desirable.data();
      return batch;
    }
    batch.chosen = chosen.data();
    batch.rejected = rejected.data();
    batch.pairs = 3;
    return batch;
  }
};

double gradient_error(const PreferenceRule& rule) {
  const bool single = rule.kind == PreferenceKind::kto;
  const auto batch_of = [&](const Case& data) {
    PreferenceBatch<double> batch = data.batch(single);
    if (rule.kind == PreferenceKind::orpo) batch.reference_log_probs = nullptr;
    return batch;
  };
  Case data;
  std::vector<double> gradients(9), ignored(9);
  preference_loss<double>(rule, batch_of(data), gradients.data());
  double worst = 0;
  for (std::size_t t = 0; t < 9; ++t) {
    Case shifted = data;
    shifted.log_probs[t] += 1e-6;
    const double above = preference_loss<double>(rule, batch_of(shifted), ignored.data()).loss;
    shifted.log_probs[t] -= 2e-6;
    const double below = preference_loss<double>(rule, batch_of(shifted), ignored.data()).loss;
    worst = std::max(worst, std::abs((above - below) / 2e-6 - gradients[t]));
  }
  return worst;
}

TEST(RlPreferenceLoss, GradientsEqualCentralDifferences) {
  using Kind = PreferenceKind;
  for (const Kind kind : {Kind::sigmoid, Kind::hinge, Kind::ipo, Kind::robust, Kind::exo_pair, Kind::nca_pair,
                          Kind::bco_pair, Kind::sppo_hard, Kind::apo_zero, Kind::apo_down, Kind::aot,
                          Kind::aot_unpaired, Kind::discopop, Kind::orpo, Kind::kto}) {
    for (const double beta : {0.1, 0.9}) {
      PreferenceRule rule;
      rule.kind = kind;
      rule.beta = beta;
      rule.label_smoothing = 0.2;
      rule.length_normalization = LengthNormalization::log_prob;
      rule.nll_coefficient = kind == Kind::kto ? 0 : 0.3;
      EXPECT_LT(gradient_error(rule), 1e-8) << static_cast<int>(kind);
    }
  }
}

TEST(RlPreferenceLoss, AtTheReferenceDpoIsLogTwo) {
  Case data;
  data.reference = data.log_probs;
  std::vector<double> gradients(9);
  const PreferenceValue value =
      preference_loss<double>(PreferenceRule{}, data.batch(false), gradients.data());
  EXPECT_NEAR(value.loss, std::log(2.0), 1e-15);
  // Completion 0 is chosen in two pairs of three, completion 1 rejected in two.
  EXPECT_NEAR(gradients[0], -0.05 * 2 / 3, 1e-16);
  EXPECT_NEAR(gradients[4], 0.05 * 2 / 3, 1e-16);
  EXPECT_EQ(gradients[2], 0);
}

TEST(RlPreferenceLoss, OddsOfACertainCompletionAreRefused) {
  Case data;
  std::fill(data.log_probs.begin(), data.log_probs.end(), 0.0);
  PreferenceRule rule;
  rule.kind = PreferenceKind::orpo;
  rule.length_normalization = LengthNormalization::log_prob;
  PreferenceBatch<double> batch = data.batch(false);
  batch.reference_log_probs = nullptr;
  std::vector<double> gradients(9);
  EXPECT_THROW(preference_loss<double>(rule, batch, gradients.data()), Error);
}

}  // namespace
}  // namespace adjudge::rl
