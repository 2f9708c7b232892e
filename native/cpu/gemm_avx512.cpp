// Register tiles of 12 rows by 32 columns: 24 accumulators, two loads and one broadcast per depth step fit
// the 32 registers. Compiled for AVX-512: everything but the table is local to this file.
#include <immintrin.h>

#include "native/cpu/gemm_kernels.h"
#include "native/cpu/pack_avx.h"

namespace adjudge {
namespace {

constexpr int width = 32;

template <int rows>
void tile_rows(int64_t depth, const float* a, const float* panel, float* c, int64_t ldc, bool resume,
               bool accumulate) {
  __m512 sum[rows][2];
#pragma GCC unroll 12
  for (int i = 0; i < rows; ++i) {
    sum[i][0] = resume ? _mm512_loadu_ps(c + i * ldc) : _mm512_setzero_ps();
    sum[i][1] = resume ? _mm512_loadu_ps(c + i * ldc + 16) : _mm512_setzero_ps();
  }
#pragma GCC unroll 4
  for (int64_t p = 0; p < depth; ++p) {
    const __m512 low = _mm512_loadu_ps(panel);
    const __m512 high = _mm512_loadu_ps(panel + 16);
    _mm_prefetch(reinterpret_cast<const char*>(panel) + 2048, _MM_HINT_T0);
#pragma GCC unroll 12
    for (int i = 0; i < rows; ++i) {
      const __m512 factor = _mm512_set1_ps(a[i]);
      sum[i][0] = _mm512_fmadd_ps(factor, low, sum[i][0]);
      sum[i][1] = _mm512_fmadd_ps(factor, high, sum[i][1]);
    }
    panel += width;
    a += rows;
  }
#pragma GCC unroll 12
  for (int i = 0; i < rows; ++i) {
    float* row = c + i * ldc;
    if (accumulate) {
      sum[i][0] = _mm512_add_ps(_mm512_loadu_ps(row), sum[i][0]);
      sum[i][1] = _mm512_add_ps(_mm512_loadu_ps(row + 16), sum[i][1]);
    }
    _mm512_storeu_ps(row, sum[i][0]);
    _mm512_storeu_ps(row + 16, sum[i][1]);
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
    case 6:
      return tile_rows<6>(depth, a, panel, c, ldc, resume, accumulate);
    case 7:
      return tile_rows<7>(depth, a, panel, c, ldc, resume, accumulate);
    case 8:
      return tile_rows<8>(depth, a, panel, c, ldc, resume, accumulate);
    case 9:
      return tile_rows<9>(depth, a, panel, c, ldc, resume, accumulate);
    case 10:
      return tile_rows<10>(depth, a, panel, c, ldc, resume, accumulate);
    case 11:
      return tile_rows<11>(depth, a, panel, c, ldc, resume, accumulate);
    default:
      return tile_rows<12>(depth, a, panel, c, ldc, resume, accumulate);
  }
}

// Two depths per step, made f32 by a shift (even) or a mask (odd): for processors with AVX-512 and no BF16.
template <int rows>
void bfloat16_tile_rows(int64_t depth, const uint32_t* a, const uint32_t* panel, float* c, int64_t ldc,
                        bool resume, bool accumulate) {
  __m512 sum[rows][2];
#pragma GCC unroll 12
  for (int i = 0; i < rows; ++i) {
    sum[i][0] = resume ? _mm512_loadu_ps(c + i * ldc) : _mm512_setzero_ps();
    sum[i][1] = resume ? _mm512_loadu_ps(c + i * ldc + 16) : _mm512_setzero_ps();
  }
#pragma GCC unroll 2
  for (int64_t p = 0; p < depth; ++p) {
    const __m512i low = _mm512_loadu_si512(panel);
    const __m512i high = _mm512_loadu_si512(panel + 16);
    _mm_prefetch(reinterpret_cast<const char*>(panel) + 2048, _MM_HINT_T0);
    const __m512i odd_half = _mm512_set1_epi32(static_cast<int>(0xffff0000u));
    const __m512 even_low = _mm512_castsi512_ps(_mm512_slli_epi32(low, 16));
    const __m512 even_high = _mm512_castsi512_ps(_mm512_slli_epi32(high, 16));
    const __m512 odd_low = _mm512_castsi512_ps(_mm512_and_si512(low, odd_half));
    const __m512 odd_high = _mm512_castsi512_ps(_mm512_and_si512(high, odd_half));
#pragma GCC unroll 12
    for (int i = 0; i < rows; ++i) {
      const __m512i pair = _mm512_set1_epi32(static_cast<int>(a[i]));
      const __m512 even = _mm512_castsi512_ps(_mm512_slli_epi32(pair, 16));
      const __m512 odd = _mm512_castsi512_ps(_mm512_and_si512(pair, odd_half));
      sum[i][0] = _mm512_fmadd_ps(even, even_low, sum[i][0]);
      sum[i][1] = _mm512_fmadd_ps(even, even_high, sum[i][1]);
      sum[i][0] = _mm512_fmadd_ps(odd, odd_low, sum[i][0]);
      sum[i][1] = _mm512_fmadd_ps(odd, odd_high, sum[i][1]);
    }
    panel += width;
    a += rows;
  }
#pragma GCC unroll 12
  for (int i = 0; i < rows; ++i) {
    float* row = c + i * ldc;
    if (accumulate) {
      sum[i][0] = _mm512_add_ps(_mm512_loadu_ps(row), sum[i][0]);
      sum[i][1] = _mm512_add_ps(_mm512_loadu_ps(row + 16), sum[i][1]);
    }
    _mm512_storeu_ps(row, sum[i][0]);
    _mm512_storeu_ps(row + 16, sum[i][1]);
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
    case 6:
      return bfloat16_tile_rows<6>(depth, a, panel, c, ldc, resume, accumulate);
    case 7:
      return bfloat16_tile_rows<7>(depth, a, panel, c, ldc, resume, accumulate);
    case 8:
      return bfloat16_tile_rows<8>(depth, a, panel, c, ldc, resume, accumulate);
    case 9:
      return bfloat16_tile_rows<9>(depth, a, panel, c, ldc, resume, accumulate);
    case 10:
      return bfloat16_tile_rows<10>(depth, a, panel, c, ldc, resume, accumulate);
    case 11:
      return bfloat16_tile_rows<11>(depth, a, panel, c, ldc, resume, accumulate);
    default:
      return bfloat16_tile_rows<12>(depth, a, panel, c, ldc, resume, accumulate);
  }
}

}  // namespace

const GemmKernels gemm_avx512 = {width,
                                 12,
                                 {tile, pack_depth<float>, pack_width<float>},
                                 {bfloat16_tile, pack_depth<uint32_t>, pack_width<uint32_t>}};

}  // namespace adjudge
