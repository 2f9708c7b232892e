// Compiled for AVX2; only the table leaves this file. Processors with AVX-512 use it too: these loops wait
// for memory, and half of AVX-512's width would be lost on the short rows.
#include "native/cpu/math_rows.h"

namespace adjudge {

const MathKernels math_avx2 = math_table;

}  // namespace adjudge
