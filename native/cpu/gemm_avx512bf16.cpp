// The bfloat16 register tile for processors that multiply pairs of bfloat16 and add them up in f32
// themselves. Subnormal factors and sums count as 0 there.
#include <immintrin.h>

#include "native/cpu/gemm_kernels.h"
#include "native/cpu/tile_avx512.h"

namespace adjudge {
namespace {

struct PairStep {
  template <int rows>
  static inline __attribute__((always_inline)) void run(const uint32_t* a, const uint32_t* panel,
                                                        __m512 (&sum)[rows][2]) {
    const __m512i low = _mm512_loadu_si512(panel);
    const __m512i high = _mm512_loadu_si512(panel + 16);
#pragma GCC unroll 12
    for (int i = 0; i < rows; ++i) {
      const __m512bh pair = (__m512bh)_mm512_set1_epi32(static_cast<int>(a[i]));
      sum[i][0] = _mm512_dpbf16_ps(sum[i][0], pair, (__m512bh)low);
      sum[i][1] = _mm512_dpbf16_ps(sum[i][1], pair, (__m512bh)high);
    }
  }
};

}  // namespace

const Tile<uint32_t> bfloat16_tile_avx512bf16 = tile<PairStep, uint32_t>;

}  // namespace adjudge
