#include "native/cpu/lanes8.h"
#include "native/cpu/q_network.h"

namespace adjudge {

const QKernels q_kernels_avx2 = q_table;

}  // namespace adjudge
