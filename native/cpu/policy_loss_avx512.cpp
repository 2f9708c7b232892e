#include "native/cpu/lanes16.h"
#include "native/cpu/policy_loss_sweep.h"

namespace adjudge {

const PolicyLossKernels policy_loss_avx512 = policy_loss_table;

}  // namespace adjudge
