// Vectors of f32 and f64 as wide as the registers of the including file's instruction set, and what the
// compiler's vector extension lacks or does by halves. Static throughout, for the reason that vector8.h
// gives.
#pragma once
#include <cstring>

#include "native/cpu/vector8.h"

#if defined(__SSE2__)
#include <immintrin.h>
#endif

namespace adjudge {
namespace {

#if defined(__AVX512F__)
constexpr int64_t single_lanes = 16;
#elif defined(__AVX2__)
constexpr int64_t single_lanes = 8;
#else
constexpr int64_t single_lanes = 4;
#endif
constexpr int64_t double_lanes = single_lanes / 2;

typedef float Singles __attribute__((vector_size(single_lanes * 4)));
typedef double Doubles __attribute__((vector_size(single_lanes * 4)));
typedef float HalfSingles __attribute__((vector_size(single_lanes * 2)));
typedef int32_t HalfIntegers __attribute__((vector_size(single_lanes * 2)));

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

ADJUDGE_INLINE Singles fused(const Singles& a, const Singles& b, const Singles& c) {
#if defined(__AVX512F__)
  return (Singles)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(__FMA__)
  return (Singles)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#else
  return a * b + c;
#endif
}

#if defined(__AVX512F__)
ADJUDGE_INLINE HalfSingles fused(const HalfSingles& a, const HalfSingles& b, const HalfSingles& c) {
  return (HalfSingles)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
}
#endif

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
