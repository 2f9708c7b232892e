#include "native/cpu/lanes8.h"
#include "native/cpu/policy_loss_sweep.h"

namespace adjudge {

const PolicyLossKernels policy_loss_avx2 = policy_loss_table;

}  // namespace adjudge
