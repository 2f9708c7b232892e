// Row operations against their f64 twins at odd lengths, and bits that do not depend on the number of
// threads.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "native/core/thread_pool.h"
#include "native/cpu/math.h"
#include "native/reference/math.h"

namespace adjudge {
namespace {

using Floats = std::vector<float>;
constexpr int64_t lengths[] = {1, 7, 8, 9, 31, 64, 1003, 20001};

Floats random_floats(int64_t count, unsigned seed, float spread = 1.0f) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal(0.0f, spread);
  Floats values(static_cast<size_t>(count));
  for (float& value : values) value = normal(generator);
  return values;
}

void expect_close(const Floats& got, const Floats& want, double relative, double absolute) {
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < got.size(); ++i) {
    ASSERT_LE(std::abs(double{got[i]} - want[i]), relative * std::abs(want[i]) + absolute)
        << "element " << i << ": " << got[i] << " for " << want[i];
  }
}

TEST(CpuMath, RmsNormAndItsGradient) {
  for (const int64_t width : lengths) {
    const int64_t rows = 5;
    const auto x = random_floats(rows * width, 1), weight = random_floats(width, 2),
               dy = random_floats(rows * width, 3);
    Floats y(x.size()), inverse(rows), y_want(x.size()), inverse_want(rows);
    rms_norm(x.data(), weight.data(), 1e-6f, rows, width, y.data(), inverse.data());
    reference::rms_norm(x.data(), weight.data(), 1e-6f, rows, width, y_want.data(), inverse_want.data());
    expect_close(y, y_want, 2e-6, 1e-12);
    expect_close(inverse, inverse_want, 2e-6, 0.0);
    auto dx = random_floats(rows * width, 4), dweight = random_floats(width, 5);
    auto dx_want = dx, dweight_want = dweight;
    rms_norm_backward(x.data(), weight.data(), inverse.data(), dy.data(), rows, width, dx.data(),
                      dweight.data());
    reference::rms_norm_backward(x.data(), weight.data(), inverse.data(), dy.data(), rows, width,
                                 dx_want.data(), dweight_want.data());
    expect_close(dx, dx_want, 1e-5, 1e-5);
    expect_close(dweight, dweight_want, 1e-5, 1e-5);
  }
}

TEST(CpuMath, SwigluAndItsGradientInPlace) {
  for (const int64_t count : lengths) {
    const auto gate = random_floats(count, 1, 5.0f), up = random_floats(count, 2),
               dy = random_floats(count, 3);
    Floats y(gate.size()), want(gate.size()), dgate_want(gate.size()), dup_want(gate.size());
    swiglu(gate.data(), up.data(), count, y.data());
    reference::swiglu(gate.data(), up.data(), count, want.data());
    expect_close(y, want, 1e-6, 1e-9);
    auto dgate = gate, dup = up;
    swiglu_backward(dgate.data(), dup.data(), dy.data(), count, dgate.data(), dup.data());
    reference::swiglu_backward(gate.data(), up.data(), dy.data(), count, dgate_want.data(), dup_want.data());
    expect_close(dgate, dgate_want, 2e-6, 1e-6);
    expect_close(dup, dup_want, 1e-6, 1e-9);
  }
}

TEST(CpuMath, SwigluStaysFiniteAtTheEnds) {
  const Floats gate = {-1e4f, -100.0f, -88.5f, 0.0f, 88.5f, 100.0f, 1e4f};
  const Floats up(gate.size(), 1.0f);
  Floats y(gate.size());
  swiglu(gate.data(), up.data(), static_cast<int64_t>(gate.size()), y.data());
  expect_close(y, {0.0f, 0.0f, 0.0f, 0.0f, 88.5f, 100.0f, 1e4f}, 1e-6, 1e-30);
}

TEST(CpuMath, LogSumExpAndEntropy) {
  for (const int64_t count : lengths) {
    for (const float inverse_temperature : {1.0f, 0.5f, 1.7f}) {
      const auto logits = random_floats(count, 6, 4.0f);
      float entropy = -1.0f, entropy_want = -1.0f;
      const float lse = log_sum_exp(logits.data(), count, inverse_temperature, &entropy);
      EXPECT_NEAR(lse, reference::log_sum_exp(logits.data(), count, inverse_temperature, &entropy_want),
                  2e-6);
      EXPECT_NEAR(entropy, entropy_want, 1e-5);
    }
  }
}

TEST(CpuMath, ExcludedLogitsHaveNoProbability) {
  Floats logits(20, -std::numeric_limits<float>::infinity());
  logits[3] = 2.0f;
  logits[17] = 2.0f;
  float entropy = 0.0f;
  const float lse = log_sum_exp(logits.data(), 20, 1.0f, &entropy);
  EXPECT_NEAR(lse, 2.0f + std::log(2.0f), 1e-6);
  EXPECT_NEAR(entropy, std::log(2.0f), 1e-6);
  log_prob_gradient(logits.data(), 20, 1.0f, lse, entropy, 3, 1.0f, 0.1f);
  Floats want(20, 0.0f);
  want[3] = 0.5f;
  want[17] = -0.5f;
  expect_close(logits, want, 1e-6, 1e-6);
}

TEST(CpuMath, LogProbGradient) {
  for (const int64_t count : lengths) {
    const auto logits = random_floats(count, 8, 3.0f);
    const auto target = static_cast<int32_t>(count / 2);
    float entropy = 0.0f;
    const float lse = log_sum_exp(logits.data(), count, 0.8f, &entropy);
    auto got = logits, want = logits;
    log_prob_gradient(got.data(), count, 0.8f, lse, entropy, target, -1.3f, 0.02f);
    reference::log_prob_gradient(want.data(), count, 0.8f, lse, entropy, target, -1.3f, 0.02f);
    expect_close(got, want, 5e-6, 1e-6);
  }
}

TEST(CpuMath, TheGradientIsTheSlopeOfItsObjective) {
  const int64_t count = 11;
  const int32_t target = 4;
  const float coefficient = 0.7f, entropy_coefficient = 0.3f, inverse_temperature = 1.25f;
  const auto logits = random_floats(count, 9);
  const auto objective = [&](const Floats& at) {
    float entropy = 0.0f;
    const float lse = reference::log_sum_exp(at.data(), count, inverse_temperature, &entropy);
    return coefficient * (at[target] * inverse_temperature - lse) + entropy_coefficient * entropy;
  };
  float entropy = 0.0f;
  const float lse = log_sum_exp(logits.data(), count, inverse_temperature, &entropy);
  auto gradient = logits;
  log_prob_gradient(gradient.data(), count, inverse_temperature, lse, entropy, target, coefficient,
                    entropy_coefficient);
  for (int64_t i = 0; i < count; ++i) {
    auto above = logits, below = logits;
    above[static_cast<size_t>(i)] += 0.01f;
    below[static_cast<size_t>(i)] -= 0.01f;
    EXPECT_NEAR(gradient[static_cast<size_t>(i)], (objective(above) - objective(below)) / 0.02f, 2e-4);
  }
}

TEST(CpuMath, SoftmaxRowClearsItsPaddingAndCanBeRebuilt) {
  for (const int64_t count : lengths) {
    const int64_t padded = count + 13;
    auto scores = random_floats(padded, 10, 6.0f);
    scores.back() = NAN;  // what lies in the padding must not matter
    auto want = scores, rebuilt = scores;
    const float lse = softmax_row(scores.data(), count, padded, 0.125f);
    EXPECT_NEAR(lse, reference::softmax_row(want.data(), count, padded, 0.125f), 5e-6);
    expect_close(scores, want, 1e-5, 1e-12);
    exp_minus(rebuilt.data(), count, padded, 0.125f, lse);
    expect_close(rebuilt, want, 1e-5, 1e-12);
  }
}

TEST(CpuMath, AdamW) {
  for (const int64_t count : lengths) {
    auto w = random_floats(count, 11), m = random_floats(count, 12), v = random_floats(count, 13);
    for (float& value : v) value *= value;
    const auto g = random_floats(count, 14);
    auto w_want = w, m_want = m, v_want = v;
    adamw(w.data(), g.data(), m.data(), v.data(), count, 1e-2f, 0.9f, 0.95f, 1e-8f, 0.1f, 0.3f, 0.2f, 0.5f);
    reference::adamw(w_want.data(), g.data(), m_want.data(), v_want.data(), count, 1e-2f, 0.9f, 0.95f, 1e-8f,
                     0.1f, 0.3f, 0.2f, 0.5f);
    expect_close(m, m_want, 1e-6, 1e-7);
    expect_close(v, v_want, 1e-6, 1e-7);
    expect_close(w, w_want, 1e-6, 1e-6);
  }
}

TEST(CpuMath, RopeTurnsAndTurnsBack) {
  const int64_t rows = 3, heads = 2, head_dim = 20, half = head_dim / 2, row_stride = 50;
  const std::vector<int32_t> positions = {0, 6, 2};
  Floats cosine(7 * half), sine(7 * half);
  for (size_t i = 0; i < cosine.size(); ++i) {
    cosine[i] = std::cos(0.37f * static_cast<float>(i));
    sine[i] = std::sin(0.37f * static_cast<float>(i));
  }
  const auto original = random_floats(rows * row_stride, 15);
  auto got = original, want = original;
  rope(got.data(), rows, heads, head_dim, row_stride, positions.data(), cosine.data(), sine.data(), false);
  reference::rope(want.data(), rows, heads, head_dim, row_stride, positions.data(), cosine.data(),
                  sine.data(), false);
  expect_close(got, want, 1e-6, 1e-6);
  rope(got.data(), rows, heads, head_dim, row_stride, positions.data(), cosine.data(), sine.data(), true);
  expect_close(got, original, 1e-6, 1e-6);
}

TEST(CpuMath, SumsDoNotDependOnTheThreads) {
  const int before = threads();
  const int64_t count = 100003, width = 1001, rows = 99;
  const auto x = random_floats(count, 16);
  const Floats weight(width, 1.5f), inverse(rows, 0.9f);
  std::vector<double> sums;
  std::vector<Floats> gradients;
  for (const int number : {1, 2, 3}) {
    set_threads(number);
    sums.push_back(sum_of_squares(x.data(), count));
    Floats dx(rows * width), dweight(width);
    rms_norm_backward(x.data(), weight.data(), inverse.data(), x.data(), rows, width, dx.data(),
                      dweight.data());
    dx.insert(dx.end(), dweight.begin(), dweight.end());
    gradients.push_back(dx);
  }
  set_threads(before);
  EXPECT_NEAR(sums[0], reference::sum_of_squares(x.data(), count), 1e-6);
  EXPECT_EQ(sums[0], sums[1]);
  EXPECT_EQ(sums[0], sums[2]);
  EXPECT_EQ(gradients[0], gradients[1]);
  EXPECT_EQ(gradients[0], gradients[2]);
}

TEST(CpuMath, AddOverManyChunks) {
  const int64_t count = 40001;
  auto x = random_floats(count, 17);
  const auto y = random_floats(count, 18);
  auto want = x;
  for (size_t i = 0; i < want.size(); ++i) want[i] += y[i];
  add(x.data(), y.data(), count);
  EXPECT_EQ(x, want);
}

}  // namespace
}  // namespace adjudge
