#pragma once

#include <math.h>

#include "rules/device.h"

// The number type `float` of the coefficient code (loss_terms.h, kl_terms.h): one token at a time. Vectors of
// tokens bring the same functions for their own type (cpu/lanes*.h).
namespace adjudge::rl {

ADJUDGE_DEVICE bool less(float a, float b) { return a < b; }
ADJUDGE_DEVICE bool at_most(float a, float b) { return a <= b; }
ADJUDGE_DEVICE bool equal(float a, float b) { return a == b; }
ADJUDGE_DEVICE bool both(bool a, bool b) { return a && b; }
ADJUDGE_DEVICE bool either(bool a, bool b) { return a || b; }
ADJUDGE_DEVICE bool opposite(bool a) { return !a; }
ADJUDGE_DEVICE float select(bool mask, float yes, float no) { return mask ? yes : no; }
ADJUDGE_DEVICE float minimum(float a, float b) { return a < b ? a : b; }
ADJUDGE_DEVICE float maximum(float a, float b) { return a > b ? a : b; }
ADJUDGE_DEVICE float absolute(float x) { return fabsf(x); }
ADJUDGE_DEVICE float exponential(float x) { return expf(x); }
ADJUDGE_DEVICE float exponential_minus_one(float x) { return expm1f(x); }
ADJUDGE_DEVICE float logarithm(float x) { return logf(x); }

}  // namespace adjudge::rl
