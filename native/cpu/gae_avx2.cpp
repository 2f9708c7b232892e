#include "native/cpu/gae_rows.h"

namespace adjudge {

const GaeKernel gae_avx2 = gae_rows;

}  // namespace adjudge
