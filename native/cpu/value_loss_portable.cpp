#include "native/cpu/value_loss_sweep.h"

namespace adjudge {

const ValueLossKernel value_loss_portable = value_loss_block;

}  // namespace adjudge
