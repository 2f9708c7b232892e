#include "native/cpu/lanes8.h"
#include "native/cpu/kl_sweep.h"

namespace adjudge {

const KlKernels kl_avx2 = kl_table;

}  // namespace adjudge
