#include "native/cpu/lanes16.h"
#include "native/cpu/kl_sweep.h"

namespace adjudge {

const KlKernels kl_avx512 = kl_table;

}  // namespace adjudge
