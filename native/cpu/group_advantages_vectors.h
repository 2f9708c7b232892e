// Vectors of the width of the including file's instruction set for the group advantages, and what the
// compiler's vector extension lacks. Static throughout, for the reason that vector8.h gives.
#pragma once
#include <cstring>

#include "native/cpu/vector8.h"

#if defined(__SSE2__)
#include <immintrin.h>
#endif

namespace adjudge {
namespace {

#if defined(__AVX512F__)
constexpr int64_t group_lanes = 16;
#elif defined(__AVX2__)
constexpr int64_t group_lanes = 8;
#else
constexpr int64_t group_lanes = 4;
#endif
constexpr int64_t half_lanes = group_lanes / 2;

typedef float Singles __attribute__((vector_size(group_lanes * 4)));
typedef double Doubles __attribute__((vector_size(group_lanes * 4)));
typedef int64_t DoublesMask __attribute__((vector_size(group_lanes * 4)));
typedef float HalfSingles __attribute__((vector_size(group_lanes * 2)));
// Groups of eight are common, and whole ones can be written in place.
constexpr int64_t row_lanes = group_lanes < 8 ? group_lanes : 8;
typedef float Row __attribute__((vector_size(row_lanes * 4)));
typedef int32_t HalfIntegers __attribute__((vector_size(group_lanes * 2)));

template <typename Vector, typename Number>
ADJUDGE_INLINE Vector loaded(const Number* from) {
  Vector vector;
  std::memcpy(&vector, from, sizeof vector);
  return vector;
}

template <typename Vector, typename Number>
ADJUDGE_INLINE void put(Number* to, const Vector& vector) {
  std::memcpy(to, &vector, sizeof vector);
}

// a x b + c, in one rounding where the processor has it.
ADJUDGE_INLINE Doubles fused(const Doubles& a, const Doubles& b, const Doubles& c) {
#if defined(__AVX512F__)
  return (Doubles)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c);
#elif defined(__FMA__)
  return (Doubles)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
#else
  return a * b + c;
#endif
}

ADJUDGE_INLINE Singles root(const Singles& x) {
#if defined(__AVX512F__)
  return (Singles)_mm512_sqrt_ps((__m512)x);
#elif defined(__AVX2__)
  return (Singles)_mm256_sqrt_ps((__m256)x);
#elif defined(__SSE2__)
  return (Singles)_mm_sqrt_ps((__m128)x);
#else
  Singles result;
  for (int64_t i = 0; i < group_lanes; ++i) result[i] = __builtin_sqrtf(x[i]);
  return result;
#endif
}

// The compiler's own conversions go by halves.
ADJUDGE_INLINE Doubles widened(const HalfSingles& x) {
#if defined(__AVX512F__)
  return (Doubles)_mm512_cvtps_pd((__m256)x);
#elif defined(__AVX2__)
  return (Doubles)_mm256_cvtps_pd((__m128)x);
#elif defined(__SSE2__)
  return (Doubles)_mm_cvtps_pd(_mm_castsi128_ps(_mm_cvtsi64_si128((int64_t)x)));
#else
  return __builtin_convertvector(x, Doubles);
#endif
}

ADJUDGE_INLINE Doubles widened(const HalfIntegers& x) {
#if defined(__AVX512F__)
  return (Doubles)_mm512_cvtepi32_pd((__m256i)x);
#elif defined(__AVX2__)
  return (Doubles)_mm256_cvtepi32_pd((__m128i)x);
#else
  return __builtin_convertvector(x, Doubles);
#endif
}

ADJUDGE_INLINE HalfSingles narrowed(const Doubles& x) {
#if defined(__AVX512F__)
  return (HalfSingles)_mm512_cvtpd_ps((__m512d)x);
#elif defined(__AVX2__)
  return (HalfSingles)_mm256_cvtpd_ps((__m256d)x);
#elif defined(__SSE2__)
  return (HalfSingles)_mm_cvtsi128_si64(_mm_castps_si128(_mm_cvtpd_ps((__m128d)x)));
#else
  return __builtin_convertvector(x, HalfSingles);
#endif
}

template <int half>
ADJUDGE_INLINE HalfSingles half_of(const Singles& x) {
#if defined(__AVX512F__)
  return (HalfSingles)_mm512_extractf32x8_ps((__m512)x, half);
#elif defined(__AVX2__)
  return (HalfSingles)_mm256_extractf128_ps((__m256)x, half);
#else
  return HalfSingles{x[2 * half], x[2 * half + 1]};
#endif
}

ADJUDGE_INLINE Singles narrowed(const Doubles& low, const Doubles& high) {
#if defined(__AVX512F__)
  return (Singles)_mm512_insertf32x8(_mm512_castps256_ps512((__m256)narrowed(low)), (__m256)narrowed(high),
                                     1);
#elif defined(__AVX2__)
  return (Singles)_mm256_set_m128((__m128)narrowed(high), (__m128)narrowed(low));
#elif defined(__SSE2__)
  return (Singles)_mm_movelh_ps(_mm_cvtpd_ps((__m128d)low), _mm_cvtpd_ps((__m128d)high));
#else
  const HalfSingles parts[2] = {narrowed(low), narrowed(high)};
  return loaded<Singles>(parts);
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
  for (int64_t i = 0; i < half_lanes; ++i) bits |= static_cast<uint32_t>(mask[i] & 1) << i;
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
  for (int64_t i = 0; i < group_lanes; ++i) bits |= !(x[i] >= low && x[i] <= high) ? 1u << i : 0u;
  return bits;
#endif
}

// The sum of each of half_lanes vectors, lane by lane of the result: neighbours first.
ADJUDGE_INLINE Doubles sums_of(const Doubles (&x)[half_lanes]) {
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

// Past the caches, to an aligned place.
template <typename Vector>
ADJUDGE_INLINE void stream_vector(float* to, const Vector& vector) {
#if defined(__AVX512F__)
  if constexpr (sizeof vector == 64) return _mm512_stream_ps(to, (__m512)vector);
#endif
#if defined(__AVX2__)
  if constexpr (sizeof vector == 32) return _mm256_stream_ps(to, (__m256)vector);
#endif
#if defined(__SSE2__)
  if constexpr (sizeof vector == 16) return _mm_stream_ps(to, (__m128)vector);
#endif
  put(to, vector);
}

}  // namespace
}  // namespace adjudge
