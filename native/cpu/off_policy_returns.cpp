#include "native/cpu/off_policy_returns.h"

#include <algorithm>

#include "native/core/cpu_features.h"
#include "native/core/thread_pool.h"
#include "native/cpu/off_policy_returns_kernels.h"

namespace adjudge {

// The rows of item k are those that start in its range of tokens.
static constexpr int64_t item_tokens = 32768;

// Outputs beyond what the caches hold are better written past them.
static constexpr int64_t streamed_tokens = int64_t{4} << 20;

static const ReturnsKernels& select() {
#if defined(__x86_64__)
  const InstructionSet set = selected_instruction_set();
  if (set == InstructionSet::avx2) return returns_avx2;
  if (set != InstructionSet::portable) return returns_avx512;
#endif
  return returns_portable;
}

static const ReturnsKernels& kernels() {
  static const ReturnsKernels& selected = select();
  return selected;
}

template <typename Rule>
static void run(ReturnsKernel<Rule> kernel, const Rule& rule, const rl::ReturnsBatch<float>& batch,
                float* first, float* second) {
  const int32_t* bounds = batch.cu_seqlens;
  const int64_t tokens = bounds[batch.rows];
  const ReturnsOutput output{first, second, tokens >= streamed_tokens};
  const auto rows = static_cast<int64_t>(batch.rows);
  if (tokens <= item_tokens) return kernel(rule, batch, 0, rows, output);
  const auto first_row = [&](int64_t token) {
    return std::lower_bound(bounds, bounds + rows, token) - bounds;
  };
  parallel_for((tokens + item_tokens - 1) / item_tokens, [&](int64_t item, int) {
    kernel(rule, batch, first_row(item * item_tokens), first_row((item + 1) * item_tokens), output);
  });
}

void vtrace(const rl::VtraceRule& rule, const rl::ReturnsBatch<float>& batch, float* targets,
            float* advantages) {
  run(kernels().vtrace, rule, batch, targets, advantages);
}

void retrace(const rl::RetraceRule& rule, const rl::ReturnsBatch<float>& batch, float* targets) {
  run(kernels().retrace, rule, batch, targets, nullptr);
}

void upgo(const rl::UpgoRule& rule, const rl::ReturnsBatch<float>& batch, float* returns, float* advantages) {
  run(kernels().upgo, rule, batch, returns, advantages);
}

}  // namespace adjudge
