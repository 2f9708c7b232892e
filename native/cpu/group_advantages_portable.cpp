#include "native/cpu/group_advantages_sweep.h"

namespace adjudge {

const GroupAdvantageKernels group_advantages_portable = group_advantages_table;

}  // namespace adjudge
