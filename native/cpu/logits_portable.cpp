#include "native/cpu/logits_row.h"

namespace adjudge {

const LogitsRowKernel logits_row_portable = logits_row_body;

}  // namespace adjudge
