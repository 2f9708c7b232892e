// Eight floats as one value, by the compiler's vector extension: AVX registers where the including file is
// compiled for them, pairs of SSE or NEON registers elsewhere, with the same bits. Everything is static: a
// file compiled for AVX2 must not leave a shared copy behind for the linker to pick.
#pragma once
#include <cstdint>

#if defined(__AVX__)
#include <immintrin.h>
#endif

#pragma GCC diagnostic ignored "-Wpsabi"

namespace adjudge {
namespace {

typedef float f32x8 __attribute__((vector_size(32)));
typedef int32_t i32x8 __attribute__((vector_size(32)));
typedef f32x8 f32x8_unaligned __attribute__((aligned(4), may_alias));

#define ADJUDGE_INLINE [[maybe_unused]] static inline __attribute__((always_inline))

ADJUDGE_INLINE f32x8 splat(float value) {
  return f32x8{value, value, value, value, value, value, value, value};
}

ADJUDGE_INLINE f32x8 load(const float* from) { return *reinterpret_cast<const f32x8_unaligned*>(from); }

ADJUDGE_INLINE void store(float* to, const f32x8& value) { *reinterpret_cast<f32x8_unaligned*>(to) = value; }

// The first `count` (< 8 at a row's end) lanes from memory, the others `fill`.
ADJUDGE_INLINE f32x8 load(const float* from, int64_t count, float fill) {
  if (count >= 8) return load(from);
  f32x8 value = splat(fill);
  for (int64_t i = 0; i < count; ++i) value[i] = from[i];
  return value;
}

ADJUDGE_INLINE void store(float* to, int64_t count, const f32x8& value) {
  if (count >= 8) return store(to, value);
  for (int64_t i = 0; i < count; ++i) to[i] = value[i];
}

ADJUDGE_INLINE f32x8 maximum(const f32x8& a, const f32x8& b) { return a > b ? a : b; }

ADJUDGE_INLINE f32x8 square_root(const f32x8& x) {
#if defined(__AVX__)
  return (f32x8)_mm256_sqrt_ps((__m256)x);
#else
  f32x8 root;
  for (int i = 0; i < 8; ++i) root[i] = __builtin_sqrtf(x[i]);
  return root;
#endif
}

// One fixed tree for every instruction set.
ADJUDGE_INLINE float sum_of_lanes(const f32x8& x) {
  return ((x[0] + x[4]) + (x[2] + x[6])) + ((x[1] + x[5]) + (x[3] + x[7]));
}

ADJUDGE_INLINE float maximum_of_lanes(const f32x8& x) {
  float result = x[0];
  for (int i = 1; i < 8; ++i) result = x[i] > result ? x[i] : result;
  return result;
}

// e^x to about one unit in the last place: x = n ln2 + r with |r| <= ln2 / 2 (ln2 in two parts so that n *
// high is exact), a degree-6 polynomial in r (Cephes, Moshier 1992), times 2^n. Below -87.3 the result is 0,
// above 88.3 it stays at e^88.3; NaN stays NaN.
ADJUDGE_INLINE f32x8 exponential(const f32x8& x) {
  const f32x8 limited = x > splat(88.3f) ? splat(88.3f) : x;
  const f32x8 magic = splat(12582912.0f);  // 1.5 * 2^23: adding it rounds to an integer
  const f32x8 n = (limited * splat(1.44269504088896341f) + magic) - magic;
  const f32x8 r = (limited - n * splat(0.693359375f)) - n * splat(-2.12194440e-4f);
  f32x8 polynomial = splat(1.9875691500e-4f);
  polynomial = polynomial * r + splat(1.3981999507e-3f);
  polynomial = polynomial * r + splat(8.3334519073e-3f);
  polynomial = polynomial * r + splat(4.1665795894e-2f);
  polynomial = polynomial * r + splat(1.6666665459e-1f);
  polynomial = polynomial * r + splat(5.0000001201e-1f);
  polynomial = polynomial * (r * r) + r + splat(1.0f);
  const i32x8 exponent = reinterpret_cast<i32x8>(n + magic) << 23;  // the low bits of n + magic are n
  const f32x8 scale = reinterpret_cast<f32x8>(exponent + (127 << 23));
  return x < splat(-87.3f) ? splat(0.0f) : polynomial * scale;
}

}  // namespace
}  // namespace adjudge
