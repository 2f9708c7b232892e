// Register tiles for AVX-512. Everything but the table is local to this file.
#include <immintrin.h>

#include "native/cpu/gemm_kernels.h"
#include "native/cpu/pack_avx512.h"
#include "native/cpu/tile_avx512.h"

namespace adjudge {
namespace {

struct Float32Step {
  template <int rows>
  static inline __attribute__((always_inline)) void run(const float* a, const float* panel,
                                                        __m512 (&sum)[rows][2]) {
    const __m512 low = _mm512_loadu_ps(panel);
    const __m512 high = _mm512_loadu_ps(panel + 16);
#pragma GCC unroll 12
    for (int i = 0; i < rows; ++i) {
      const __m512 factor = _mm512_set1_ps(a[i]);
      sum[i][0] = _mm512_fmadd_ps(factor, low, sum[i][0]);
      sum[i][1] = _mm512_fmadd_ps(factor, high, sum[i][1]);
    }
  }
};

// Two depths, made f32 by a shift (even) or a mask (odd): for processors with AVX-512 and no BF16.
struct Bfloat16Step {
  template <int rows>
  static inline __attribute__((always_inline)) void run(const uint32_t* a, const uint32_t* panel,
                                                        __m512 (&sum)[rows][2]) {
    const __m512i low = _mm512_loadu_si512(panel);
    const __m512i high = _mm512_loadu_si512(panel + 16);
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
  }
};

}  // namespace

const GemmKernels gemm_avx512 = {width,
                                 12,
                                 {tile<Float32Step, float>, pack_depth<float>, pack_width<float>},
                                 {tile<Bfloat16Step, uint32_t>, pack_depth<uint32_t>, pack_width<uint32_t>}};

}  // namespace adjudge
