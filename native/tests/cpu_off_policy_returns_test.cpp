// The f32 kernels of the selected instruction set against the f64 reference on the same numbers.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "native/core/thread_pool.h"
#include "native/reference/off_policy_returns.h"
#include "native/rl/off_policy_returns.h"

namespace adjudge::rl {
namespace {

constexpr double unbounded = std::numeric_limits<double>::infinity();

struct Array {
  std::vector<float> single;
  std::vector<double> dual;

  void add(float value) {
    single.push_back(value);
    dual.push_back(value);
  }
  template <typename Float>
  const Float* get() const {
    if constexpr (sizeof(Float) == 4)
      return single.data();
    else
      return dual.data();
  }
};

struct Sequences {
  std::vector<std::int32_t> cu_seqlens{0};
  std::vector<std::uint8_t> mask;
  Array rewards, values, action_values, log_ratios, bootstrap;
  bool masked;

  // share: of tokens that count, in runs of about 20; the others hold NaN. drift: of the log ratios.
  Sequences(const std::vector<int>& lengths, double share, double drift, unsigned seed) : masked(share < 1) {
    std::mt19937 engine(seed);
    std::normal_distribution<float> draw;
    std::bernoulli_distribution counts(share), turns(0.05);
    bool counted = true;
    for (const int length : lengths) {
      cu_seqlens.push_back(cu_seqlens.back() + length);
      bootstrap.add(draw(engine));
      for (int i = 0; i < length; ++i) {
        if (turns(engine)) counted = counts(engine);
        mask.push_back(counted ? 3 : 0);
        for (Array* array : {&rewards, &values, &action_values}) array->add(counted ? draw(engine) : NAN);
        log_ratios.add(counted ? static_cast<float>(drift) * draw(engine) : NAN);
      }
    }
  }

  template <typename Float>
  ReturnsBatch<Float> batch(bool own_policy) const {
    return {rewards.get<Float>(),
            values.get<Float>(),
            action_values.get<Float>(),
            own_policy ? nullptr : log_ratios.get<Float>(),
            cu_seqlens.data(),
            cu_seqlens.size() - 1,
            masked ? mask.data() : nullptr,
            bootstrap.get<Float>()};
  }
  std::size_t tokens() const { return mask.size(); }
};

void expect_close(const std::vector<float>& found, const std::vector<double>& wanted) {
  std::size_t wrong = 0;
  for (std::size_t t = 0; t < wanted.size(); ++t) {
    if (std::fabs(found[t] - wanted[t]) <= 1e-5 * (1 + std::fabs(wanted[t]))) continue;
    if (++wrong < 4) ADD_FAILURE() << "token " << t << ": " << found[t] << " and not " << wanted[t];
  }
  EXPECT_EQ(wrong, 0U);
}

template <typename Float, typename Call>
std::vector<Float> outputs(const Sequences& data, Call&& call) {
  std::vector<Float> all(2 * data.tokens(), 7);
  call(all.data(), all.data() + data.tokens());
  return all;
}

void expect_reference(const Sequences& data, bool own_policy, double gamma, double lambda, double clip) {
  const auto single = data.batch<float>(own_policy);
  const auto dual = data.batch<double>(own_policy);
  const VtraceRule trace{gamma, lambda, clip, clip, 1.5};
  expect_close(outputs<float>(data, [&](float* a, float* b) { vtrace(trace, single, a, b); }),
               outputs<double>(data, [&](double* a, double* b) { reference::vtrace(trace, dual, a, b); }));
  const RetraceRule cut{gamma, lambda, clip};
  expect_close(outputs<float>(data, [&](float* a, float*) { retrace(cut, single, a); }),
               outputs<double>(data, [&](double* a, double*) { reference::retrace(cut, dual, a); }));
  const UpgoRule up{gamma, clip};
  expect_close(outputs<float>(data, [&](float* a, float* b) { upgo(up, single, a, b); }),
               outputs<double>(data, [&](double* a, double* b) { reference::upgo(up, dual, a, b); }));
}

const std::vector<int> lengths{0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 0, 31, 64, 100, 8192, 5, 0};

TEST(CpuOffPolicyReturns, EqualTheReference) {
  for (const double share : {1.0, 0.7}) {
    for (const double drift : {0.002, 0.5}) {
      const Sequences data(lengths, share, drift, 3);
      for (const double gamma : {1.0, 0.97, 0.0}) {
        for (const double lambda : {1.0, 0.9}) {
          expect_reference(data, false, gamma, lambda, 1);
          expect_reference(data, true, gamma, lambda, 1);
        }
      }
    }
  }
}

// At the longest horizon that blocks in f32 take, with ratios that are all rounded to the same side.
TEST(CpuOffPolicyReturns, KeepTheirDigitsOverAHorizon) {
  for (const float log_ratio : {-1e-4f, -3e-4f, -1.7e-3f}) {
    Sequences data({6000}, 1, 0, 8);
    for (std::size_t t = 0; t < data.tokens(); ++t) {
      data.log_ratios.single[t] = log_ratio;
      data.log_ratios.dual[t] = data.log_ratios.single[t];
      data.rewards.single[t] = data.rewards.dual[t] = 1;
    }
    expect_reference(data, false, 0.98, 1, 1);
    expect_reference(data, false, 1, 0.98, 1);
    expect_reference(data, false, 1, 1, 1);
  }
}

TEST(CpuOffPolicyReturns, EqualTheReferenceWithoutABound) {
  const Sequences data({40, 3, 0, 25, 8}, 0.8, 0.3, 4);
  expect_reference(data, false, 0.99, 0.95, unbounded);
  expect_reference(data, false, 0.99, 0.95, 2);
}

// Ratios beyond what a double holds, on both sides: bounds hold, and a difference of 0 stays 0.
TEST(CpuOffPolicyReturns, ExtremeRatiosNeverMakeNaN) {
  Sequences data({64, 9}, 1, 1, 5);
  for (std::size_t t = 0; t < data.tokens(); ++t) {
    data.log_ratios.single[t] = t % 3 == 0 ? 2000.0f : t % 3 == 1 ? -2000.0f : 0.0f;
    data.log_ratios.dual[t] = data.log_ratios.single[t];
  }
  expect_reference(data, false, 1, 1, 1);
  expect_reference(data, false, 0.9, 1, 1);  // by blocks in f32
  for (Array* array : {&data.rewards, &data.values, &data.action_values, &data.bootstrap}) {
    for (float& value : array->single) value = 0;
    for (double& value : array->dual) value = 0;
  }
  for (std::size_t t = 0; t < data.tokens(); ++t) data.log_ratios.single[t] = data.log_ratios.dual[t] = 2000;
  expect_reference(data, false, 1, 1, unbounded);
}

// Enough tokens to be written past the caches, by several threads; rows end at every alignment.
TEST(CpuOffPolicyReturns, LargeBatchesHaveTheSameBitsWhateverTheThreads) {
  std::vector<int> many;
  for (int i = 0; many.size() < 1060; ++i) many.push_back(i % 3 == 0 ? 4096 : 3900 + i % 17);
  const Sequences data(many, 1, 0.1, 6);
  ASSERT_GT(data.tokens(), std::size_t{4} << 20);
  const auto batch = data.batch<float>(false);
  const VtraceRule rule{0.99, 0.95, 1, 1, 1};
  const int before = threads();
  std::vector<std::vector<float>> results;
  for (const int count : {1, 2, 4}) {
    set_threads(count);
    results.push_back(outputs<float>(data, [&](float* a, float* b) { vtrace(rule, batch, a, b); }));
  }
  set_threads(before);
  EXPECT_EQ(results[1], results[0]);
  EXPECT_EQ(results[2], results[0]);
  const auto dual = data.batch<double>(false);
  expect_close(results[0],
               outputs<double>(data, [&](double* a, double* b) { reference::vtrace(rule, dual, a, b); }));
}

}  // namespace
}  // namespace adjudge::rl
