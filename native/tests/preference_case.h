// Batches for the preference losses, and comparison of their results with the reference's.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "native/rules/preference.h"

namespace adjudge::preference_testing {

using namespace rl;
using Kind = PreferenceKind;
using Mean = LengthNormalization;

inline constexpr Kind kinds[] = {Kind::sigmoid,  Kind::hinge,    Kind::ipo,      Kind::robust,
                                 Kind::exo_pair, Kind::nca_pair, Kind::bco_pair, Kind::sppo_hard,
                                 Kind::apo_zero, Kind::apo_down, Kind::aot,      Kind::aot_unpaired,
                                 Kind::discopop, Kind::orpo,     Kind::kto};

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

// Log ratios up to 930 either way.
inline Case far_case() {
  Case data(64, false, false);
  for (std::size_t i = 0; i < 64; ++i)
    data.reference[i] = data.log_probs[i] + (i % 2 ? 30.0f : -30.0f) * static_cast<float>(i % 32);
  return data;
}

inline void expect_near(double got, double expected, double tolerance, const char* what) {
  if (std::isnan(expected))
    EXPECT_TRUE(std::isnan(got)) << what;
  else
    EXPECT_NEAR(got, expected, tolerance * (1 + std::abs(expected))) << what;
}

inline void expect_value(const PreferenceValue& value, const PreferenceValue& expected, double tolerance) {
  const PreferenceMetrics& got = value.metrics;
  const PreferenceMetrics& metrics = expected.metrics;
  expect_near(value.loss, expected.loss, tolerance, "loss");
  expect_near(got.reward_chosen, metrics.reward_chosen, tolerance, "reward_chosen");
  expect_near(got.reward_rejected, metrics.reward_rejected, tolerance, "reward_rejected");
  expect_near(got.accuracy, metrics.accuracy, tolerance, "accuracy");
  expect_near(got.margin, metrics.margin, tolerance, "margin");
  expect_near(got.log_prob_chosen, metrics.log_prob_chosen, tolerance, "log_prob_chosen");
  expect_near(got.log_prob_rejected, metrics.log_prob_rejected, tolerance, "log_prob_rejected");
  expect_near(got.nll, metrics.nll, tolerance, "nll");
  expect_near(got.log_odds, metrics.log_odds, tolerance, "log_odds");
  expect_near(got.log_sigmoid_odds, metrics.log_sigmoid_odds, tolerance, "log_sigmoid_odds");
  expect_near(got.kl, metrics.kl, tolerance, "kl");
  expect_near(got.reward_least, metrics.reward_least, tolerance, "reward_least");
  expect_near(got.reward_mean, metrics.reward_mean, tolerance, "reward_mean");
  expect_near(got.reward_most, metrics.reward_most, tolerance, "reward_most");
}

inline PreferenceRule rule_of(Kind kind, double beta) {
  PreferenceRule rule;
  rule.kind = kind;
  rule.beta = beta;
  rule.label_smoothing = 0.2;
  rule.target_margin = 0.1;
  rule.desirable_weight = 1.5;
  if (kind == Kind::orpo) rule.length_normalization = Mean::log_prob;
  return rule;
}

// Every divergence under every normalization, with a token loss and centred rewards.
inline std::vector<PreferenceRule> divergence_rules() {
  std::vector<PreferenceRule> rules;
  for (const auto divergence : {Divergence::reverse_kl, Divergence::forward_kl, Divergence::js_divergence,
                                Divergence::alpha_divergence}) {
    for (const auto mean : {Mean::none, Mean::log_prob, Mean::score}) {
      PreferenceRule rule = rule_of(Kind::sigmoid, 0.3);
      rule.divergence = divergence;
      rule.length_normalization = mean;
      rule.nll_coefficient = 0.3;
      rule.center_coefficient = 0.01;
      rules.push_back(rule);
    }
  }
  return rules;
}

}  // namespace adjudge::preference_testing
