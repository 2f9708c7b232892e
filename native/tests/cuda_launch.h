// Runs functions of the kernel table over the SIMT shim: host memory is device memory.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <random>
#include <vector>

#include "core/half.h"
#include "cuda/kernels.h"
#include "cuda/simt.h"

namespace adjudge::cuda::testing {

inline constexpr int block_sizes[] = {32, 64, 128, 256};

// Measures, brings the workspace, calls. `call(Launch&)` returns the status.
template <typename Call>
void enqueue(int threads, Call&& call) {
  Launch launch;
  launch.threads = threads;
  launch.measure = true;
  ASSERT_EQ(call(launch), 0);
  // Bytes that are a NaN as a float or a double: what a kernel reads before it is written shows.
  std::vector<unsigned char> memory(launch.workspace_bytes + 256, 0xff);
  launch.workspace = memory.data() + (256 - reinterpret_cast<std::uintptr_t>(memory.data()) % 256) % 256;
  launch.measure = false;
  ASSERT_EQ(call(launch), 0) << simt::last_error();
}

// The bits of a list of arrays, to be compared between orders of the lanes.
class Bits {
 public:
  template <typename T>
  void add(const std::vector<T>& values) {
    const auto* bytes = reinterpret_cast<const unsigned char*>(values.data());
    bytes_.insert(bytes_.end(), bytes, bytes + values.size() * sizeof(T));
  }
  template <typename T>
  void add(const T& value) {
    const auto* bytes = reinterpret_cast<const unsigned char*>(&value);
    bytes_.insert(bytes_.end(), bytes, bytes + sizeof(T));
  }
  bool operator==(const Bits&) const = default;

 private:
  std::vector<unsigned char> bytes_;
};

// For each block size: compute(threads) in each order gives the same bits. compute checks its values itself.
template <typename Compute>
void in_every_order(Compute&& compute) {
  for (const int threads : block_sizes) {
    SCOPED_TRACE("blocks of " + std::to_string(threads) + " threads");
    simt::set_order(simt::Order::forward);
    const Bits forward = compute(threads);
    simt::set_order(simt::Order::reversed);
    const Bits reversed = compute(threads);
    simt::set_order(simt::Order::shuffled);
    const Bits shuffled = compute(threads);
    simt::set_order(simt::Order::forward);
    EXPECT_TRUE(forward == reversed) << "lanes in reverse";
    EXPECT_TRUE(forward == shuffled) << "lanes shuffled";
    if (::testing::Test::HasFailure()) return;
  }
}

inline void expect_close(const std::vector<float>& values, const std::vector<double>& expected,
                         double tolerance = 1e-5) {
  ASSERT_EQ(values.size(), expected.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    ASSERT_NEAR(values[i], expected[i], tolerance * (1 + std::abs(expected[i]))) << "at " << i;
  }
}

inline std::vector<double> widened(const std::vector<float>& values) {
  return {values.begin(), values.end()};
}

// As bfloat16.
inline std::vector<std::uint16_t> halved(const std::vector<float>& values) {
  std::vector<std::uint16_t> result;
  for (const float value : values) result.push_back(f32_to_bf16(value));
  return result;
}

// A ragged batch; rows of no token, of one, and longer ones.
struct Ragged {
  std::vector<std::int32_t> cu_seqlens{0};
  std::vector<std::uint8_t> mask;
  std::mt19937 random;

  explicit Ragged(const std::vector<int>& lengths, unsigned seed = 1) : random(seed) {
    for (const int length : lengths) cu_seqlens.push_back(cu_seqlens.back() + length);
    for (std::size_t t = 0; t < tokens(); ++t) mask.push_back(random() % 4 != 0);
  }
  std::size_t rows() const { return cu_seqlens.size() - 1; }
  std::size_t tokens() const { return static_cast<std::size_t>(cu_seqlens.back()); }

  std::vector<float> normal(std::size_t count, double deviation = 1, double mean = 0) {
    std::normal_distribution<double> distribution(mean, deviation);
    std::vector<float> values(count);
    for (float& value : values) value = static_cast<float>(distribution(random));
    return values;
  }
  // NaN where the mask is 0.
  std::vector<float> hidden(std::vector<float> values) const {
    for (std::size_t t = 0; t < values.size(); ++t) {
      if (!mask[t]) values[t] = std::nanf("");
    }
    return values;
  }
};

}  // namespace adjudge::cuda::testing
