// The matrix product: right for every remainder, and the same bits for a row whatever shares its batch.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <type_traits>
#include <vector>

#include "native/core/half.h"
#include "native/core/thread_pool.h"
#include "native/cpu/gemm.h"
#include "native/reference/math.h"

namespace adjudge {
namespace {

std::vector<float> random_floats(int64_t count, unsigned seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) value = normal(generator);
  return values;
}

// Padding that is left unwritten would show: it begins as NaN.
template <class Element>
std::vector<Element> packed(const std::vector<float>& b, int64_t column_stride, int64_t depth_stride,
                            int64_t n, int64_t k) {
  constexpr bool words = std::is_same_v<Element, uint32_t>;
  std::vector<Element> result(words ? packed_words(n, k) : packed_floats(n, k),
                              words ? static_cast<Element>(0xffffffffu) : static_cast<Element>(NAN));
  pack(b.data(), column_stride, depth_stride, n, k, result.data());
  return result;
}

std::vector<float> rounded(std::vector<float> values) {
  for (float& value : values) value = bf16_to_f32(f32_to_bf16(value));
  return values;
}

struct Shape {
  int64_t m, n, k;
};

// The factors as the kernels for this element see them.
template <class Element>
std::vector<float> seen(const std::vector<float>& values) {
  return std::is_same_v<Element, uint32_t> ? rounded(values) : values;
}

template <class Element>
void expect_reference(Shape shape, bool a_transposed, bool b_transposed, Store store) {
  const auto [m, n, k] = shape;
  const int64_t ldc = n + 3;
  const auto a = random_floats(m * k, 1), b = random_floats(n * k, 2);
  auto c = random_floats(m * ldc, 3);
  auto expected = c;
  const int64_t row_stride = a_transposed ? 1 : k, depth_stride = a_transposed ? m : 1;
  const int64_t column_stride = b_transposed ? 1 : k, b_depth_stride = b_transposed ? n : 1;
  const auto b_packed = packed<Element>(b, column_stride, b_depth_stride, n, k);
  gemm(m, n, k, a.data(), row_stride, depth_stride, b_packed.data(), c.data(), ldc, store);
  reference::gemm(m, n, k, seen<Element>(a).data(), row_stride, depth_stride, seen<Element>(b).data(),
                  column_stride, b_depth_stride, expected.data(), ldc, store == Store::add);
  const float tolerance = 2e-6f * std::sqrt(static_cast<float>(k + 1)) * 4.0f;
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j < ldc; ++j) {
      const float got = c[i * ldc + j], want = expected[i * ldc + j];
      if (j < n) {
        ASSERT_NEAR(got, want, tolerance) << "row " << i << ", column " << j;
      } else {
        ASSERT_EQ(got, want) << "wrote past the row's end";
      }
    }
  }
}

class CpuGemm : public testing::TestWithParam<Shape> {};

TEST_P(CpuGemm, AgreesWithTheReferenceInEveryLayout) {
  for (const bool a_transposed : {false, true})
    for (const bool b_transposed : {false, true})
      for (const Store store : {Store::assign, Store::add}) {
        expect_reference<float>(GetParam(), a_transposed, b_transposed, store);
        expect_reference<uint32_t>(GetParam(), a_transposed, b_transposed, store);
      }
}

INSTANTIATE_TEST_SUITE_P(Shapes, CpuGemm,
                         testing::Values(Shape{1, 1, 1}, Shape{1, 16, 8}, Shape{2, 17, 5}, Shape{3, 33, 31},
                                         Shape{5, 31, 256}, Shape{6, 64, 257}, Shape{7, 15, 600},
                                         Shape{11, 40, 64}, Shape{13, 70, 513}, Shape{25, 65, 300},
                                         Shape{97, 130, 259}, Shape{200, 47, 40}, Shape{4, 5, 0},
                                         Shape{24, 1100, 3}, Shape{14, 45, 1101}));

template <class Element>
void expect_rows_alone(int64_t k) {
  const int64_t n = 77, most = 131;
  const auto a = random_floats(most * k, 4), b = random_floats(n * k, 5), start = random_floats(most * n, 6);
  const auto b_packed = packed<Element>(b, k, 1, n, k);
  for (const Store store : {Store::assign, Store::add}) {
    auto whole = start;
    set_threads(1);
    gemm(most, n, k, a.data(), k, 1, b_packed.data(), whole.data(), n, store);
    for (const int count : {1, 2, 3}) {
      set_threads(count);
      for (const int64_t m :
           {int64_t{1}, int64_t{2}, int64_t{5}, int64_t{7}, int64_t{13}, int64_t{26}, most}) {
        const int64_t first = most - m;
        std::vector<float> part(start.begin() + first * n, start.end());
        gemm(m, n, k, a.data() + first * k, k, 1, b_packed.data(), part.data(), n, store);
        EXPECT_EQ(0, std::memcmp(part.data(), whole.data() + first * n, part.size() * sizeof(float)))
            << m << " rows, " << count << " threads";
      }
    }
  }
}

TEST(CpuGemmBits, ARowDoesNotDependOnItsBatchOrTheThreads) {
  const int before = threads();
  expect_rows_alone<float>(700);
  expect_rows_alone<uint32_t>(1301);
  set_threads(before);
}

TEST(CpuGemmBits, TheSerialProductHasTheSameBits) {
  const int64_t m = 131, n = 77, k = 700;
  const auto a = random_floats(m * k, 4), b = random_floats(n * k, 5), start = random_floats(m * n, 6);
  const auto b_packed = packed<float>(b, k, 1, n, k);
  for (const Store store : {Store::assign, Store::add}) {
    auto parallel = start, serial = start;
    gemm(m, n, k, a.data(), k, 1, b_packed.data(), parallel.data(), n, store);
    gemm_serial(m, n, k, a.data(), k, 1, b_packed.data(), serial.data(), n, store);
    EXPECT_EQ(0, std::memcmp(serial.data(), parallel.data(), parallel.size() * sizeof(float)));
  }
}

TEST(CpuGemmBits, AResumedProductHasTheBitsOfTheWhole) {
  const int64_t m = 27, n = 77, k = 700;
  const auto a = random_floats(m * k, 4), b = random_floats(n * k, 5);
  std::vector<float> whole(m * n);
  const auto b_packed = packed<float>(b, k, 1, n, k);
  gemm(m, n, k, a.data(), k, 1, b_packed.data(), whole.data(), n, Store::assign);
  for (const int64_t cut : {int64_t{1}, int64_t{79}, int64_t{513}, k}) {
    std::vector<float> parts(m * n, 0.0f);
    const auto multiply = [&](int64_t begin, int64_t depth) {
      std::vector<float> panels(packed_floats(n, depth));
      pack(b.data() + begin, k, 1, n, depth, panels.data());
      gemm_serial(m, n, depth, a.data() + begin, k, 1, panels.data(), parts.data(), n, Store::resume);
    };
    multiply(0, cut);
    multiply(cut, k - cut);
    EXPECT_EQ(0, std::memcmp(parts.data(), whole.data(), whole.size() * sizeof(float))) << "cut at " << cut;
  }
}

TEST(CpuGemmBits, RoundsToBfloat16AsTheScalarConversionDoes) {
  // One column, one depth: C = round(a) * 1, with infinities and ties.
  const std::vector<float> a = {1.0f,     1.00390625f, 1.01171875f, -3.14159274f, 3.3895314e38f,
                                INFINITY, 65280.5f,    1.0e-30f,    NAN};
  const std::vector<float> one = {1.0f};
  const auto b_packed = packed<uint32_t>(one, 1, 1, 1, 1);
  std::vector<float> c(a.size());
  gemm(static_cast<int64_t>(a.size()), 1, 1, a.data(), 1, 1, b_packed.data(), c.data(), 1, Store::assign);
  for (size_t i = 0; i + 1 < a.size(); ++i) EXPECT_EQ(c[i], bf16_to_f32(f32_to_bf16(a[i]))) << a[i];
  EXPECT_TRUE(std::isnan(c.back()));
}

TEST(CpuGemmBits, PackSerialWritesWhatPackWrites) {
  const int64_t n = 45, k = 37;
  const auto b = random_floats(n * k, 7);
  const auto parallel = packed<float>(b, k, 1, n, k);
  std::vector<float> serial(parallel.size(), NAN);
  pack_serial(b.data(), k, 1, n, k, serial.data());
  EXPECT_EQ(serial, parallel);
}

}  // namespace
}  // namespace adjudge
