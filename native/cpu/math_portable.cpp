#include "native/cpu/math_rows.h"

namespace adjudge {

const MathKernels math_portable = math_table;

}  // namespace adjudge
