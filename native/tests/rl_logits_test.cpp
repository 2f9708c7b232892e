// Rows of logits: the f32 path against the f64 reference on the same numbers, ties, masked vocabulary, faults
// by row, gradients against central differences, and bits that do not depend on the threads.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "native/core/error.h"
#include "native/core/thread_pool.h"
#include "native/rl/logits.h"

namespace adjudge::rl {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

template <typename Float>
struct Results {
  std::vector<Float> log_probs, entropies, log_sum_exp, sum_pi_squared, top_log_probs;
  std::vector<std::int32_t> top_tokens;
  bool operator==(const Results&) const = default;
};

template <typename Float>
struct Rows {
  std::vector<Float> logits;
  std::vector<std::int32_t> tokens;
  double temperature = 1;

  LogitsBatch<Float> batch() const {
    LogitsBatch<Float> batch;
    batch.logits = logits.data();
    batch.tokens = tokens.data();
    batch.rows = tokens.size();
    batch.width = logits.size() / tokens.size();
    batch.temperature = temperature;
    return batch;
  }

  Results<Float> statistics(std::size_t top_k = 0) const {
    const std::size_t rows = tokens.size();
    Results<Float> results{std::vector<Float>(rows),         std::vector<Float>(rows),
                           std::vector<Float>(rows),         std::vector<Float>(rows),
                           std::vector<Float>(rows * top_k), std::vector<std::int32_t>(rows * top_k)};
    LogitsStatistics<Float> statistics;
    statistics.log_probs = results.log_probs.data();
    statistics.entropies = results.entropies.data();
    statistics.log_sum_exp = results.log_sum_exp.data();
    statistics.sum_pi_squared = results.sum_pi_squared.data();
    statistics.top_k = top_k;
    statistics.top_tokens = results.top_tokens.data();
    statistics.top_log_probs = results.top_log_probs.data();
    logits_statistics(batch(), statistics);
    return results;
  }

  Rows<double> doubled() const {
    return {std::vector<double>(logits.begin(), logits.end()), tokens, temperature};
  }
};

Rows<float> random_rows(std::size_t rows, std::size_t width, double mean, double spread, unsigned seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<double> normal(mean, spread);
  Rows<float> result;
  for (std::size_t i = 0; i < rows * width; ++i) {
    result.logits.push_back(i % 11 == 3 && i % width != 0 ? static_cast<float>(-infinity)
                                                          : static_cast<float>(normal(generator)));
  }
  for (std::size_t row = 0; row < rows; ++row) {
    std::size_t token = generator() % width;
    while (std::isinf(result.logits[row * width + token])) token = (token + 1) % width;
    result.tokens.push_back(static_cast<std::int32_t>(token));
  }
  return result;
}

template <typename Actual>
void expect_near(const std::vector<Actual>& actual, const std::vector<double>& expected, const char* what) {
  ASSERT_EQ(actual.size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    if (std::isinf(expected[i])) {
      EXPECT_EQ(actual[i], expected[i]) << what << " " << i;
    } else {
      EXPECT_NEAR(actual[i], expected[i], 1e-5 * (1 + std::abs(expected[i]))) << what << " " << i;
    }
  }
}

void expect_like_reference(const Rows<float>& rows, std::size_t top_k) {
  const auto actual = rows.statistics(top_k);
  const auto expected = rows.doubled().statistics(top_k);
  expect_near(actual.log_probs, expected.log_probs, "log-prob");
  expect_near(actual.entropies, expected.entropies, "entropy");
  expect_near(actual.log_sum_exp, expected.log_sum_exp, "log-sum-exp");
  expect_near(actual.sum_pi_squared, expected.sum_pi_squared, "sum of squares");
  expect_near(actual.top_log_probs, expected.top_log_probs, "top log-prob");
  EXPECT_EQ(actual.top_tokens, expected.top_tokens);
}

TEST(RlLogits, EqualTheReferenceAtEveryLength) {
  for (const std::size_t width : {1, 2, 3, 7, 8, 15, 16, 17, 31, 33, 100, 1003, 4096, 4097, 20001}) {
    for (const double spread : {0.01, 3.0, 40.0}) {
      const auto rows = random_rows(5, width, 1.5, spread, static_cast<unsigned>(width));
      expect_like_reference(rows, std::min<std::size_t>(width, 6));
    }
  }
}

TEST(RlLogits, LargeLogitsAndTemperatures) {
  for (const double temperature : {0.05, 0.7, 1.0, 3.0}) {
    for (const double mean : {-5000.0, 900.0}) {
      auto rows = random_rows(4, 5000, mean, 2, 5);
      rows.temperature = temperature;
      expect_like_reference(rows, 3);
    }
  }
}

TEST(RlLogits, AscendingAndDescendingRowsKeepTheirMass) {
  Rows<float> rows;
  const int width = 12000;
  for (int k = 0; k < width; ++k) rows.logits.push_back(0.01f * static_cast<float>(k));
  for (int k = 0; k < width; ++k) rows.logits.push_back(-0.02f * static_cast<float>(k));
  rows.tokens = {width - 1, 3};
  expect_like_reference(rows, 5);
}

// Masked stretches, far apart maxima and logits near the end of f32's range, before and after one another.
TEST(RlLogits, BlocksOfVeryDifferentSizeKeepTheirMass) {
  const float masked = static_cast<float>(-infinity);
  for (const std::vector<float>& levels : {std::vector<float>{masked, -3, 200, masked, 201, -1e30f},
                                           {1e30f, masked, -1e30f, 1e30f, 0},
                                           {-3e38f, 0, 3e38f, masked},
                                           {-87, -86, -150, 0, -0.25f, -120}}) {
    Rows<float> rows;
    for (const float level : levels) {
      for (int k = 0; k < 4096; ++k) rows.logits.push_back(level + 0.125f * static_cast<float>(k % 17));
    }
    rows.tokens = {static_cast<std::int32_t>(rows.logits.size()) - 4097};
    expect_like_reference(rows, 3);
  }
}

TEST(RlLogits, TiesGoToTheLowerToken) {
  Rows<float> rows{std::vector<float>(40, 1.0f), {39}};
  rows.logits[17] = 2;
  rows.logits[33] = 2;
  EXPECT_EQ(rows.statistics(4).top_tokens, (std::vector<std::int32_t>{17, 33, 0, 1}));
}

TEST(RlLogits, AMaskedVocabularyLeavesTheRest) {
  Rows<double> rows{{-infinity, 0, -infinity, 0, -infinity}, {1}};
  const auto results = rows.statistics(3);
  EXPECT_NEAR(results.log_probs[0], -std::log(2), 1e-15);
  EXPECT_NEAR(results.entropies[0], std::log(2), 1e-15);
  EXPECT_NEAR(results.sum_pi_squared[0], 0.5, 1e-15);
  EXPECT_EQ(results.top_tokens, (std::vector<std::int32_t>{1, 3, 0}));
  EXPECT_EQ(results.top_log_probs[2], -infinity);
  Rows<float> single{std::vector<float>(9000, static_cast<float>(-infinity)), {8999}};
  single.logits[8999] = -7;
  EXPECT_EQ(single.statistics().log_probs[0], 0);
  EXPECT_EQ(single.statistics().entropies[0], 0);
  EXPECT_EQ(single.statistics().log_sum_exp[0], -7);
}

template <typename Float>
std::string message_of(const Rows<Float>& rows) {
  try {
    rows.statistics();
  } catch (const Error& error) {
    EXPECT_EQ(error.code, "ARGUMENT_INVALID");
    return error.what();
  }
  return "";
}

TEST(RlLogits, FaultsNameTheRow) {
  for (const std::size_t at : {std::size_t{0}, std::size_t{4999}, std::size_t{9000}}) {
    const auto good = random_rows(6, 9001, 0, 1, 3);
    auto rows = good;
    rows.logits[4 * 9001 + at] = std::nanf("");
    EXPECT_NE(message_of(rows).find("row 4 has a logit that is NaN"), std::string::npos) << at;
    rows.logits[2 * 9001 + at] = static_cast<float>(infinity);
    EXPECT_NE(message_of(rows).find("row 2 has a logit that is NaN"), std::string::npos) << at;
    rows = good;
    std::fill_n(rows.logits.begin() + 9001, 9001, static_cast<float>(-infinity));
    EXPECT_NE(message_of(rows).find("row 1 has minus infinity everywhere"), std::string::npos);
    rows.logits[9001 + at] = std::nanf("");
    EXPECT_NE(message_of(rows).find("row 1 has a logit that is NaN"), std::string::npos) << at;
    rows = good;
    rows.tokens[3] = 9001;
    EXPECT_NE(message_of(rows).find("row 3 has a token outside of 0 to 9000"), std::string::npos);
  }
}

TEST(RlLogits, GradientsEqualCentralDifferences) {
  Rows<double> rows{{0.3, -1.2, 2.0, 0.1, 0.7, 0.6, -3.0, -infinity}, {2, 1}};
  rows.temperature = 0.6;
  const std::vector<double> policy{1.3, -0.4}, exploration{-0.2, 0.9};
  std::vector<double> gradients(8);
  logits_gradient(rows.batch(), {policy.data(), exploration.data()}, gradients.data());
  for (std::size_t k = 0; k < 7; ++k) {
    const auto loss_at = [&](double offset) {
      auto moved = rows;
      moved.logits[k] += offset;
      const auto results = moved.statistics();
      double loss = 0;
      for (std::size_t i = 0; i < 2; ++i) {
        loss += policy[i] * results.log_probs[i] + exploration[i] * results.entropies[i];
      }
      return loss;
    };
    EXPECT_NEAR(gradients[k], (loss_at(1e-5) - loss_at(-1e-5)) / 2e-5, 1e-8) << k;
  }
  EXPECT_EQ(gradients[7], 0);
}

TEST(RlLogits, GradientsEqualTheReferenceInPlaceToo) {
  for (const std::size_t width : {1, 5, 17, 1003, 9001}) {
    auto rows = random_rows(3, width, 700, 4, 8);
    rows.temperature = 0.8;
    const std::vector<float> policy{1.5f, 0, -2.25f}, exploration{0.25f, 0, 0.5f};
    std::vector<float> gradients(3 * width);
    logits_gradient(rows.batch(), {policy.data(), exploration.data()}, gradients.data());
    const auto doubled = rows.doubled();
    const std::vector<double> double_policy(policy.begin(), policy.end()),
        double_exploration(exploration.begin(), exploration.end());
    std::vector<double> expected(3 * width);
    logits_gradient(doubled.batch(), {double_policy.data(), double_exploration.data()}, expected.data());
    expect_near(gradients, expected, "gradient");
    auto in_place = rows;
    logits_gradient(in_place.batch(), {policy.data(), exploration.data()}, in_place.logits.data());
    EXPECT_EQ(in_place.logits, gradients);
  }
}

TEST(RlLogits, BitsDoNotDependOnTheThreads) {
  const auto rows = random_rows(37, 9001, 0, 3, 4);
  const int before = threads();
  set_threads(1);
  const auto single = rows.statistics(4);
  for (const int count : {2, 3}) {
    set_threads(count);
    EXPECT_TRUE(rows.statistics(4) == single) << count;
  }
  set_threads(before);
}

}  // namespace
}  // namespace adjudge::rl
