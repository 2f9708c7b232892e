// The bfloat16 register tile for processors that multiply pairs of bfloat16 and add them up in f32
// themselves: 12 rows by 32 columns, as gemm_avx512.cpp. Subnormal factors and sums count as 0 there.
#include <immintrin.h>

#include "native/cpu/gemm_kernels.h"

namespace adjudge {
namespace {

constexpr int width = 32;

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
#pragma GCC unroll 12
    for (int i = 0; i < rows; ++i) {
      const __m512bh pair = (__m512bh)_mm512_set1_epi32(static_cast<int>(a[i]));
      sum[i][0] = _mm512_dpbf16_ps(sum[i][0], pair, (__m512bh)low);
      sum[i][1] = _mm512_dpbf16_ps(sum[i][1], pair, (__m512bh)high);
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

const Tile<uint32_t> bfloat16_tile_avx512bf16 = bfloat16_tile;

}  // namespace adjudge
