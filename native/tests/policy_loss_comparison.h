// The f32 kernels of the policy loss compared with the f64 reference on the same rounded numbers.
#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "native/core/thread_pool.h"
#include "native/reference/policy_loss.h"
#include "native/rl/policy_loss.h"
#include "native/tests/policy_loss_batches.h"

namespace adjudge::rl::testing {

inline bool near(double expected, double value, double tolerance) {
  return std::abs(expected - value) <= tolerance * (1 + std::abs(expected));
}

// Gradients are compared as those of a sum: a mean over 10^4 tokens would hide every difference.
inline void compare(const LossRule& rule, const Rows& rows, const Parts& parts, const std::string& name) {
  const std::size_t tokens = rows.mask.size();
  const Copies<float> single(rows, parts);
  const Copies<double> dual(rows, parts);
  Floats gradients(tokens, 7), entropy_gradients(tokens, 7);
  std::vector<double> expected(tokens), expected_entropy(tokens);
  const bool entropies = parts.entropies;
  const LossValue value = policy_loss_vectors(rule, single.batch, gradients.data(),
                                              entropies ? entropy_gradients.data() : nullptr);
  const LossValue wanted = reference::policy_loss<double>(rule, dual.batch, expected.data(),
                                                          entropies ? expected_entropy.data() : nullptr);
  std::size_t different = 0;
  const double scale = rule.aggregation.kind == Aggregation::token_sum ? 1 : wanted.metrics.tokens;
  for (std::size_t t = 0; t < tokens; ++t) {
    if (!near(expected[t] * scale, static_cast<double>(gradients[t]) * scale, 1e-5)) ++different;
    if (entropies &&
        !near(expected_entropy[t] * scale, static_cast<double>(entropy_gradients[t]) * scale, 1e-5))
      ++different;
  }
  EXPECT_EQ(different, 0U) << name << " of " << tokens;
  const std::vector<double> left = numbers(wanted), right = numbers(value);
  for (std::size_t i = 0; i < left.size(); ++i) {
    const double size = i == 0 || i == 12 ? std::max(1.0, wanted.metrics.tokens / scale * 1e-2) : 1;
    EXPECT_TRUE(near(left[i] / size, right[i] / size, 1e-6))
        << name << " number " << i << ": " << left[i] << " and " << right[i];
  }
}

// Loss, metrics and gradients have the same bits on 1, 2 and 4 threads.
inline void compare_threads(const LossRule& rule, const Rows& rows, const Parts& parts) {
  const int before = threads();
  const Copies<float> copies(rows, parts);
  std::vector<double> first_numbers;
  Floats first;
  for (const int count : {1, 2, 4}) {
    set_threads(count);
    Floats gradients(rows.mask.size());
    const LossValue value = policy_loss_vectors(rule, copies.batch, gradients.data(), nullptr);
    if (count == 1) {
      first = gradients;
      first_numbers = numbers(value);
    }
    EXPECT_EQ(std::memcmp(first.data(), gradients.data(), first.size() * sizeof(float)), 0) << count;
    EXPECT_EQ(first_numbers, numbers(value)) << count;
  }
  set_threads(before);
}

}  // namespace adjudge::rl::testing
