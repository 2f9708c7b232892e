// Sixteen tokens as one number of the coefficient code (rules/loss_terms.h), in an AVX-512 register. In an
// anonymous namespace, so that what is instantiated with it stays in its file: see vector8.h.
#pragma once
#include <immintrin.h>

#include <cstdint>

#include "native/cpu/vector8.h"

namespace adjudge {
namespace {

struct Mask {
  __mmask16 value;
};

struct Lanes {
  static constexpr int64_t width = 16;
  __m512 value;
  Lanes() = default;
  Lanes(float number) : value(_mm512_set1_ps(number)) {}
  explicit Lanes(__m512 vector) : value(vector) {}
};

ADJUDGE_INLINE Lanes operator+(Lanes a, Lanes b) { return Lanes(_mm512_add_ps(a.value, b.value)); }
ADJUDGE_INLINE Lanes operator-(Lanes a, Lanes b) { return Lanes(_mm512_sub_ps(a.value, b.value)); }
ADJUDGE_INLINE Lanes operator*(Lanes a, Lanes b) { return Lanes(_mm512_mul_ps(a.value, b.value)); }
ADJUDGE_INLINE Lanes operator/(Lanes a, Lanes b) { return Lanes(_mm512_div_ps(a.value, b.value)); }
ADJUDGE_INLINE Lanes operator-(Lanes a) { return Lanes(_mm512_xor_ps(a.value, _mm512_set1_ps(-0.0f))); }

ADJUDGE_INLINE Mask less(Lanes a, Lanes b) { return {_mm512_cmp_ps_mask(a.value, b.value, _CMP_LT_OQ)}; }
ADJUDGE_INLINE Mask at_most(Lanes a, Lanes b) { return {_mm512_cmp_ps_mask(a.value, b.value, _CMP_LE_OQ)}; }
ADJUDGE_INLINE Mask equal(Lanes a, Lanes b) { return {_mm512_cmp_ps_mask(a.value, b.value, _CMP_EQ_OQ)}; }
ADJUDGE_INLINE Mask both(Mask a, Mask b) { return {_kand_mask16(a.value, b.value)}; }
ADJUDGE_INLINE Mask either(Mask a, Mask b) { return {_kor_mask16(a.value, b.value)}; }
ADJUDGE_INLINE Mask opposite(Mask a) { return {_knot_mask16(a.value)}; }
ADJUDGE_INLINE Lanes select(Mask mask, Lanes yes, Lanes no) {
  return Lanes(_mm512_mask_blend_ps(mask.value, no.value, yes.value));
}
ADJUDGE_INLINE Lanes minimum(Lanes a, Lanes b) { return Lanes(_mm512_min_ps(a.value, b.value)); }
ADJUDGE_INLINE Lanes maximum(Lanes a, Lanes b) { return Lanes(_mm512_max_ps(a.value, b.value)); }
ADJUDGE_INLINE Lanes absolute(Lanes x) { return Lanes(_mm512_abs_ps(x.value)); }

ADJUDGE_INLINE Lanes multiply_add(Lanes a, Lanes b, Lanes c) {
  return Lanes(_mm512_fmadd_ps(a.value, b.value, c.value));
}
ADJUDGE_INLINE Lanes nearest_integer(Lanes x) {
  return Lanes(_mm512_roundscale_ps(x.value, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
// The integer next to x, and what is left of x; 0 of an infinite one.
ADJUDGE_INLINE Lanes split_integer(Lanes x, Lanes* integer) {
  *integer = nearest_integer(x);
  return Lanes(_mm512_reduce_ps(x.value, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
// x 2^n for an integer n <= 127; 0 and denormal numbers below 2^-126.
ADJUDGE_INLINE Lanes times_power_of_two(Lanes x, Lanes n) {
  return Lanes(_mm512_scalef_ps(x.value, n.value));
}
// x = mantissa x 2^exponent with the mantissa in [0.75, 1.5); x a positive number.
ADJUDGE_INLINE Lanes mantissa_of(Lanes x, Lanes* exponent) {
  const __m512 mantissa = _mm512_getmant_ps(x.value, _MM_MANT_NORM_p75_1p5, _MM_MANT_SIGN_src);
  *exponent = Lanes(_mm512_getexp_ps(_mm512_div_ps(x.value, mantissa)));
  return Lanes(mantissa);
}

ADJUDGE_INLINE Mask first_lanes(int64_t count) {
  return {static_cast<__mmask16>(count >= 16 ? 0xffff : (1u << count) - 1)};
}

// Which of the first `count` bytes are not 0.
ADJUDGE_INLINE Mask nonzero_bytes(const uint8_t* from, int64_t count) {
  const __m128i bytes = _mm_maskz_loadu_epi8(first_lanes(count).value, from);
  return {_mm_test_epi8_mask(bytes, bytes)};
}

ADJUDGE_INLINE uint32_t bits_of(Mask mask) { return mask.value; }

// The first `count` floats; 0 in the other lanes.
ADJUDGE_INLINE Lanes load_lanes(const float* from, int64_t count) {
  return Lanes(count >= 16 ? _mm512_loadu_ps(from) : _mm512_maskz_loadu_ps(first_lanes(count).value, from));
}
ADJUDGE_INLINE void store_lanes(float* to, Lanes x, int64_t count) {
  if (count >= 16)
    _mm512_storeu_ps(to, x.value);
  else
    _mm512_mask_storeu_ps(to, first_lanes(count).value, x.value);
}
// Past the caches, into an aligned place.
ADJUDGE_INLINE void stream_lanes(float* to, Lanes x) { _mm512_stream_ps(to, x.value); }

ADJUDGE_INLINE double sum_of(Lanes x) {
  const __m256 half = _mm256_add_ps(_mm512_castps512_ps256(x.value), _mm512_extractf32x8_ps(x.value, 1));
  return static_cast<double>(sum_of_lanes((f32x8)half));
}
ADJUDGE_INLINE float maximum_of(Lanes x) { return _mm512_reduce_max_ps(x.value); }

// A sum in f64, lane by lane.
struct WideSum {
  __m512d low = _mm512_setzero_pd();
  __m512d high = _mm512_setzero_pd();
  void add(Lanes x) {
    low = _mm512_add_pd(low, _mm512_cvtps_pd(_mm512_castps512_ps256(x.value)));
    high = _mm512_add_pd(high, _mm512_cvtps_pd(_mm512_extractf32x8_ps(x.value, 1)));
  }
  double total() const { return _mm512_reduce_add_pd(_mm512_add_pd(low, high)); }
};

// A product in f64, lane by lane, and the log of all of them.
struct WideProduct {
  __m512d low = _mm512_set1_pd(1.0);
  __m512d high = _mm512_set1_pd(1.0);
  void multiply(Lanes x) {
    low = _mm512_mul_pd(low, _mm512_cvtps_pd(_mm512_castps512_ps256(x.value)));
    high = _mm512_mul_pd(high, _mm512_cvtps_pd(_mm512_extractf32x8_ps(x.value, 1)));
  }
  double log() const {
    double values[16];
    _mm512_storeu_pd(values, low);
    _mm512_storeu_pd(values + 8, high);
    double sum = 0;
    for (const double value : values) sum += __builtin_log(value);
    return sum;
  }
};

}  // namespace
}  // namespace adjudge
