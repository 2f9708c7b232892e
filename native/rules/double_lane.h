#pragma once

#include "rules/device.h"

// The number type `double` of code that is written once for scalars, vectors and the lanes of a GPU: one
// token at a time. Vectors bring the same functions for their own type (cpu/doubles.h).
namespace adjudge::rl {

ADJUDGE_DEVICE bool at_most(double a, double b) { return a <= b; }
ADJUDGE_DEVICE double select(bool mask, double yes, double no) { return mask ? yes : no; }
ADJUDGE_DEVICE double minimum(double a, double b) { return a < b ? a : b; }
ADJUDGE_DEVICE double maximum(double a, double b) { return a > b ? a : b; }

}  // namespace adjudge::rl
