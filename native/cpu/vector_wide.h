// As many floats as one register of the including file's instruction set holds, and what the row kernels do
// with them: 16 with AVX-512, else 8. Static throughout, for the reason that vector8.h gives. A fused
// multiply and add where the processor has one.
#pragma once
#include "native/cpu/vector8.h"

namespace adjudge {
namespace {

#if defined(__AVX512F__)
typedef __m512 wide;
constexpr int64_t wide_lanes = 16;
ADJUDGE_INLINE wide wide_splat(float x) { return _mm512_set1_ps(x); }
ADJUDGE_INLINE wide wide_load(const float* from) { return _mm512_loadu_ps(from); }
ADJUDGE_INLINE wide wide_load(const float* from, int64_t count, float fill) {
  if (count >= 16) return _mm512_loadu_ps(from);
  return _mm512_mask_loadu_ps(wide_splat(fill), static_cast<__mmask16>((1u << count) - 1), from);
}
ADJUDGE_INLINE wide wide_maximum(wide a, wide b) { return _mm512_max_ps(a, b); }
ADJUDGE_INLINE wide multiply_add(wide a, wide b, wide c) { return _mm512_fmadd_ps(a, b, c); }
ADJUDGE_INLINE unsigned lanes_above(wide x, float bound) {
  return _mm512_cmp_ps_mask(x, wide_splat(bound), _CMP_GT_OQ);
}
// `value` where x is above the bound or NaN, else 0.
ADJUDGE_INLINE wide where_above(wide x, float bound, wide value) {
  return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x, wide_splat(bound), _CMP_NLE_UQ), value);
}
// x - floor(x)
ADJUDGE_INLINE wide fraction(wide x) {
  return _mm512_reduce_ps(x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
}
// y 2^floor(x) for x >= -1000, 0 where that is too small for a float; `rest` is fraction(x).
ADJUDGE_INLINE wide times_power_of_two(wide y, wide x, wide) { return _mm512_scalef_ps(y, x); }
#elif defined(__AVX2__)
typedef __m256 wide;
constexpr int64_t wide_lanes = 8;
ADJUDGE_INLINE wide wide_splat(float x) { return _mm256_set1_ps(x); }
ADJUDGE_INLINE wide wide_load(const float* from) { return _mm256_loadu_ps(from); }
ADJUDGE_INLINE wide wide_load(const float* from, int64_t count, float fill) {
  return (wide)load(from, count, fill);
}
ADJUDGE_INLINE wide wide_maximum(wide a, wide b) { return _mm256_max_ps(a, b); }
ADJUDGE_INLINE wide multiply_add(wide a, wide b, wide c) { return _mm256_fmadd_ps(a, b, c); }
ADJUDGE_INLINE unsigned lanes_above(wide x, float bound) {
  return static_cast<unsigned>(_mm256_movemask_ps(_mm256_cmp_ps(x, wide_splat(bound), _CMP_GT_OQ)));
}
ADJUDGE_INLINE wide where_above(wide x, float bound, wide value) {
  return _mm256_and_ps(_mm256_cmp_ps(x, wide_splat(bound), _CMP_NLE_UQ), value);
}
ADJUDGE_INLINE wide fraction(wide x) { return x - _mm256_floor_ps(x); }
ADJUDGE_INLINE wide times_power_of_two(wide y, wide x, wide rest) {
  const __m256i exponent = _mm256_add_epi32(_mm256_cvtps_epi32(x - rest), _mm256_set1_epi32(127));
  return y * (wide)_mm256_slli_epi32(_mm256_max_epi32(exponent, _mm256_setzero_si256()), 23);
}
#else
typedef f32x8 wide;
constexpr int64_t wide_lanes = 8;
ADJUDGE_INLINE wide wide_splat(float x) { return splat(x); }
ADJUDGE_INLINE wide wide_load(const float* from) { return load(from); }
ADJUDGE_INLINE wide wide_load(const float* from, int64_t count, float fill) {
  return load(from, count, fill);
}
// As the processors' instruction: b where one of them is NaN.
ADJUDGE_INLINE wide wide_maximum(const wide& a, const wide& b) { return a > b ? a : b; }
ADJUDGE_INLINE wide multiply_add(const wide& a, const wide& b, const wide& c) { return a * b + c; }
ADJUDGE_INLINE unsigned lanes_above(const wide& x, float bound) {
  unsigned bits = 0;
  for (int i = 0; i < 8; ++i) bits |= x[i] > bound ? 1u << i : 0u;
  return bits;
}
ADJUDGE_INLINE wide where_above(const wide& x, float bound, const wide& value) {
  return x <= splat(bound) ? splat(0.0f) : value;
}
ADJUDGE_INLINE wide fraction(const wide& x) {
  const wide nearest = (x + splat(12582912.0f)) - splat(12582912.0f);
  return x - (nearest > x ? nearest - 1.0f : nearest);
}
ADJUDGE_INLINE wide times_power_of_two(const wide& y, const wide& x, const wide& rest) {
  const i32x8 exponent = __builtin_convertvector(x - rest, i32x8) + 127;
  return y * reinterpret_cast<wide>((exponent > 0 ? exponent : i32x8{}) << 23);
}
#endif

// stream: past the caches, into a place aligned to the register.
ADJUDGE_INLINE void wide_store(float* to, const wide& x, bool stream) {
#if defined(__AVX512F__)
  if (stream) return _mm512_stream_ps(to, x);
#elif defined(__AVX__)
  if (stream) return _mm256_stream_ps(to, (__m256)x);
#else
  (void)stream;
#endif
  __builtin_memcpy(to, &x, sizeof x);
}

// The first `count`.
ADJUDGE_INLINE void wide_store(float* to, const wide& x, int64_t count) {
  float values[wide_lanes];
  __builtin_memcpy(values, &x, sizeof values);
  for (int64_t i = 0; i < wide_lanes && i < count; ++i) to[i] = values[i];
}

// Fixed trees: halves are folded onto each other.
ADJUDGE_INLINE float wide_sum(const wide& x) {
  float values[wide_lanes];
  __builtin_memcpy(values, &x, sizeof values);
  for (int64_t half = wide_lanes / 2; half > 0; half /= 2) {
    for (int64_t i = 0; i < half; ++i) values[i] += values[i + half];
  }
  return values[0];
}

ADJUDGE_INLINE float wide_maximum_of_lanes(const wide& x) {
  float values[wide_lanes];
  __builtin_memcpy(values, &x, sizeof values);
  float result = values[0];
  for (int64_t i = 1; i < wide_lanes; ++i) result = values[i] > result ? values[i] : result;
  return result;
}

}  // namespace
}  // namespace adjudge
