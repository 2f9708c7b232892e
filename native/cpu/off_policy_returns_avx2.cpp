#include "native/cpu/off_policy_returns_rows.h"

namespace adjudge {

const ReturnsKernels returns_avx2 = returns_kernels;

}  // namespace adjudge
