#include "native/cpu/kl_rows.h"

#include <algorithm>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "native/core/cpu_features.h"
#include "native/core/thread_pool.h"
#include "native/cpu/kl_rows_kernels.h"

namespace adjudge {
namespace {

constexpr std::size_t logits_per_item = std::size_t{1} << 16;  // of one work item: small rows share one
constexpr std::size_t streamed_logits = std::size_t{8} << 20;  // larger outputs go past the caches

KlRowKernel select() {
#if defined(__x86_64__)
  const InstructionSet set = selected_instruction_set();
  if (set == InstructionSet::avx2) return kl_row_avx2;
  if (set != InstructionSet::portable) return kl_row_avx512;
#endif
  return kl_row_portable;
}

}  // namespace

void kl_rows(rl::KlDirection direction, const rl::KlRowsBatch<float>& batch, float* values,
             float* gradients) {
  static const KlRowKernel kernel = select();
  const std::size_t width = batch.width;
  const bool stream = batch.rows * width >= streamed_logits;
  const std::size_t size = std::max<std::size_t>(1, logits_per_item / std::max<std::size_t>(1, width));
  const auto rows = [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i) {
      float* const gradient = gradients ? gradients + i * width : nullptr;
      if (batch.mask && !batch.mask[i]) {
        values[i] = 0;
        if (gradient) std::fill_n(gradient, width, 0.0F);
        continue;
      }
      values[i] = static_cast<float>(kernel({batch.logits + i * width, batch.reference_logits + i * width,
                                             static_cast<std::int64_t>(width),
                                             direction == rl::KlDirection::reverse, gradient, stream}));
    }
#if defined(__x86_64__)
    if (stream) _mm_sfence();
#endif
  };
  if (batch.rows <= size) return rows(0, batch.rows);
  parallel_for(static_cast<std::int64_t>((batch.rows + size - 1) / size), [&](std::int64_t item, int) {
    const std::size_t begin = static_cast<std::size_t>(item) * size;
    rows(begin, std::min(batch.rows, begin + size));
  });
}

}  // namespace adjudge
