// What the group advantages need of vectors beside native_vectors.h.
#pragma once
#include "native/cpu/native_vectors.h"

namespace adjudge {
namespace {

typedef int64_t DoublesMask __attribute__((vector_size(single_lanes * 4)));
// Groups of eight are common, and whole ones can be written in place.
constexpr int64_t row_lanes = single_lanes < 8 ? single_lanes : 8;
typedef float Row __attribute__((vector_size(row_lanes * 4)));

ADJUDGE_INLINE Singles root(const Singles& x) {
#if defined(__AVX512F__)
  return (Singles)_mm512_sqrt_ps((__m512)x);
#elif defined(__AVX2__)
  return (Singles)_mm256_sqrt_ps((__m256)x);
#elif defined(__SSE2__)
  return (Singles)_mm_sqrt_ps((__m128)x);
#else
  Singles result;
  for (int64_t i = 0; i < single_lanes; ++i) result[i] = __builtin_sqrtf(x[i]);
  return result;
#endif
}

ADJUDGE_INLINE uint32_t bits_of(const DoublesMask& mask) {
#if defined(__AVX512F__)
  return _mm512_movepi64_mask((__m512i)mask);
#elif defined(__AVX2__)
  return static_cast<uint32_t>(_mm256_movemask_pd((__m256d)mask));
#elif defined(__SSE2__)
  return static_cast<uint32_t>(_mm_movemask_pd((__m128d)mask));
#else
  uint32_t bits = 0;
  for (int64_t i = 0; i < double_lanes; ++i) bits |= static_cast<uint32_t>(mask[i] & 1) << i;
  return bits;
#endif
}

// Lanes outside [low, high], those that hold no number included.
ADJUDGE_INLINE uint32_t lanes_outside(const Singles& x, float low, float high) {
#if defined(__AVX512F__)
  return static_cast<uint32_t>(_mm512_cmp_ps_mask((__m512)x, _mm512_set1_ps(low), _CMP_NGE_UQ) |
                               _mm512_cmp_ps_mask((__m512)x, _mm512_set1_ps(high), _CMP_NLE_UQ));
#elif defined(__SSE2__)
  const auto inside = (x >= low) & (x <= high);
#if defined(__AVX2__)
  return static_cast<uint32_t>(_mm256_movemask_ps((__m256)inside)) ^ 0xffu;
#else
  return static_cast<uint32_t>(_mm_movemask_ps((__m128)inside)) ^ 0xfu;
#endif
#else
  uint32_t bits = 0;
  for (int64_t i = 0; i < single_lanes; ++i) bits |= !(x[i] >= low && x[i] <= high) ? 1u << i : 0u;
  return bits;
#endif
}

// The sum of each of double_lanes vectors, lane by lane of the result: neighbours first.
ADJUDGE_INLINE Doubles sums_of(const Doubles (&x)[double_lanes]) {
#if defined(__AVX512F__)
  __m512d pair[4], quad[2];
  for (int i = 0; i < 4; ++i) {
    const __m512d a = (__m512d)x[2 * i], b = (__m512d)x[2 * i + 1];
    pair[i] = _mm512_add_pd(_mm512_unpacklo_pd(a, b), _mm512_unpackhi_pd(a, b));
  }
  const auto folded = [](__m512d a, __m512d b) {
    return _mm512_add_pd(_mm512_shuffle_f64x2(a, b, 0x88), _mm512_shuffle_f64x2(a, b, 0xdd));
  };
  for (int i = 0; i < 2; ++i) quad[i] = folded(pair[2 * i], pair[2 * i + 1]);
  return (Doubles)folded(quad[0], quad[1]);
#elif defined(__AVX2__)
  const __m256d low = _mm256_hadd_pd((__m256d)x[0], (__m256d)x[1]);
  const __m256d high = _mm256_hadd_pd((__m256d)x[2], (__m256d)x[3]);
  return (Doubles)_mm256_add_pd(_mm256_permute2f128_pd(low, high, 0x20),
                                _mm256_permute2f128_pd(low, high, 0x31));
#else
  return Doubles{x[0][0] + x[0][1], x[1][0] + x[1][1]};
#endif
}

// x - first in the first `left` lanes, else 0.
ADJUDGE_INLINE Doubles first_distances(const Doubles& x, double first, int32_t left) {
#if defined(__AVX512F__)
  const __m256i index = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  const __mmask8 own = _mm256_cmplt_epi32_mask(index, _mm256_set1_epi32(left));
  return (Doubles)_mm512_maskz_sub_pd(own, (__m512d)x, _mm512_set1_pd(first));
#else
#if defined(__AVX2__)
  const DoublesMask index = {0, 1, 2, 3};
#else
  const DoublesMask index = {0, 1};
#endif
  return (Doubles)((DoublesMask)(x - first) & (index < static_cast<int64_t>(left)));
#endif
}

}  // namespace
}  // namespace adjudge
