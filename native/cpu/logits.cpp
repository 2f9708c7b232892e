#include "native/core/cpu_features.h"
#include "native/cpu/logits_kernels.h"

namespace adjudge {

static LogitsRowKernel select() {
#if defined(__x86_64__)
  const InstructionSet set = selected_instruction_set();
  if (set == InstructionSet::avx2) return logits_row_avx2;
  if (set != InstructionSet::portable) return logits_row_avx512;
#endif
  return logits_row_portable;
}

LogitsRow logits_row(const float* logits, int64_t width, float scale, bool with_squares, TopLogits& top) {
  static const LogitsRowKernel kernel = select();
  return kernel(logits, width, scale, with_squares, top);
}

}  // namespace adjudge
