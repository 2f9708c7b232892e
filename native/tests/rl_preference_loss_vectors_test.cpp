// The preference losses of f32 arrays against the f64 reference on the same rounded numbers, on several
// threads.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "native/core/error.h"
#include "native/core/thread_pool.h"
#include "native/reference/preference_loss.h"
#include "native/rl/preference_loss.h"

namespace adjudge::rl {
namespace {

using Kind = PreferenceKind;
using Mean = LengthNormalization;

constexpr Kind kinds[] = {Kind::sigmoid,  Kind::hinge,        Kind::ipo,       Kind::robust,   Kind::exo_pair,
                          Kind::nca_pair, Kind::bco_pair,     Kind::sppo_hard, Kind::apo_zero, Kind::apo_down,
                          Kind::aot,      Kind::aot_unpaired, Kind::discopop,  Kind::orpo,     Kind::kto};

// Masked tokens are NaN; `shuffled` pairs are anywhere, each completion in none, one or several.
struct Case {
  std::vector<std::int32_t> cu_seqlens{0}, lengths, chosen, rejected;
  std::vector<float> log_probs, reference, margins, weights, single_weights;
  std::vector<std::uint8_t> mask, nll_mask, desirable;
  std::vector<float> mismatched{-3.5f, -1.0f}, mismatched_reference{-4.0f, -2.0f};
  bool by_token;
  bool masked = true;
  bool likelihood_mask = false;

  Case(std::size_t completions, bool tokens, bool shuffled) : by_token(tokens) {
    std::mt19937 random(static_cast<unsigned>(completions) + 7);
    std::uniform_real_distribution<float> uniform(0, 1);
    for (std::size_t i = 0; i < completions; ++i) {
      lengths.push_back(1 + static_cast<std::int32_t>(random() % (i % 50 == 0 ? 300 : 20)));
      cu_seqlens.push_back(cu_seqlens.back() + lengths.back());
      desirable.push_back(random() % 2);
      single_weights.push_back(uniform(random) + 0.5f);
    }
    const std::size_t values = by_token ? static_cast<std::size_t>(cu_seqlens.back()) : completions;
    for (std::size_t t = 0; t < values; ++t) {
      log_probs.push_back(-0.01f - 2 * uniform(random));
      reference.push_back(log_probs.back() + 0.6f * uniform(random) - 0.3f);
      mask.push_back(random() % 5 != 0);
      nll_mask.push_back(random() % 3 != 0);
    }
    for (std::size_t i = 0; i + 1 < completions; i += 2) {
      const auto pick = [&] { return static_cast<std::int32_t>(random() % completions); };
      chosen.push_back(shuffled ? pick() : static_cast<std::int32_t>(i));
      rejected.push_back(shuffled ? pick() : static_cast<std::int32_t>(i + 1));
      if (rejected.back() == chosen.back())
        rejected.back() = (chosen.back() + 1) % static_cast<int>(completions);
      margins.push_back(uniform(random));
      weights.push_back(uniform(random) + 0.5f);
    }
    // Every completion has a token that counts.
    for (std::size_t i = 0; by_token && i < completions; ++i)
      mask[static_cast<std::size_t>(cu_seqlens[i])] = 1;
  }

  template <typename Float>
  struct Arrays {
    std::vector<Float> log_probs, reference, margins, weights, single_weights, mismatched,
        mismatched_reference;
  };

  template <typename Float>
  Arrays<Float> arrays() const {
    const auto of = [](const std::vector<float>& values) {
      return std::vector<Float>(values.begin(), values.end());
    };
    Arrays<Float> all{of(log_probs),  of(reference),           of(margins), of(weights), of(single_weights),
                      of(mismatched), of(mismatched_reference)};
    for (std::size_t t = 0; by_token && masked && t < mask.size(); ++t) {
      if (mask[t]) continue;
      all.reference[t] = std::numeric_limits<Float>::quiet_NaN();
      if (!likelihood_mask || !nll_mask[t]) all.log_probs[t] = std::numeric_limits<Float>::quiet_NaN();
    }
    return all;
  }

  template <typename Float>
  PreferenceBatch<Float> batch(const PreferenceRule& rule, const Arrays<Float>& all) const {
    PreferenceBatch<Float> result;
    result.log_probs = all.log_probs.data();
    if (rule.kind != Kind::orpo) result.reference_log_probs = all.reference.data();
    if (by_token) {
      result.cu_seqlens = cu_seqlens.data();
      if (masked) result.mask = mask.data();
      if (likelihood_mask) result.nll_mask = nll_mask.data();
    } else {
      result.lengths = lengths.data();
    }
    result.completions = lengths.size();
    if (rule.kind == Kind::kto) {
      result.desirable = desirable.data();
      result.weights = all.single_weights.data();
      result.mismatched_log_probs = all.mismatched.data();
      result.mismatched_reference_log_probs = all.mismatched_reference.data();
      result.mismatched = mismatched.size();
      return result;
    }
    result.chosen = chosen.data();
    result.rejected = rejected.data();
    result.pairs = chosen.size();
    if (rule.kind != Kind::aot && rule.kind != Kind::aot_unpaired) result.weights = all.weights.data();
    result.margins = all.margins.data();
    return result;
  }
};

void expect_near(double got, double expected, double tolerance, const char* what) {
  if (std::isnan(expected))
    EXPECT_TRUE(std::isnan(got)) << what;
  else
    EXPECT_NEAR(got, expected, tolerance * (1 + std::abs(expected))) << what;
}

void compare(const PreferenceRule& rule, const Case& data) {
  SCOPED_TRACE("kind " + std::to_string(static_cast<int>(rule.kind)) + ", normalization " +
               std::to_string(static_cast<int>(rule.length_normalization)));
  const auto wide = data.arrays<double>();
  const auto single = data.arrays<float>();
  std::vector<double> expected(data.log_probs.size());
  // Terms are summed, not averaged, so that gradients are no tiny numbers.
  auto dual = data.batch<double>(rule, wide);
  dual.batch_size = 1;
  const PreferenceValue reference = reference::preference_loss(rule, dual, expected.data());
  std::vector<float> first;
  PreferenceValue first_value;
  const int before = threads();
  for (const int count : {1, 2, 5}) {
    set_threads(count);
    auto batch = data.batch<float>(rule, single);
    batch.batch_size = 1;
    std::vector<float> gradients(data.log_probs.size(), -7.0f);
    const PreferenceValue value = preference_loss(rule, batch, gradients.data());
    if (first.empty()) {
      first = gradients;
      first_value = value;
    }
    ASSERT_EQ(std::memcmp(first.data(), gradients.data(), gradients.size() * sizeof(float)), 0) << count;
    ASSERT_EQ(std::memcmp(&first_value, &value, sizeof value), 0) << count << " threads";
  }
  set_threads(before);
  for (std::size_t t = 0; t < expected.size(); ++t)
    ASSERT_NEAR(first[t], expected[t], 1e-6 * (1 + std::abs(expected[t]))) << t;
  const PreferenceMetrics& got = first_value.metrics;
  const PreferenceMetrics& metrics = reference.metrics;
  expect_near(first_value.loss, reference.loss, 1e-9, "loss");
  expect_near(got.reward_chosen, metrics.reward_chosen, 1e-9, "reward_chosen");
  expect_near(got.reward_rejected, metrics.reward_rejected, 1e-9, "reward_rejected");
  expect_near(got.accuracy, metrics.accuracy, 1e-9, "accuracy");
  expect_near(got.margin, metrics.margin, 1e-9, "margin");
  expect_near(got.log_prob_chosen, metrics.log_prob_chosen, 1e-9, "log_prob_chosen");
  expect_near(got.log_prob_rejected, metrics.log_prob_rejected, 1e-9, "log_prob_rejected");
  expect_near(got.nll, metrics.nll, 1e-9, "nll");
  expect_near(got.log_odds, metrics.log_odds, 1e-9, "log_odds");
  expect_near(got.log_sigmoid_odds, metrics.log_sigmoid_odds, 1e-9, "log_sigmoid_odds");
  expect_near(got.kl, metrics.kl, 1e-9, "kl");
  expect_near(got.reward_least, metrics.reward_least, 1e-9, "reward_least");
  expect_near(got.reward_mean, metrics.reward_mean, 1e-9, "reward_mean");
  expect_near(got.reward_most, metrics.reward_most, 1e-9, "reward_most");
}

PreferenceRule rule_of(Kind kind, double beta) {
  PreferenceRule rule;
  rule.kind = kind;
  rule.beta = beta;
  rule.label_smoothing = 0.2;
  rule.target_margin = 0.1;
  rule.desirable_weight = 1.5;
  if (kind == Kind::orpo) rule.length_normalization = Mean::log_prob;
  return rule;
}

TEST(RlPreferenceLossVectors, EveryKindIsTheReference) {
  for (const bool tokens : {true, false}) {
    const Case small(11, tokens, true), large(9000, tokens, false);
    for (const Kind kind : kinds) {
      for (const double beta : {0.1, 2.0}) compare(rule_of(kind, beta), small);
      compare(rule_of(kind, 0.4), large);
    }
  }
}

TEST(RlPreferenceLossVectors, PairsInAnyOrderOverManyChunks) {
  compare(rule_of(Kind::sigmoid, 0.3), Case(40000, false, true));
  PreferenceRule rule = rule_of(Kind::ipo, 0.3);
  rule.nll_coefficient = 0.5;
  compare(rule, Case(40000, true, true));
}

TEST(RlPreferenceLossVectors, DivergencesMeansPerTokenAndTokenLossesAreTheReference) {
  for (const bool likelihood_mask : {false, true}) {
    Case data(300, true, true);
    data.likelihood_mask = likelihood_mask;
    for (const auto divergence : {Divergence::reverse_kl, Divergence::forward_kl, Divergence::js_divergence,
                                  Divergence::alpha_divergence}) {
      for (const auto mean : {Mean::none, Mean::log_prob, Mean::score}) {
        PreferenceRule rule = rule_of(Kind::sigmoid, 0.3);
        rule.divergence = divergence;
        rule.length_normalization = mean;
        rule.nll_coefficient = 0.3;
        rule.center_coefficient = 0.01;
        compare(rule, data);
      }
    }
    data.masked = false;
    PreferenceRule rule = rule_of(Kind::orpo, 0.3);
    rule.nll_coefficient = 1;
    compare(rule, data);
    rule.kind = Kind::kto;
    rule.nll_coefficient = 0;
    compare(rule, data);
  }
}

TEST(RlPreferenceLossVectors, FarFromTheReferenceEveryTermIsTheReference) {
  for (const Kind kind : kinds) {
    Case data(64, false, false);
    for (std::size_t i = 0; i < 64; ++i)
      data.reference[i] = data.log_probs[i] + (i % 2 ? 30.0f : -30.0f) * float(i % 32);
    compare(rule_of(kind, 1), data);
  }
}

TEST(RlPreferenceLossVectors, NothingToCompareIsNoLoss) {
  Case data(40, true, false);
  data.chosen.clear();
  data.rejected.clear();
  for (const Kind kind : {Kind::sigmoid, Kind::aot, Kind::orpo}) compare(rule_of(kind, 0.1), data);
}

TEST(RlPreferenceLossVectors, TheFirstCompletionWhoseOddsAreNotFiniteIsNamed) {
  Case data(20000, true, false);
  data.masked = false;
  for (const std::int32_t row : {15001, 7003}) {
    for (std::int32_t t = data.cu_seqlens[static_cast<std::size_t>(row)];
         t < data.cu_seqlens[static_cast<std::size_t>(row) + 1]; ++t)
      data.log_probs[static_cast<std::size_t>(t)] = 0;
  }
  const auto arrays = data.arrays<float>();
  const PreferenceRule rule = rule_of(Kind::orpo, 0.1);
  std::vector<float> gradients(data.log_probs.size());
  try {
    preference_loss(rule, data.batch<float>(rule, arrays), gradients.data());
    FAIL() << "was not refused";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("completion 7003 "), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace adjudge::rl
