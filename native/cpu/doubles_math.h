// Division, signs, expm1 and logarithms of Doubles, the last to a few units in the last place: what
// preference losses are made of besides doubles.h.
#pragma once
#include "native/cpu/doubles.h"

namespace adjudge {
namespace {

ADJUDGE_INLINE Doubles operator/(const Doubles& a, const Doubles& b) { return Doubles(a.value / b.value); }
ADJUDGE_INLINE Doubles operator-(const Doubles& a) { return Doubles(-a.value); }
ADJUDGE_INLINE Doubles absolute(const Doubles& x) {
  return Doubles(reinterpret_cast<f64_register>(reinterpret_cast<i64_register>(x.value) & INT64_MAX));
}

// The first `count` lanes.
ADJUDGE_INLINE DoubleMask first_doubles(int64_t count) {
#if defined(__AVX512F__)
  const i64_register index = {0, 1, 2, 3, 4, 5, 6, 7};
#else
  const i64_register index = {0, 1, 2, 3};
#endif
  return {index < count};
}

ADJUDGE_INLINE Doubles load_doubles(const double* from) {
  f64_register value;
  std::memcpy(&value, from, sizeof value);
  return Doubles(value);
}

ADJUDGE_INLINE void store_doubles(double* to, const Doubles& x) { std::memcpy(to, &x.value, sizeof x.value); }

// e^x - 1 = 2^n (e^r - 1) + (2^n - 1): x = n ln2 + r with |r| <= ln2 / 2, ln2 in two parts so that n times
// the first is exact; Taylor's series of e^r - 1 up to r^13, whose rest is below 1e-17. Below -708 it stays
// at -1, above 709 at e^709.
ADJUDGE_INLINE Doubles exponential_minus_one(const Doubles& x) {
  const Doubles limited = minimum(Doubles(709.0), maximum(Doubles(-708.0), x));
  const Doubles magic(6755399441055744.0);  // 1.5 x 2^52: adding it rounds to an integer
  const Doubles shifted_n = multiply_add(limited, Doubles(1.4426950408889634), magic);
  const Doubles n = shifted_n - magic;
  Doubles r = multiply_add(n, Doubles(-6.93147180369123816490e-01), limited);
  r = multiply_add(n, Doubles(-1.90821492927058770002e-10), r);
  constexpr double inverse_factorials[] = {
      1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880, 1.0 / 40320, 1.0 / 5040,
      1.0 / 720,       1.0 / 120,      1.0 / 24,      1.0 / 6,      0.5};
  Doubles series(1.0 / 6227020800);
#pragma GCC unroll 16
  for (const double factor : inverse_factorials) {
    series = multiply_add(series, r, Doubles(factor));
  }
  const i64_register exponent = (reinterpret_cast<i64_register>(shifted_n.value) + 1023) << 52;
  const Doubles scale(reinterpret_cast<f64_register>(exponent));
  return multiply_add(scale, multiply_add(series, r * r, r), scale - Doubles(1.0));
}

// log(1 + f) for f between -0.3 and 0.42 (fdlibm's polynomial, Sun Microsystems 1993).
ADJUDGE_INLINE Doubles log_of_nearly_one(const Doubles& f) {
  const Doubles s = f / (Doubles(2.0) + f);
  const Doubles z = s * s;
  constexpr double factors[] = {1.531383769920937332e-01, 1.818357216161805012e-01, 2.222219843214978396e-01,
                                2.857142874366239149e-01, 3.999999999940941908e-01, 6.666666666666735130e-01};
  Doubles rest(1.479819860511658591e-01);
#pragma GCC unroll 16
  for (const double factor : factors) {
    rest = multiply_add(rest, z, Doubles(factor));
  }
  const Doubles half_square = Doubles(0.5) * f * f;
  return f - (half_square - s * multiply_add(rest, z, half_square));
}

// log(1 + x) for x between 0 and 1.
ADJUDGE_INLINE Doubles log_of_one_plus(const Doubles& x) {
  const DoubleMask large = less(Doubles(0.41), x);
  const Doubles f = select(large, (x - Doubles(1.0)) * Doubles(0.5), x);
  return log_of_nearly_one(f) + only(large, Doubles(0.6931471805599453));
}

// Of positive normal numbers; other lanes, which nobody reads, are taken for the smallest.
ADJUDGE_INLINE Doubles logarithm(const Doubles& x) {
  const i64_register bits = reinterpret_cast<i64_register>(maximum(x, Doubles(0x1p-1022)).value);
  // Mantissas between sqrt(1/2) and sqrt(2).
  const i64_register whole = (bits - 0x3fe6a09e667f3bcd) >> 52;
  const Doubles mantissa(reinterpret_cast<f64_register>(bits - (whole << 52)));
  const f64_register exponent = __builtin_convertvector(whole, f64_register);
  return multiply_add(Doubles(exponent), Doubles(0.6931471805599453),
                      log_of_nearly_one(mantissa - Doubles(1.0)));
}

}  // namespace
}  // namespace adjudge
