// Eight tokens as one number of the coefficient code (rules/loss_terms.h), over vector8.h. In an anonymous
// namespace, so that what is instantiated with it stays in its file: see vector8.h.
#pragma once
#include <cstring>

#include "native/cpu/vector8.h"

namespace adjudge {
namespace {

typedef double f64x8 __attribute__((vector_size(64)));

struct Mask {
  i32x8 value;
};

struct Lanes {
  static constexpr int64_t width = 8;
  f32x8 value;
  Lanes() = default;
  Lanes(float number) : value(splat(number)) {}
  explicit Lanes(const f32x8& vector) : value(vector) {}
};

ADJUDGE_INLINE Lanes operator+(const Lanes& a, const Lanes& b) { return Lanes(a.value + b.value); }
ADJUDGE_INLINE Lanes operator-(const Lanes& a, const Lanes& b) { return Lanes(a.value - b.value); }
ADJUDGE_INLINE Lanes operator*(const Lanes& a, const Lanes& b) { return Lanes(a.value * b.value); }
ADJUDGE_INLINE Lanes operator/(const Lanes& a, const Lanes& b) { return Lanes(a.value / b.value); }
ADJUDGE_INLINE Lanes operator-(const Lanes& a) { return Lanes(-a.value); }

ADJUDGE_INLINE Mask less(const Lanes& a, const Lanes& b) { return {a.value < b.value}; }
ADJUDGE_INLINE Mask at_most(const Lanes& a, const Lanes& b) { return {a.value <= b.value}; }
ADJUDGE_INLINE Mask equal(const Lanes& a, const Lanes& b) { return {a.value == b.value}; }
ADJUDGE_INLINE Mask both(const Mask& a, const Mask& b) { return {a.value & b.value}; }
ADJUDGE_INLINE Mask either(const Mask& a, const Mask& b) { return {a.value | b.value}; }
ADJUDGE_INLINE Mask opposite(const Mask& a) { return {~a.value}; }
ADJUDGE_INLINE Lanes select(const Mask& mask, const Lanes& yes, const Lanes& no) {
  return Lanes(mask.value ? yes.value : no.value);
}
ADJUDGE_INLINE Lanes minimum(const Lanes& a, const Lanes& b) {
  return Lanes(a.value < b.value ? a.value : b.value);
}
ADJUDGE_INLINE Lanes maximum(const Lanes& a, const Lanes& b) {
  return Lanes(a.value > b.value ? a.value : b.value);
}
ADJUDGE_INLINE Lanes absolute(const Lanes& x) {
  return Lanes(reinterpret_cast<f32x8>(reinterpret_cast<i32x8>(x.value) & 0x7fffffff));
}

// a x b + c, in one rounding where the processor has it.
ADJUDGE_INLINE Lanes multiply_add(const Lanes& a, const Lanes& b, const Lanes& c) {
#if defined(__FMA__)
  return Lanes((f32x8)_mm256_fmadd_ps((__m256)a.value, (__m256)b.value, (__m256)c.value));
#else
  return Lanes(a.value * b.value + c.value);
#endif
}

// The integer next to x, |x| < 2^22: adding 1.5 x 2^23 rounds to it.
ADJUDGE_INLINE Lanes nearest_integer(const Lanes& x) {
  const f32x8 magic = splat(12582912.0f);
  return Lanes((x.value + magic) - magic);
}

// The integer next to x and what is left of x; x is held at -126.
ADJUDGE_INLINE Lanes split_integer(const Lanes& x, Lanes* integer) {
  const Lanes held = maximum(Lanes(-126.0f), x);
  *integer = nearest_integer(held);
  return held - *integer;
}

// x 2^n for an integer -126 <= n <= 127.
ADJUDGE_INLINE Lanes times_power_of_two(const Lanes& x, const Lanes& n) {
  return x * Lanes(reinterpret_cast<f32x8>((__builtin_convertvector(n.value, i32x8) + 127) << 23));
}

// x = mantissa x 2^exponent with the mantissa in [0.75, 1.5); x a positive normal number.
ADJUDGE_INLINE Lanes mantissa_of(const Lanes& x, Lanes* exponent) {
  const i32x8 bits = reinterpret_cast<i32x8>(x.value);
  const i32x8 whole = (bits - 0x3f400000) >> 23;
  *exponent = Lanes(__builtin_convertvector(whole, f32x8));
  return Lanes(reinterpret_cast<f32x8>(bits - (whole << 23)));
}

ADJUDGE_INLINE Mask first_lanes(int64_t count) {
  const i32x8 index = {0, 1, 2, 3, 4, 5, 6, 7};
  return {index < static_cast<int32_t>(count < 8 ? count : 8)};
}

// Which of the first `count` bytes are not 0.
ADJUDGE_INLINE Mask nonzero_bytes(const uint8_t* from, int64_t count) {
  uint8_t bytes[8] = {};
  std::memcpy(bytes, from, static_cast<size_t>(count < 8 ? count : 8));
#if defined(__AVX2__)
  const __m256i wide = _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(bytes)));
  return {(i32x8)wide != 0};
#else
  const i32x8 wide = {bytes[0], bytes[1], bytes[2], bytes[3], bytes[4], bytes[5], bytes[6], bytes[7]};
  return {wide != 0};
#endif
}

ADJUDGE_INLINE uint32_t bits_of(const Mask& mask) {
#if defined(__AVX__)
  return static_cast<uint32_t>(_mm256_movemask_ps((__m256)mask.value));
#else
  uint32_t bits = 0;
  for (int i = 0; i < 8; ++i) bits |= static_cast<uint32_t>(mask.value[i] & 1) << i;
  return bits;
#endif
}

// The first `count` floats; 0 in the other lanes.
ADJUDGE_INLINE Lanes load_lanes(const float* from, int64_t count) { return Lanes(load(from, count, 0.0f)); }

ADJUDGE_INLINE void store_lanes(float* to, const Lanes& x, int64_t count) { store(to, count, x.value); }

// Past the caches, into an aligned place.
ADJUDGE_INLINE void stream_lanes(float* to, const Lanes& x) {
#if defined(__AVX__)
  _mm256_stream_ps(to, (__m256)x.value);
#else
  store(to, x.value);
#endif
}

ADJUDGE_INLINE double sum_of(const Lanes& x) { return static_cast<double>(sum_of_lanes(x.value)); }
ADJUDGE_INLINE float maximum_of(const Lanes& x) { return maximum_of_lanes(x.value); }

// A sum in f64, lane by lane.
struct WideSum {
  f64x8 value = {};
  void add(const Lanes& x) { value += __builtin_convertvector(x.value, f64x8); }
  double total() const {
    return ((value[0] + value[4]) + (value[2] + value[6])) + ((value[1] + value[5]) + (value[3] + value[7]));
  }
};

// A product in f64, lane by lane, and the log of all of them.
struct WideProduct {
  f64x8 value = {1, 1, 1, 1, 1, 1, 1, 1};
  void multiply(const Lanes& x) { value *= __builtin_convertvector(x.value, f64x8); }
  double log() const {
    double sum = 0;
    for (int i = 0; i < 8; ++i) sum += __builtin_log(value[i]);
    return sum;
  }
};

}  // namespace
}  // namespace adjudge
