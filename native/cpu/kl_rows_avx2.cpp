#include "native/cpu/kl_rows_row.h"

namespace adjudge {

const KlRowKernel kl_row_avx2 = kl_row_body;

}  // namespace adjudge
