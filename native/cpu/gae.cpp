#include "native/cpu/gae.h"

#include <algorithm>

#include "native/core/cpu_features.h"
#include "native/core/thread_pool.h"
#include "native/cpu/gae_kernels.h"

namespace adjudge {

// The rows of item k are those that start in its range of tokens.
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
  const int32_t* bounds = batch.cu_seqlens;
  const int64_t tokens = bounds[batch.rows];
  const GaeOutput output{advantages, returns, tokens >= streamed_tokens};
  const auto rows = static_cast<int64_t>(batch.rows);
  if (tokens <= item_tokens) return kernel(rule, batch, 0, rows, output);
  const auto first_row = [&](int64_t token) {
    return std::lower_bound(bounds, bounds + rows, token) - bounds;
  };
  parallel_for((tokens + item_tokens - 1) / item_tokens, [&](int64_t item, int) {
    kernel(rule, batch, first_row(item * item_tokens), first_row((item + 1) * item_tokens), output);
  });
}

}  // namespace adjudge
