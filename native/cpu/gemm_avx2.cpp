// Register tiles of 6 rows by 16 columns for AVX2 and FMA: 12 accumulators, two loads and one broadcast fill
// the 16 registers. Everything but the table is local to this file.
#include <immintrin.h>

#include "native/cpu/gemm_kernels.h"
#include "native/cpu/pack_avx.h"

namespace adjudge {
namespace {

constexpr int width = 16;

// Adds factor(i) times the two columns to each row's sums.
template <int rows, class Factor>
inline __attribute__((always_inline)) void multiply(__m256 low, __m256 high, const Factor& factor,
                                                    __m256 (&sum)[rows][2]) {
#pragma GCC unroll 6
  for (int i = 0; i < rows; ++i) {
    const __m256 value = factor(i);
    sum[i][0] = _mm256_fmadd_ps(value, low, sum[i][0]);
    sum[i][1] = _mm256_fmadd_ps(value, high, sum[i][1]);
  }
}

template <int rows>
inline __attribute__((always_inline)) void step(const float* a, const float* panel, __m256 (&sum)[rows][2]) {
  multiply<rows>(
      _mm256_loadu_ps(panel), _mm256_loadu_ps(panel + 8), [&](int i) { return _mm256_broadcast_ss(a + i); },
      sum);
}

inline __attribute__((always_inline)) __m256 load_words(const uint32_t* words) {
  return _mm256_castsi256_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(words)));
}

// Two depths: a bfloat16 becomes f32 by a shift (even) or a mask (odd). Evens first, then odds, so that
// accumulators, two columns, one factor and the mask fit the registers.
template <int rows>
inline __attribute__((always_inline)) void step(const uint32_t* a, const uint32_t* panel,
                                                __m256 (&sum)[rows][2]) {
  const auto even = [](__m256 words) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(words), 16));
  };
  const __m256 odd_half = _mm256_castsi256_ps(_mm256_set1_epi32(static_cast<int>(0xffff0000u)));
  const auto odd = [&](__m256 words) { return _mm256_and_ps(words, odd_half); };
  const auto pair = [&](int i) { return _mm256_castsi256_ps(_mm256_set1_epi32(static_cast<int>(a[i]))); };
  multiply<rows>(
      even(load_words(panel)), even(load_words(panel + 8)), [&](int i) { return even(pair(i)); }, sum);
  // Hides that it is the same memory: loaded again, for there is no register to keep it in.
  __asm__("" : "+r"(panel), "+r"(a));
  multiply<rows>(
      odd(load_words(panel)), odd(load_words(panel + 8)), [&](int i) { return odd(pair(i)); }, sum);
}

template <int rows, class Element>
void tile_rows(int64_t depth, const Element* a, const Element* panel, float* c, int64_t ldc, bool resume,
               bool accumulate, Ahead ahead) {
  __m256 sum[rows][2];
#pragma GCC unroll 6
  for (int i = 0; i < rows; ++i) {
    sum[i][0] = resume ? _mm256_loadu_ps(c + i * ldc) : _mm256_setzero_ps();
    sum[i][1] = resume ? _mm256_loadu_ps(c + i * ldc + 8) : _mm256_setzero_ps();
  }
#pragma GCC unroll 4
  for (int64_t p = 0; p < depth; ++p) {
    _mm_prefetch(reinterpret_cast<const char*>(panel) + 1024, _MM_HINT_T0);
    _mm_prefetch(ahead.next, _MM_HINT_T1);
    ahead.next += ahead.step;
    step<rows>(a, panel, sum);
    panel += width;
    a += rows;
  }
#pragma GCC unroll 6
  for (int i = 0; i < rows; ++i) {
    float* row = c + i * ldc;
    if (accumulate) {
      sum[i][0] = _mm256_add_ps(_mm256_loadu_ps(row), sum[i][0]);
      sum[i][1] = _mm256_add_ps(_mm256_loadu_ps(row + 8), sum[i][1]);
    }
    _mm256_storeu_ps(row, sum[i][0]);
    _mm256_storeu_ps(row + 8, sum[i][1]);
  }
}

// `rows` from 1 to 6.
template <class Element, int most = 6>
void tile(int64_t rows, int64_t depth, const Element* a, const Element* panel, float* c, int64_t ldc,
          bool resume, bool accumulate, Ahead ahead) {
  if constexpr (most > 1) {
    if (rows < most) return tile<Element, most - 1>(rows, depth, a, panel, c, ldc, resume, accumulate, ahead);
  }
  tile_rows<most>(depth, a, panel, c, ldc, resume, accumulate, ahead);
}

}  // namespace

const GemmKernels gemm_avx2 = {width,
                               6,
                               {tile<float>, pack_depth<float>, pack_width<float>},
                               {tile<uint32_t>, pack_depth<uint32_t>, pack_width<uint32_t>}};

}  // namespace adjudge
