// Rows of logits over the SIMT shim against the f64 reference on the same rounded inputs.
#include <algorithm>
#include <limits>
#include <string>

#include "rl/logits.h"
#include "tests/cuda_launch.h"

namespace adjudge::cuda::testing {
namespace {

constexpr float infinite = std::numeric_limits<float>::infinity();

struct Logits {
  std::int64_t rows, width, stride;
  double temperature = 1;
  std::vector<float> values;  // [rows, stride]; NaN between the rows
  std::vector<std::int32_t> tokens;
  std::vector<float> policy, exploration;

  Logits(std::int64_t row_count, std::int64_t row_width, std::int64_t gap, double spread, double mean = 0)
      : rows(row_count), width(row_width), stride(row_width + gap) {
    Ragged random({}, static_cast<unsigned>(row_width));
    values = random.normal(static_cast<std::size_t>(rows * stride), spread, mean);
    policy = random.normal(static_cast<std::size_t>(rows));
    exploration = random.normal(static_cast<std::size_t>(rows), 0.3);
    for (std::int64_t i = 0; i < rows * stride; ++i) {
      const std::int64_t k = i % stride;
      // Numbers that bfloat16 holds, a masked share, ties.
      values[i] = bf16_to_f32(f32_to_bf16(values[i]));
      if (k % 11 == 3 && k > 0) values[i] = -infinite;
      if (k % 13 == 5 && k > 0) values[i] = values[i - 1];
      if (k >= width) values[i] = std::nanf("");
    }
    for (std::int64_t i = 0; i < rows; ++i)
      tokens.push_back(static_cast<std::int32_t>(i * 7 % width / 11 * 11));
  }

  std::vector<std::uint16_t> halves() const { return halved(values); }

  // Dense, in f64.
  std::vector<double> wide() const {
    std::vector<double> result;
    for (std::int64_t i = 0; i < rows; ++i)
      result.insert(result.end(), values.begin() + i * stride, values.begin() + i * stride + width);
    return result;
  }
  rl::LogitsBatch<double> batch(const std::vector<double>& dense) const {
    return {dense.data(), tokens.data(), static_cast<std::size_t>(rows), static_cast<std::size_t>(width),
            temperature};
  }
  LogitsRows device_rows(const void* logits, Element element) const {
    return {logits, element, rows, width, stride, temperature, tokens.data()};
  }
};

template <typename Float>
struct Results {
  std::vector<Float> log_probs, entropies, log_sum_exp, sum_pi_squared, top_log_probs;
  std::vector<std::int32_t> top_tokens;
  std::size_t top_k;

  Results(std::size_t rows, std::size_t top)
      : log_probs(rows, -7),
        entropies(rows, -7),
        log_sum_exp(rows, -7),
        sum_pi_squared(rows, -7),
        top_log_probs(rows * top, -7),
        top_tokens(rows * top, -7),
        top_k(top) {}
  rl::LogitsStatistics<Float> wanted() {
    return {log_probs.data(),  entropies.data(),    log_sum_exp.data(), sum_pi_squared.data(), top_k,
            top_tokens.data(), top_log_probs.data()};
  }
};

void expect_values(const char* name, const std::vector<float>& got, const std::vector<double>& expected) {
  SCOPED_TRACE(name);
  for (std::size_t i = 0; i < got.size(); ++i) {
    if (std::isinf(expected[i])) {
      ASSERT_EQ(got[i], expected[i]) << i;
    } else {
      ASSERT_NEAR(got[i], expected[i], 1e-5 * (1 + std::abs(expected[i]))) << i;
    }
  }
}

void compare_statistics(const Logits& data, std::size_t top_k) {
  SCOPED_TRACE("width " + std::to_string(data.width) + ", top " + std::to_string(top_k));
  const std::vector<double> dense = data.wide();
  Results<double> expected(static_cast<std::size_t>(data.rows), top_k);
  rl::logits_statistics(data.batch(dense), expected.wanted());
  const std::vector<std::uint16_t> halves = data.halves();
  for (const Element element : {Element::float32, Element::bfloat16}) {
    const void* logits = element == Element::float32 ? static_cast<const void*>(data.values.data())
                                                     : static_cast<const void*>(halves.data());
    in_every_order([&](int threads) {
      Results<float> results(static_cast<std::size_t>(data.rows), top_k);
      Fault fault;
      fault.index = -7;
      enqueue(threads, [&](Launch& launch) {
        return adjudge_cuda_kernels()->logits_statistics(data.device_rows(logits, element), results.wanted(),
                                                         &fault, launch);
      });
      EXPECT_EQ(fault.kind, FaultKind::none);
      EXPECT_EQ(fault.index, -1);
      expect_values("log-prob", results.log_probs, expected.log_probs);
      expect_values("entropy", results.entropies, expected.entropies);
      expect_values("log-sum-exp", results.log_sum_exp, expected.log_sum_exp);
      expect_values("sum of squares", results.sum_pi_squared, expected.sum_pi_squared);
      expect_values("top log-prob", results.top_log_probs, expected.top_log_probs);
      EXPECT_EQ(results.top_tokens, expected.top_tokens);
      Bits bits;
      for (const auto* values : {&results.log_probs, &results.entropies, &results.log_sum_exp,
                                 &results.sum_pi_squared, &results.top_log_probs})
        bits.add(*values);
      return bits;
    });
  }
}

TEST(CudaLogits, StatisticsAreTheReference) {
  for (const std::int64_t width : {1, 2, 7, 8, 33, 257, 1003}) {
    for (const double spread : {0.05, 4.0, 40.0}) {
      compare_statistics({3, width, width % 3, spread}, 0);
      if (HasFailure()) return;
    }
  }
  Logits far(2, 3001, 0, 3, 900);
  far.temperature = 0.7;
  compare_statistics(far, 0);
}

TEST(CudaLogits, TopTokensInTheirOrder) {
  compare_statistics({3, 40, 1, 2}, 40);
  compare_statistics({2, 1500, 0, 2}, 5);
  compare_statistics({2, 1500, 3, 0.02}, 700);
  Logits equal(2, 300, 0, 1);
  std::fill(equal.values.begin(), equal.values.end(), 1.0F);
  equal.values[150] = equal.values[299] = 2;
  equal.values[20] = 0.0F;
  equal.values[21] = -0.0F;
  compare_statistics(equal, 9);
  compare_statistics(equal, 300);
  Results<float> results(2, 1025);
  Launch launch;
  launch.measure = true;
  EXPECT_EQ(adjudge_cuda_kernels()->logits_statistics(equal.device_rows(nullptr, Element::float32),
                                                      results.wanted(), nullptr, launch),
            rule_not_computed);
}

// known: the statistics are given and not computed again.
void compare_gradients(const Logits& data, bool exploring, bool known, bool in_place) {
  SCOPED_TRACE("width " + std::to_string(data.width) + (known ? ", known" : "") +
               (in_place ? ", in place" : ""));
  const std::vector<double> dense = data.wide();
  const std::vector<double> policy = widened(data.policy), exploration = widened(data.exploration);
  std::vector<double> expected(dense.size());
  rl::logits_gradient<double>(data.batch(dense), {policy.data(), exploring ? exploration.data() : nullptr},
                              expected.data());
  Results<double> wide(static_cast<std::size_t>(data.rows), 0);
  rl::logits_statistics(data.batch(dense), wide.wanted());
  const std::vector<float> log_sum_exp(wide.log_sum_exp.begin(), wide.log_sum_exp.end()),
      entropies(wide.entropies.begin(), wide.entropies.end());
  for (const Element element : {Element::float32, Element::bfloat16}) {
    in_every_order([&](int threads) {
      std::vector<float> single = data.values, single_gradients(data.values.size(), -7);
      std::vector<std::uint16_t> half = data.halves(), half_gradients(half.size());
      const bool is_single = element == Element::float32;
      void* logits = is_single ? static_cast<void*>(single.data()) : half.data();
      LogitsGradient wanted;
      wanted.coefficients = {data.policy.data(), exploring ? data.exploration.data() : nullptr};
      if (known) wanted.log_sum_exp = log_sum_exp.data();
      if (known && exploring) wanted.entropies = entropies.data();
      wanted.gradients = in_place    ? logits
                         : is_single ? static_cast<void*>(single_gradients.data())
                                     : half_gradients.data();
      Fault fault;
      enqueue(threads, [&](Launch& launch) {
        return adjudge_cuda_kernels()->logits_gradient(data.device_rows(logits, element), wanted, &fault,
                                                       launch);
      });
      EXPECT_EQ(fault.kind, FaultKind::none);
      const auto at = [&](std::int64_t row, std::int64_t k) {
        const std::size_t i = static_cast<std::size_t>(row * data.stride + k);
        if (is_single) return in_place ? single[i] : single_gradients[i];
        return bf16_to_f32(in_place ? half[i] : half_gradients[i]);
      };
      for (std::int64_t row = 0; row < data.rows; ++row) {
        for (std::int64_t k = 0; k < data.width; ++k) {
          const double wanted_value = expected[static_cast<std::size_t>(row * data.width + k)];
          const double tolerance = (is_single ? 0 : std::abs(wanted_value) / 256) +
                                   (is_single ? 1e-5 : 1e-4) * (1 + std::abs(wanted_value));
          EXPECT_NEAR(at(row, k), wanted_value, tolerance) << row << ", " << k;
        }
      }
      Bits bits;
      bits.add(in_place ? single : single_gradients);
      bits.add(in_place ? half : half_gradients);
      return bits;
    });
  }
}

TEST(CudaLogits, GradientsAreTheReference) {
  for (const std::int64_t width : {1, 7, 64, 259, 1003}) {
    Logits data(4, width, width % 2, 3);
    data.temperature = 0.8;
    data.policy[2] = 0;
    for (const bool exploring : {false, true}) {
      compare_gradients(data, exploring, false, false);
      compare_gradients(data, exploring, true, true);
      if (HasFailure()) return;
    }
  }
}

TEST(CudaLogits, RowsWithoutACoefficientBecomeZeroAndMayBeAnything) {
  Logits data(3, 40, 0, 2);
  data.policy[1] = data.exploration[1] = 0;
  std::fill_n(data.values.begin() + 40, 40, std::nanf(""));
  data.tokens[1] = -5;
  std::vector<float> gradients(data.values.size(), -7);
  Fault fault;
  enqueue(64, [&](Launch& launch) {
    LogitsGradient wanted;
    wanted.coefficients = {data.policy.data(), data.exploration.data()};
    wanted.gradients = gradients.data();
    return adjudge_cuda_kernels()->logits_gradient(data.device_rows(data.values.data(), Element::float32),
                                                   wanted, &fault, launch);
  });
  EXPECT_EQ(fault.kind, FaultKind::none);
  for (int k = 40; k < 80; ++k) EXPECT_EQ(gradients[k], 0);
}

TEST(CudaLogits, FaultsNameTheFirstRow) {
  const Logits good(6, 90, 0, 2);
  const auto fault_of = [&](Logits data) {
    std::vector<float> gradients(data.values.size());
    Fault statistics_fault, gradient_fault;
    Results<float> results(6, 2);
    const LogitsRows rows = data.device_rows(data.values.data(), Element::float32);
    enqueue(64, [&](Launch& launch) {
      return adjudge_cuda_kernels()->logits_statistics(rows, results.wanted(), &statistics_fault, launch);
    });
    enqueue(64, [&](Launch& launch) {
      LogitsGradient wanted;
      wanted.coefficients = {data.policy.data(), nullptr};
      wanted.gradients = gradients.data();
      return adjudge_cuda_kernels()->logits_gradient(rows, wanted, &gradient_fault, launch);
    });
    EXPECT_EQ(statistics_fault.kind, gradient_fault.kind);
    EXPECT_EQ(statistics_fault.index, gradient_fault.index);
    return statistics_fault;
  };
  for (const float wrong : {std::nanf(""), infinite}) {
    Logits data = good;
    data.values[4 * 90 + 89] = data.values[5 * 90] = wrong;
    EXPECT_EQ(fault_of(data).kind, FaultKind::logit_not_a_number);
    EXPECT_EQ(fault_of(data).index, 4);
  }
  Logits data = good;
  std::fill_n(data.values.begin() + 3 * 90, 180, -infinite);
  EXPECT_EQ(fault_of(data).kind, FaultKind::logits_all_masked);
  EXPECT_EQ(fault_of(data).index, 3);
  data = good;
  data.tokens[2] = 90;
  data.tokens[1] = -1;
  EXPECT_EQ(fault_of(data).kind, FaultKind::token_invalid);
  EXPECT_EQ(fault_of(data).index, 1);
}

}  // namespace
}  // namespace adjudge::cuda::testing
