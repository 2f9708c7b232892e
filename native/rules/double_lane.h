#pragma once

#include <math.h>

#include "rules/device.h"

// The number type `double` of code that is written once for scalars, vectors and the lanes of a GPU: one
// token at a time. Vectors bring the same functions for their own type (cpu/doubles.h).
namespace adjudge::rl {

ADJUDGE_DEVICE bool less(double a, double b) { return a < b; }
ADJUDGE_DEVICE bool at_most(double a, double b) { return a <= b; }
ADJUDGE_DEVICE bool equal(double a, double b) { return a == b; }
ADJUDGE_DEVICE double select(bool mask, double yes, double no) { return mask ? yes : no; }
ADJUDGE_DEVICE double minimum(double a, double b) { return a < b ? a : b; }
ADJUDGE_DEVICE double maximum(double a, double b) { return a > b ? a : b; }
ADJUDGE_DEVICE double absolute(double x) { return fabs(x); }
ADJUDGE_DEVICE double exponential(double x) { return exp(x); }
ADJUDGE_DEVICE double exponential_minus_one(double x) { return expm1(x); }
ADJUDGE_DEVICE double logarithm(double x) { return log(x); }
ADJUDGE_DEVICE double log_of_one_plus(double x) { return log1p(x); }

}  // namespace adjudge::rl
