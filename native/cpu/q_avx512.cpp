#include "native/cpu/lanes16.h"
#include "native/cpu/q_network.h"

namespace adjudge {

const QKernels q_kernels_avx512 = q_table;

}  // namespace adjudge
