// exp, expm1 and log of Lanes, to about one unit in the last place. Include lanes8.h or lanes16.h first.
// Polynomials: Cephes (Moshier 1992).
#pragma once

namespace adjudge {
namespace {

struct Reduced {
  Lanes scale;   // 2^n
  Lanes growth;  // e^r - 1
};

// x = n ln2 + r with |r| <= ln2 / 2, ln2 in two parts so that n times the first is exact.
ADJUDGE_INLINE Reduced reduced_exponential(const Lanes& x) {
  const Lanes limited = minimum(Lanes(88.3f), maximum(Lanes(-87.3f), x));
  const Lanes n = nearest_integer(limited * Lanes(1.44269504088896341f));
  Lanes r = multiply_add(n, Lanes(-0.693359375f), limited);
  r = multiply_add(n, Lanes(2.12194440e-4f), r);
  Lanes polynomial(1.9875691500e-4f);
  polynomial = multiply_add(polynomial, r, Lanes(1.3981999507e-3f));
  polynomial = multiply_add(polynomial, r, Lanes(8.3334519073e-3f));
  polynomial = multiply_add(polynomial, r, Lanes(4.1665795894e-2f));
  polynomial = multiply_add(polynomial, r, Lanes(1.6666665459e-1f));
  polynomial = multiply_add(polynomial, r, Lanes(5.0000001201e-1f));
  return {power_of_two(n), multiply_add(polynomial, r * r, r)};
}

// Below -87.3 it stays at e^-87.3 (1e-38), above 88.3 at e^88.3.
ADJUDGE_INLINE Lanes exponential(const Lanes& x) {
  const Reduced parts = reduced_exponential(x);
  return multiply_add(parts.scale, parts.growth, parts.scale);
}

ADJUDGE_INLINE Lanes exponential_minus_one(const Lanes& x) {
  const Reduced parts = reduced_exponential(x);
  return multiply_add(parts.scale, parts.growth, parts.scale - Lanes(1.0f));
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

}  // namespace
}  // namespace adjudge
