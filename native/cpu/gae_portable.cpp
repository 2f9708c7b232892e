#include "native/cpu/gae_rows.h"

namespace adjudge {

const GaeKernel gae_portable = gae_rows;

}  // namespace adjudge
