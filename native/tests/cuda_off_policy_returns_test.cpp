#include "reference/off_policy_returns.h"

#include <limits>

#include "tests/cuda_launch.h"

namespace adjudge::cuda::testing {
namespace {

using namespace rl;

constexpr double unbounded = std::numeric_limits<double>::infinity();

struct Arrays {
  std::vector<float> rewards, values, action_values, log_ratios, bootstrap;
  std::vector<double> wide[5];

  Arrays(Ragged& ragged, double drift, bool masked) {
    for (auto* array : {&rewards, &values, &action_values}) *array = ragged.normal(ragged.tokens());
    log_ratios = ragged.normal(ragged.tokens(), drift);
    bootstrap = ragged.normal(ragged.rows());
    if (masked) {
      for (auto* array : {&rewards, &values, &action_values, &log_ratios}) *array = ragged.hidden(*array);
    }
    widen();
  }
  void widen() {
    int place = 0;
    for (const auto* array : {&rewards, &values, &action_values, &log_ratios, &bootstrap})
      wide[place++] = widened(*array);
  }
};

// call<Float>(batch, first, second) with the reference; enqueue_call(batch, first, second, launch).
template <typename Reference, typename Kernel>
void compare(const Ragged& ragged, const Arrays& data, bool masked, bool own_policy, int outputs,
             Reference&& reference, Kernel&& kernel) {
  const std::uint8_t* mask = masked ? ragged.mask.data() : nullptr;
  const ReturnsBatch<double> wide{data.wide[0].data(),
                                  data.wide[1].data(),
                                  data.wide[2].data(),
                                  own_policy ? nullptr : data.wide[3].data(),
                                  ragged.cu_seqlens.data(),
                                  ragged.rows(),
                                  mask,
                                  data.wide[4].data()};
  const ReturnsBatch<float> batch{data.rewards.data(),
                                  data.values.data(),
                                  data.action_values.data(),
                                  own_policy ? nullptr : data.log_ratios.data(),
                                  ragged.cu_seqlens.data(),
                                  ragged.rows(),
                                  mask,
                                  data.bootstrap.data()};
  const std::size_t other = outputs == 2 ? ragged.tokens() : 0;
  std::vector<double> expected(ragged.tokens()), expected_second(other);
  reference(wide, expected.data(), expected_second.data());
  in_every_order([&](int threads) {
    std::vector<float> first(ragged.tokens(), -7.0f), second(other, -7.0f);
    enqueue(threads, [&](Launch& launch) { return kernel(batch, first.data(), second.data(), launch); });
    expect_close(first, expected);
    expect_close(second, expected_second);
    Bits bits;
    bits.add(first);
    bits.add(second);
    return bits;
  });
}

void compare_all(Ragged& ragged, const Arrays& data, bool masked, bool own_policy, double gamma,
                 double lambda, double clip) {
  const auto tokens = static_cast<std::int64_t>(ragged.tokens());
  const Kernels& kernels = *adjudge_cuda_kernels();
  const VtraceRule trace{gamma, lambda, clip, clip, 1.5};
  compare(
      ragged, data, masked, own_policy, 2,
      [&](const auto& batch, double* a, double* b) { reference::vtrace(trace, batch, a, b); },
      [&](const auto& batch, float* a, float* b, Launch& launch) {
        return kernels.vtrace(trace, batch, tokens, a, b, launch);
      });
  const RetraceRule cut{gamma, lambda, clip};
  compare(
      ragged, data, masked, own_policy, 1,
      [&](const auto& batch, double* a, double*) { reference::retrace(cut, batch, a); },
      [&](const auto& batch, float* a, float*, Launch& launch) {
        return kernels.retrace(cut, batch, tokens, a, launch);
      });
  const UpgoRule up{gamma, clip};
  compare(
      ragged, data, masked, own_policy, 2,
      [&](const auto& batch, double* a, double* b) { reference::upgo(up, batch, a, b); },
      [&](const auto& batch, float* a, float* b, Launch& launch) {
        return kernels.upgo(up, batch, tokens, a, b, launch);
      });
}

TEST(CudaOffPolicyReturns, RaggedRowsAreTheReference) {
  Ragged ragged({0, 1, 3, 127, 0, 129, 515, 2, 31, 0});
  const Arrays data(ragged, 0.4, false);
  compare_all(ragged, data, false, false, 0.99, 0.95, 1);
  compare_all(ragged, data, false, true, 1, 1, 1);
}

TEST(CudaOffPolicyReturns, MaskedTokensMayBeNaN) {
  Ragged ragged({5, 0, 130, 64, 1, 400, 33});
  // A row without a counted token, and one that ends in many masked ones.
  for (std::int32_t t = ragged.cu_seqlens[3]; t < ragged.cu_seqlens[4]; ++t)
    ragged.mask[static_cast<std::size_t>(t)] = 0;
  for (std::int32_t t = ragged.cu_seqlens[6] - 300; t < ragged.cu_seqlens[6]; ++t) {
    ragged.mask[static_cast<std::size_t>(t)] = 0;
  }
  const Arrays data(ragged, 0.02, true);
  compare_all(ragged, data, true, false, 0.99, 0.97, 1);
}

TEST(CudaOffPolicyReturns, RatiosWithoutABoundAndBeyondEveryNumber) {
  Ragged ragged({40, 3, 25});
  compare_all(ragged, Arrays(ragged, 0.3, false), false, false, 0.99, 0.95, unbounded);
  Ragged whole({150, 9});
  Arrays still(whole, 0.3, false);
  for (auto* array : {&still.rewards, &still.values, &still.action_values, &still.bootstrap}) {
    for (float& value : *array) value = 0;
  }
  for (float& log_ratio : still.log_ratios) log_ratio = 2000;
  still.widen();
  compare_all(whole, still, false, false, 1, 1, unbounded);
}

TEST(CudaOffPolicyReturns, LongRowsKeepTheirDigits) {
  Ragged ragged({8192});
  compare_all(ragged, Arrays(ragged, 0.002, false), false, false, 1, 1, 1);
}

}  // namespace
}  // namespace adjudge::cuda::testing
