#include "native/cpu/logits_row.h"

namespace adjudge {

const LogitsRowKernel logits_row_avx2 = logits_row_body;

}  // namespace adjudge
