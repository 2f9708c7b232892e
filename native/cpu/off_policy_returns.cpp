#include "native/cpu/off_policy_returns.h"

#include "native/core/cpu_features.h"
#include "native/cpu/off_policy_returns_kernels.h"
#include "native/cpu/token_rows.h"

namespace adjudge {

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
                float* targets, float* advantages) {
  const auto rows = static_cast<int64_t>(batch.rows);
  const ReturnsOutput output{targets, advantages, batch.cu_seqlens[rows] >= streamed_tokens};
  for_token_rows(batch.cu_seqlens, rows, item_tokens,
                 [&](int64_t first, int64_t last) { kernel(rule, batch, first, last, output); });
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
