// Register tiles of 6 rows by 16 columns: 12 accumulators, two loads and one broadcast per depth step fill
// the 16 registers. Compiled for AVX2 and FMA: everything but the table is local to this file.
#include <immintrin.h>

#include "native/cpu/gemm_kernels.h"
#include "native/cpu/pack_avx.h"

namespace adjudge {
namespace {

constexpr int width = 16;

template <int rows>
void tile_rows(int64_t depth, const float* a, const float* panel, float* c, int64_t ldc, bool resume,
               bool accumulate) {
  __m256 sum[rows][2];
#pragma GCC unroll 6
  for (int i = 0; i < rows; ++i) {
    sum[i][0] = resume ? _mm256_loadu_ps(c + i * ldc) : _mm256_setzero_ps();
    sum[i][1] = resume ? _mm256_loadu_ps(c + i * ldc + 8) : _mm256_setzero_ps();
  }
#pragma GCC unroll 4
  for (int64_t p = 0; p < depth; ++p) {
    const __m256 low = _mm256_loadu_ps(panel);
    const __m256 high = _mm256_loadu_ps(panel + 8);
    _mm_prefetch(reinterpret_cast<const char*>(panel) + 1024, _MM_HINT_T0);
#pragma GCC unroll 6
    for (int i = 0; i < rows; ++i) {
      const __m256 factor = _mm256_broadcast_ss(a + i);
      sum[i][0] = _mm256_fmadd_ps(factor, low, sum[i][0]);
      sum[i][1] = _mm256_fmadd_ps(factor, high, sum[i][1]);
    }
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

void tile(int64_t rows, int64_t depth, const float* a, const float* panel, float* c, int64_t ldc, bool resume,
          bool accumulate) {
  switch (rows) {
    case 1:
      return tile_rows<1>(depth, a, panel, c, ldc, resume, accumulate);
    case 2:
      return tile_rows<2>(depth, a, panel, c, ldc, resume, accumulate);
    case 3:
      return tile_rows<3>(depth, a, panel, c, ldc, resume, accumulate);
    case 4:
      return tile_rows<4>(depth, a, panel, c, ldc, resume, accumulate);
    case 5:
      return tile_rows<5>(depth, a, panel, c, ldc, resume, accumulate);
    default:
      return tile_rows<6>(depth, a, panel, c, ldc, resume, accumulate);
  }
}

__m256i load_words(const uint32_t* words) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(words));
}

// Two depths per step: a bfloat16 becomes f32 by a shift (even) or a mask (odd). Evens first, then odds, so
// that 12 accumulators, two columns, one factor and the mask fit the registers.
template <int rows>
void bfloat16_tile_rows(int64_t depth, const uint32_t* a, const uint32_t* panel, float* c, int64_t ldc,
                        bool resume, bool accumulate) {
  const __m256 odd_half = _mm256_castsi256_ps(_mm256_set1_epi32(static_cast<int>(0xffff0000u)));
  __m256 sum[rows][2];
#pragma GCC unroll 6
  for (int i = 0; i < rows; ++i) {
    sum[i][0] = resume ? _mm256_loadu_ps(c + i * ldc) : _mm256_setzero_ps();
    sum[i][1] = resume ? _mm256_loadu_ps(c + i * ldc + 8) : _mm256_setzero_ps();
  }
  for (int64_t p = 0; p < depth; ++p) {
    const __m256 even_low = _mm256_castsi256_ps(_mm256_slli_epi32(load_words(panel), 16));
    const __m256 even_high = _mm256_castsi256_ps(_mm256_slli_epi32(load_words(panel + 8), 16));
    _mm_prefetch(reinterpret_cast<const char*>(panel) + 1024, _MM_HINT_T0);
#pragma GCC unroll 6
    for (int i = 0; i < rows; ++i) {
      const __m256 factor =
          _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_set1_epi32(static_cast<int>(a[i])), 16));
      sum[i][0] = _mm256_fmadd_ps(factor, even_low, sum[i][0]);
      sum[i][1] = _mm256_fmadd_ps(factor, even_high, sum[i][1]);
    }
    // Hides that it is the same memory: loaded again, for there is no register to keep it in.
    __asm__("" : "+r"(panel), "+r"(a));
    const __m256 odd_low = _mm256_and_ps(_mm256_castsi256_ps(load_words(panel)), odd_half);
    const __m256 odd_high = _mm256_and_ps(_mm256_castsi256_ps(load_words(panel + 8)), odd_half);
#pragma GCC unroll 6
    for (int i = 0; i < rows; ++i) {
      const __m256 factor =
          _mm256_and_ps(_mm256_castsi256_ps(_mm256_set1_epi32(static_cast<int>(a[i]))), odd_half);
      sum[i][0] = _mm256_fmadd_ps(factor, odd_low, sum[i][0]);
      sum[i][1] = _mm256_fmadd_ps(factor, odd_high, sum[i][1]);
    }
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

void bfloat16_tile(int64_t rows, int64_t depth, const uint32_t* a, const uint32_t* panel, float* c,
                   int64_t ldc, bool resume, bool accumulate) {
  switch (rows) {
    case 1:
      return bfloat16_tile_rows<1>(depth, a, panel, c, ldc, resume, accumulate);
    case 2:
      return bfloat16_tile_rows<2>(depth, a, panel, c, ldc, resume, accumulate);
    case 3:
      return bfloat16_tile_rows<3>(depth, a, panel, c, ldc, resume, accumulate);
    case 4:
      return bfloat16_tile_rows<4>(depth, a, panel, c, ldc, resume, accumulate);
    case 5:
      return bfloat16_tile_rows<5>(depth, a, panel, c, ldc, resume, accumulate);
    default:
      return bfloat16_tile_rows<6>(depth, a, panel, c, ldc, resume, accumulate);
  }
}

}  // namespace

const GemmKernels gemm_avx2 = {width,
                               6,
                               {tile, pack_depth<float>, pack_width<float>},
                               {bfloat16_tile, pack_depth<uint32_t>, pack_width<uint32_t>}};

}  // namespace adjudge
