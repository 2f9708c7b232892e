#include "native/cpu/off_policy_sweep.h"

namespace adjudge {

const OffPolicyKernels off_policy_portable = off_policy_kernels;

}  // namespace adjudge
