// The frame of the AVX-512 register tiles: 12 rows by 32 columns, whose 24 accumulators with two loads and
// one broadcast fit the 32 registers. A Step multiplies one packed element's depths:
//   template <int rows> static void run(const Element* a, const Element* panel, __m512 (&sum)[rows][2]);
// Static, for the same reason as vector8.h: it is compiled once per instruction set.
#pragma once
#include <immintrin.h>

#include <cstdint>

#include "native/cpu/gemm_kernels.h"

namespace adjudge {
namespace {

constexpr int width = 32;

template <int rows, class Step, class Element>
void tile_rows(int64_t depth, const Element* a, const Element* panel, float* c, int64_t ldc, bool resume,
               bool accumulate, Ahead ahead) {
  __m512 sum[rows][2];
  // C is wanted at the end: its rows lie far apart, and come while the depths are added up.
#pragma GCC unroll 12
  for (int i = 0; i < rows; ++i) {
    _mm_prefetch(reinterpret_cast<const char*>(c + i * ldc), _MM_HINT_T0);
    _mm_prefetch(reinterpret_cast<const char*>(c + i * ldc + 16), _MM_HINT_T0);
  }
#pragma GCC unroll 12
  for (int i = 0; i < rows; ++i) {
    sum[i][0] = resume ? _mm512_loadu_ps(c + i * ldc) : _mm512_setzero_ps();
    sum[i][1] = resume ? _mm512_loadu_ps(c + i * ldc + 16) : _mm512_setzero_ps();
  }
#pragma GCC unroll 4
  for (int64_t p = 0; p < depth; ++p) {
    _mm_prefetch(reinterpret_cast<const char*>(panel) + 2048, _MM_HINT_T0);
    _mm_prefetch(ahead.next, _MM_HINT_T1);
    ahead.next += ahead.step;
    Step::template run<rows>(a, panel, sum);
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

// The tile of a GemmKernels table: `rows` from 1 to 12.
template <class Step, class Element, int most = 12>
void tile(int64_t rows, int64_t depth, const Element* a, const Element* panel, float* c, int64_t ldc,
          bool resume, bool accumulate, Ahead ahead) {
  if constexpr (most > 1) {
    if (rows < most)
      return tile<Step, Element, most - 1>(rows, depth, a, panel, c, ldc, resume, accumulate, ahead);
  }
  tile_rows<most, Step>(depth, a, panel, c, ldc, resume, accumulate, ahead);
}

}  // namespace
}  // namespace adjudge
