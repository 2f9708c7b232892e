// As many doubles as a register holds as one number of code that is written once (rules/double_lane.h), by
// the compiler's vector extension. In an anonymous namespace, so that what is instantiated with it stays in
// its file: see vector8.h.
#pragma once
#include <cstring>

#include "native/cpu/vector8.h"

namespace adjudge {
namespace {

#if defined(__AVX512F__)
typedef double f64_register __attribute__((vector_size(64)));
typedef int64_t i64_register __attribute__((vector_size(64)));
typedef float f32_half __attribute__((vector_size(32)));
#else
typedef double f64_register __attribute__((vector_size(32)));
typedef int64_t i64_register __attribute__((vector_size(32)));
typedef float f32_half __attribute__((vector_size(16)));
#endif

struct DoubleMask {
  i64_register value;
};

struct Doubles {
  static constexpr int64_t width = sizeof(f64_register) / sizeof(double);
  f64_register value;
  Doubles() = default;
#if defined(__AVX512F__)
  Doubles(double number) : value((f64_register)_mm512_set1_pd(number)) {}
#else
  Doubles(double number) : value(f64_register{number, number, number, number}) {}
#endif
  explicit Doubles(const f64_register& vector) : value(vector) {}
};

ADJUDGE_INLINE Doubles operator+(const Doubles& a, const Doubles& b) { return Doubles(a.value + b.value); }
ADJUDGE_INLINE Doubles operator-(const Doubles& a, const Doubles& b) { return Doubles(a.value - b.value); }
ADJUDGE_INLINE Doubles operator*(const Doubles& a, const Doubles& b) { return Doubles(a.value * b.value); }

ADJUDGE_INLINE DoubleMask less(const Doubles& a, const Doubles& b) { return {a.value < b.value}; }
ADJUDGE_INLINE DoubleMask equal(const Doubles& a, const Doubles& b) { return {a.value == b.value}; }
ADJUDGE_INLINE DoubleMask both(const DoubleMask& a, const DoubleMask& b) { return {a.value & b.value}; }
ADJUDGE_INLINE DoubleMask either(const DoubleMask& a, const DoubleMask& b) { return {a.value | b.value}; }
ADJUDGE_INLINE DoubleMask opposite(const DoubleMask& a) { return {~a.value}; }
ADJUDGE_INLINE DoubleMask at_most(const Doubles& a, const Doubles& b) { return {a.value <= b.value}; }
ADJUDGE_INLINE Doubles select(const DoubleMask& mask, const Doubles& yes, const Doubles& no) {
  return Doubles(mask.value ? yes.value : no.value);
}
// The compiler makes a comparison and a blend of the AVX-512 ones.
ADJUDGE_INLINE Doubles minimum(const Doubles& a, const Doubles& b) {
#if defined(__AVX512F__)
  return Doubles((f64_register)_mm512_min_pd((__m512d)a.value, (__m512d)b.value));
#else
  return Doubles(a.value < b.value ? a.value : b.value);
#endif
}
ADJUDGE_INLINE Doubles maximum(const Doubles& a, const Doubles& b) {
#if defined(__AVX512F__)
  return Doubles((f64_register)_mm512_max_pd((__m512d)a.value, (__m512d)b.value));
#else
  return Doubles(a.value > b.value ? a.value : b.value);
#endif
}

// 0 where the mask says no.
ADJUDGE_INLINE Doubles only(const DoubleMask& mask, const Doubles& x) {
  return Doubles(reinterpret_cast<f64_register>(mask.value & reinterpret_cast<i64_register>(x.value)));
}

// In a fixed tree: halves are folded onto each other.
ADJUDGE_INLINE double sum_of(const Doubles& x) {
#if defined(__AVX__)
#if defined(__AVX512F__)
  const __m512d all = (__m512d)x.value;
  const __m256d half = _mm256_add_pd(_mm512_castpd512_pd256(all), _mm512_extractf64x4_pd(all, 1));
#else
  const __m256d half = (__m256d)x.value;
#endif
  const __m128d quarter = _mm_add_pd(_mm256_castpd256_pd128(half), _mm256_extractf128_pd(half, 1));
  return _mm_cvtsd_f64(quarter) + _mm_cvtsd_f64(_mm_unpackhi_pd(quarter, quarter));
#else
  return (x.value[0] + x.value[2]) + (x.value[1] + x.value[3]);
#endif
}

ADJUDGE_INLINE bool any(const DoubleMask& mask) {
#if defined(__AVX512DQ__)
  return _mm512_movepi64_mask((__m512i)mask.value) != 0;
#elif defined(__AVX__)
  return _mm256_movemask_pd((__m256d)mask.value) != 0;
#else
  return ((mask.value[0] | mask.value[1]) | (mask.value[2] | mask.value[3])) != 0;
#endif
}

ADJUDGE_INLINE int64_t sum_of(const i64_register& x) {
  int64_t sum = 0;
  for (int64_t i = 0; i < Doubles::width; ++i) sum += x[i];
  return sum;
}

// a x b + c, in one rounding where the processor has it.
ADJUDGE_INLINE Doubles multiply_add(const Doubles& a, const Doubles& b, const Doubles& c) {
#if defined(__AVX512F__)
  return Doubles((f64_register)_mm512_fmadd_pd((__m512d)a.value, (__m512d)b.value, (__m512d)c.value));
#elif defined(__FMA__)
  return Doubles((f64_register)_mm256_fmadd_pd((__m256d)a.value, (__m256d)b.value, (__m256d)c.value));
#else
  return a * b + c;
#endif
}

// Elements by, by + 1, ... of low followed by high.
template <int by>
ADJUDGE_INLINE Doubles shifted(const Doubles& low, const Doubles& high) {
#if defined(__AVX512F__)
  return Doubles((f64_register)_mm512_alignr_epi64((__m512i)high.value, (__m512i)low.value, by));
#else
  return Doubles(__builtin_shufflevector(low.value, high.value, by, by + 1, by + 2, by + 3));
#endif
}

// The compiler's own conversions of whole AVX-512 vectors go through halves.
ADJUDGE_INLINE Doubles load_doubles(const float* from) {
#if defined(__AVX512F__)
  return Doubles((f64_register)_mm512_cvtps_pd(_mm256_loadu_ps(from)));
#else
  f32_half singles;
  std::memcpy(&singles, from, sizeof singles);
  return Doubles(__builtin_convertvector(singles, f64_register));
#endif
}

// The first `count`; 0 in the other lanes.
template <typename Float>
static inline __attribute__((always_inline)) Doubles load_doubles(const Float* from, int64_t count) {
  if constexpr (sizeof(Float) == sizeof(float)) {
    if (count >= Doubles::width) return load_doubles(from);
  }
  f64_register value = {};
  if (count >= Doubles::width)
    std::memcpy(&value, from, sizeof value);
  else
    for (int64_t i = 0; i < count; ++i) value[i] = from[i];
  return Doubles(value);
}

// Which of the first `count` bytes are not 0; all of these where there are no bytes.
ADJUDGE_INLINE DoubleMask nonzero_doubles(const uint8_t* from, int64_t count) {
  uint8_t bytes[Doubles::width] = {};
  if (from != nullptr && count >= Doubles::width)
    std::memcpy(bytes, from, sizeof bytes);
  else
    for (int64_t i = 0; i < Doubles::width; ++i) bytes[i] = i < count && (from == nullptr || from[i] != 0);
#if defined(__AVX512F__)
  const __m128i low = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(bytes));
  return {(i64_register)_mm512_cvtepu8_epi64(low) != 0};
#elif defined(__AVX2__)
  int32_t low;
  std::memcpy(&low, bytes, sizeof low);
  return {(i64_register)_mm256_cvtepu8_epi64(_mm_cvtsi32_si128(low)) != 0};
#else
  i64_register value = {};
  for (int64_t i = 0; i < Doubles::width; ++i) value[i] = bytes[i];
  return {value != 0};
#endif
}

ADJUDGE_INLINE f32_half singles_of(const Doubles& x) {
#if defined(__AVX512F__)
  return (f32_half)_mm512_cvtpd_ps((__m512d)x.value);
#else
  return __builtin_convertvector(x.value, f32_half);
#endif
}

// The first `count`.
ADJUDGE_INLINE void store_singles(float* to, const Doubles& x, int64_t count) {
  const f32_half singles = singles_of(x);
  for (int64_t i = 0; i < Doubles::width && i < count; ++i) to[i] = singles[i];
}

// stream: past the caches, into a place aligned to the half register.
ADJUDGE_INLINE void store_singles(float* to, const Doubles& x, bool stream) {
  const f32_half singles = singles_of(x);
#if defined(__AVX512F__)
  if (stream) return _mm256_stream_ps(to, (__m256)singles);
#elif defined(__AVX__)
  if (stream) return _mm_stream_ps(to, (__m128)singles);
#else
  (void)stream;
#endif
  std::memcpy(to, &singles, sizeof singles);
}

// e^x to about 1e-11 of it, for -708 <= x <= 709: x = n ln2 + r with |r| <= ln2 / 2 (ln2 in two parts so that
// n times the first is exact), the Taylor polynomial of degree 9 in r, times 2^n.
ADJUDGE_INLINE Doubles exponential(const Doubles& x) {
  const Doubles magic(0x1.8p52);  // adding it rounds to an integer
  const Doubles shifted_n = multiply_add(x, Doubles(1.4426950408889634), magic);
  const Doubles n = shifted_n - magic;
  Doubles r = multiply_add(n, Doubles(-0x1.62e42feep-1), x);
  r = multiply_add(n, Doubles(-0x1.a39ef35793c76p-33), r);
  constexpr double factors[] = {1.0 / 40320, 1.0 / 5040, 1.0 / 720, 1.0 / 120, 1.0 / 24, 1.0 / 6, 0.5, 1, 1};
  Doubles polynomial(1.0 / 362880);
  for (const double factor : factors) polynomial = multiply_add(polynomial, r, Doubles(factor));
  // The low bits of n + magic are n.
  const i64_register exponent = (reinterpret_cast<i64_register>(shifted_n.value) << 52);
  return Doubles(reinterpret_cast<f64_register>(reinterpret_cast<i64_register>(polynomial.value) + exponent));
}

}  // namespace
}  // namespace adjudge
