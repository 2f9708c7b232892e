// What the group advantages need of vectors beside native_vectors.h.
#pragma once
#include "native/cpu/native_vectors.h"

namespace adjudge {
namespace {

typedef int64_t DoublesMask __attribute__((vector_size(single_lanes * 4)));
// Groups of eight are common, and whole ones can be written in place.
constexpr int64_t row_lanes = single_lanes < 8 ? single_lanes : 8;
typedef float Row __attribute__((vector_size(row_lanes * 4)));

typedef int32_t Integers __attribute__((vector_size(single_lanes * 4)));
#if defined(__AVX512F__)
constexpr Integers lane_index = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
#elif defined(__AVX2__)
constexpr Integers lane_index = {0, 1, 2, 3, 4, 5, 6, 7};
#else
constexpr Integers lane_index = {0, 1, 2, 3};
#endif

ADJUDGE_INLINE uint32_t zero_lanes(const Integers& x) {
#if defined(__AVX512F__)
  return _mm512_testn_epi32_mask((__m512i)x, (__m512i)x);
#elif defined(__AVX2__)
  return static_cast<uint32_t>(_mm256_movemask_ps((__m256)(x == 0)));
#elif defined(__SSE2__)
  return static_cast<uint32_t>(_mm_movemask_ps((__m128)(x == 0)));
#else
  uint32_t bits = 0;
  for (int64_t i = 0; i < single_lanes; ++i) bits |= x[i] == 0 ? 1u << i : 0u;
  return bits;
#endif
}

constexpr uint32_t every_lane = (1u << single_lanes) - 1;

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

// The sum of each of double_lanes vectors, lane by lane of the result. A blend and a shuffle a step: blends
// are what the processor has most of.
ADJUDGE_INLINE Doubles sums_of(const Doubles (&x)[double_lanes]) {
#if defined(__AVX512F__)
  const auto neighbours = [](const Doubles& a, const Doubles& b) {
    return _mm512_add_pd(_mm512_mask_blend_pd(0xaa, (__m512d)a, (__m512d)b),
                         _mm512_shuffle_pd((__m512d)a, (__m512d)b, 0x55));
  };
  const auto halves = [](__m512d a, __m512d b) {
    return _mm512_add_pd(_mm512_mask_blend_pd(0xf0, a, b), _mm512_shuffle_f64x2(a, b, 0x4e));
  };
  const auto quarters = [](__m512d a, __m512d b) {
    const __m512d other = _mm512_mask_blend_pd(0xcc, b, a);
    return _mm512_add_pd(_mm512_mask_blend_pd(0xcc, a, b), _mm512_shuffle_f64x2(other, other, 0xb1));
  };
  const __m512d x01 = neighbours(x[0], x[1]), x23 = neighbours(x[2], x[3]);
  const __m512d x45 = neighbours(x[4], x[5]), x67 = neighbours(x[6], x[7]);
  return (Doubles)quarters(halves(x01, x45), halves(x23, x67));
#elif defined(__AVX2__)
  const auto neighbours = [](const Doubles& a, const Doubles& b) {
    return _mm256_add_pd(_mm256_blend_pd((__m256d)a, (__m256d)b, 0xa),
                         _mm256_shuffle_pd((__m256d)a, (__m256d)b, 0x5));
  };
  const __m256d x01 = neighbours(x[0], x[1]), x23 = neighbours(x[2], x[3]);
  return (Doubles)_mm256_add_pd(_mm256_blend_pd(x01, x23, 0xc), _mm256_permute2f128_pd(x01, x23, 0x21));
#else
  return Doubles{x[0][0] + x[0][1], x[1][0] + x[1][1]};
#endif
}

#if defined(__AVX512F__)
// The members of eight rows of eight side by side: lane r of members[i] is member i of row r.
ADJUDGE_INLINE void load_eight_rows(const float* rows, HalfSingles (&members)[8]) {
  __m256 whole[8];
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    const float* low = rows + i * 8;
    const float* high = low + 32;
    whole[i] = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(low)), _mm_loadu_ps(high), 1);
    whole[i + 4] =
        _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(low + 4)), _mm_loadu_ps(high + 4), 1);
  }
#pragma GCC unroll 2
  for (int i = 0; i < 8; i += 4) {
    const __m256 low01 = _mm256_unpacklo_ps(whole[i], whole[i + 1]);
    const __m256 high01 = _mm256_unpackhi_ps(whole[i], whole[i + 1]);
    const __m256 low23 = _mm256_unpacklo_ps(whole[i + 2], whole[i + 3]);
    const __m256 high23 = _mm256_unpackhi_ps(whole[i + 2], whole[i + 3]);
    members[i] = (HalfSingles)_mm256_shuffle_ps(low01, low23, 0x44);
    members[i + 1] = (HalfSingles)_mm256_shuffle_ps(low01, low23, 0xee);
    members[i + 2] = (HalfSingles)_mm256_shuffle_ps(high01, high23, 0x44);
    members[i + 3] = (HalfSingles)_mm256_shuffle_ps(high01, high23, 0xee);
  }
}
#endif

// x - first where lane + from < size, else 0.
ADJUDGE_INLINE Doubles own_distances(const Doubles& x, double first, int32_t from, int32_t size) {
#if defined(__AVX512F__)
  const __m256i lane = _mm256_add_epi32(_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), _mm256_set1_epi32(from));
  const __mmask8 own = _mm256_cmplt_epi32_mask(lane, _mm256_set1_epi32(size));
  return (Doubles)_mm512_maskz_sub_pd(own, (__m512d)x, _mm512_set1_pd(first));
#else
#if defined(__AVX2__)
  const DoublesMask lane = DoublesMask{0, 1, 2, 3} + static_cast<int64_t>(from);
#else
  const DoublesMask lane = DoublesMask{0, 1} + static_cast<int64_t>(from);
#endif
  return (Doubles)((DoublesMask)(x - first) & (lane < static_cast<int64_t>(size)));
#endif
}

}  // namespace
}  // namespace adjudge
