#include "native/cpu/gae.h"

#include "native/core/cpu_features.h"
#include "native/cpu/gae_kernels.h"
#include "native/cpu/token_rows.h"

namespace adjudge {

static constexpr int64_t item_tokens = 65536;

// Outputs beyond what the caches hold are better written past them.
static constexpr int64_t streamed_tokens = int64_t{4} << 20;

static GaeKernel select() {
#if defined(__x86_64__)
  const InstructionSet set = selected_instruction_set();
  if (set == InstructionSet::avx2) return gae_avx2;
  if (set != InstructionSet::portable) return gae_avx512;
#endif
  return gae_portable;
}

void gae(const rl::GaeRule& rule, const rl::GaeBatch<float>& batch, float* advantages, float* returns) {
  static const GaeKernel kernel = select();
  const auto rows = static_cast<int64_t>(batch.rows);
  const GaeOutput output{advantages, returns, batch.cu_seqlens[rows] >= streamed_tokens};
  for_token_rows(batch.cu_seqlens, rows, item_tokens,
                 [&](int64_t first, int64_t last) { kernel(rule, batch, first, last, output); });
}

}  // namespace adjudge
