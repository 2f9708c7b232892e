// exp, expm1 and log of Lanes. Include lanes8.h or lanes16.h first. The logarithm, to about one unit in the
// last place: Cephes (Moshier 1992).
#pragma once

namespace adjudge {
namespace {

// e^x = 2^n (1 + f slope) with x = (n + f) ln2 and |f| <= 1/2. The polynomial of degree 4 is a minimax one of
// (2^f - 1) / f: the relative error is 4e-7 of e^x - 1, and 6e-8 (3 + |x|) of e^x; 1 at 0.
struct Reduced {
  Lanes n;
  Lanes f;
  Lanes slope;
};

// x <= 88.3.
ADJUDGE_INLINE Reduced reduced_exponential(const Lanes& x) {
  Reduced parts;
  parts.f = split_integer(x * Lanes(1.44269504088896341f), &parts.n);
  Lanes slope(1.333353894e-3f);
  slope = multiply_add(slope, parts.f, Lanes(9.666245619e-3f));
  slope = multiply_add(slope, parts.f, Lanes(5.550500214e-2f));
  slope = multiply_add(slope, parts.f, Lanes(2.402235134e-1f));
  parts.slope = multiply_add(slope, parts.f, Lanes(6.931471435e-1f));
  return parts;
}

// For x <= 88.3; below -87.3 it is at most 2e-38.
ADJUDGE_INLINE Lanes limited_exponential(const Lanes& x) {
  const Reduced parts = reduced_exponential(x);
  return times_power_of_two(multiply_add(parts.slope, parts.f, Lanes(1.0f)), parts.n);
}

ADJUDGE_INLINE Lanes limited_exponential_minus_one(const Lanes& x) {
  const Lanes one(1.0f);
  const Reduced parts = reduced_exponential(x);
  const Lanes scale = times_power_of_two(one, parts.n);
  return multiply_add(scale, parts.slope * parts.f, scale - one);
}

// Above 88.3 it stays at e^88.3.
ADJUDGE_INLINE Lanes exponential(const Lanes& x) { return limited_exponential(minimum(x, Lanes(88.3f))); }

ADJUDGE_INLINE Lanes exponential_minus_one(const Lanes& x) {
  return limited_exponential_minus_one(minimum(x, Lanes(88.3f)));
}

// -infinity at 0; not for negative numbers.
ADJUDGE_INLINE Lanes logarithm(const Lanes& x) {
  const Mask zero = less(x, Lanes(1.17549435e-38f));
  Lanes exponent;
  const Lanes m = mantissa_of(select(zero, Lanes(1.0f), x), &exponent) - Lanes(1.0f);
  const Lanes square = m * m;
  Lanes polynomial(7.0376836292e-2f);
  polynomial = multiply_add(polynomial, m, Lanes(-1.1514610310e-1f));
  polynomial = multiply_add(polynomial, m, Lanes(1.1676998740e-1f));
  polynomial = multiply_add(polynomial, m, Lanes(-1.2420140846e-1f));
  polynomial = multiply_add(polynomial, m, Lanes(1.4249322787e-1f));
  polynomial = multiply_add(polynomial, m, Lanes(-1.6668057665e-1f));
  polynomial = multiply_add(polynomial, m, Lanes(2.0000714765e-1f));
  polynomial = multiply_add(polynomial, m, Lanes(-2.4999993993e-1f));
  polynomial = multiply_add(polynomial, m, Lanes(3.3333331174e-1f));
  Lanes result = polynomial * m * square;
  result = multiply_add(exponent, Lanes(-2.12194440e-4f), result);
  result = multiply_add(square, Lanes(-0.5f), result);
  result = multiply_add(exponent, Lanes(0.693359375f), result + m);
  return select(zero, Lanes(-__builtin_inff()), result);
}

// Of the `left` tokens from `at` on, those that count; mask may be null: all.
ADJUDGE_INLINE Mask counted_lanes(const uint8_t* mask, int64_t at, int64_t left) {
  return mask != nullptr ? nonzero_bytes(mask + at, left) : first_lanes(left);
}

}  // namespace
}  // namespace adjudge
