// The preference losses of f32 arrays against the f64 reference on the same rounded numbers, on several
// threads.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "native/core/error.h"
#include "native/core/thread_pool.h"
#include "native/reference/preference_loss.h"
#include "native/rl/preference_loss.h"
#include "native/tests/preference_case.h"

namespace adjudge::rl {
namespace {

using namespace preference_testing;

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
  expect_value(first_value, reference, 1e-9);
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
    for (const PreferenceRule& rule : divergence_rules()) compare(rule, data);
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
  for (const Kind kind : kinds) compare(rule_of(kind, 1), far_case());
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
