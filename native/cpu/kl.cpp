#include "native/cpu/kl.h"

#include <algorithm>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "native/core/cpu_features.h"
#include "native/core/thread_pool.h"
#include "native/cpu/kl_kernels.h"

namespace adjudge {
namespace {

using namespace rl;

constexpr std::int64_t chunk_tokens = 65536;                     // of one work item
constexpr std::int64_t streamed_tokens = std::int64_t{8} << 20;  // larger outputs go past the caches

const KlKernels& kernels() {
#if defined(__x86_64__)
  const InstructionSet set = selected_instruction_set();
  if (set == InstructionSet::avx2) return kl_avx2;
  if (set != InstructionSet::portable) return kl_avx512;
#endif
  return kl_portable;
}

struct Part {
  double means = 0;  // of rows
  double sum = 0;
  double count = 0;
};

class Rewards {
 public:
  Rewards(const KlRewardRule& rule, const KlRewardBatch<float>& batch, float* results)
      : rule_(rule), constants_(kl_constants(rule.kl)), batch_(batch), results_(results) {}

  KlRewardMetrics run() const {
    KlRewardMetrics metrics;
    const auto rows = static_cast<std::int64_t>(batch_.rows);
    if (rows == 0) return metrics;
    const std::int32_t* starts = batch_.cu_seqlens;
    const std::int64_t chunks = starts[rows] / chunk_tokens + 1;
    std::vector<Part> parts(static_cast<std::size_t>(chunks));
    // The rows of chunk k are those that start in its range of tokens.
    const auto first_row = [&](std::int64_t chunk) {
      return chunk == chunks ? rows : std::lower_bound(starts, starts + rows, chunk * chunk_tokens) - starts;
    };
    const auto chunk = [&](std::int64_t item, int) {
      parts[static_cast<std::size_t>(item)] = some_rows(first_row(item), first_row(item + 1));
    };
    if (chunks == 1)
      chunk(0, 0);
    else
      parallel_for(chunks, chunk);
    double tokens = 0;
    for (const Part& part : parts) {
      metrics.kl += part.means;
      metrics.kl_token += part.sum;
      tokens += part.count;
    }
    metrics.kl /= static_cast<double>(rows);
    if (tokens > 0) metrics.kl_token /= tokens;
    return metrics;
  }

 private:
  Part some_rows(std::int64_t first, std::int64_t end) const {
    const bool stream = batch_.cu_seqlens[batch_.rows] >= streamed_tokens;
    Part part;
    for (std::int64_t row = first; row < end; ++row) one_row(row, stream, part);
#if defined(__x86_64__)
    if (stream) _mm_sfence();
#endif
    return part;
  }

  void one_row(std::int64_t row, bool stream, Part& part) const {
    const std::int64_t begin = batch_.cu_seqlens[row];
    const std::int64_t count = batch_.cu_seqlens[row + 1] - begin;
    const auto at = [&](const auto* values) { return values ? values + begin : nullptr; };
    const std::uint8_t* mask = at(batch_.mask);
    std::int64_t last = count - 1, counted = count;
    if (mask) {
      while (last >= 0 && !mask[last]) --last;
      counted = std::count_if(mask, mask + count, [](std::uint8_t one) { return one != 0; });
    }
    float reward = 0;
    if (batch_.rewards && last >= 0) {
      reward = static_cast<float>(
          std::clamp(static_cast<double>(batch_.rewards[row]), rule_.clip_low, rule_.clip_high));
    }
    const double sum = kernels_.reward_row(
        constants_, {count, at(batch_.token_rewards), at(batch_.kl), at(batch_.log_probs),
                     at(batch_.reference_log_probs), mask, last, reward, results_ + begin, stream});
    if (counted > 0) part.means += sum / static_cast<double>(counted);
    part.sum += sum;
    part.count += static_cast<double>(counted);
  }

  const KlRewardRule& rule_;
  KlConstants constants_;
  const KlRewardBatch<float>& batch_;
  float* results_;
  const KlKernels& kernels_ = kernels();
};

}  // namespace

void kl_tokens(const KlRule& rule, const KlTokensBatch<float>& batch, float* values, float* gradients) {
  const KlConstants constants = kl_constants(rule);
  const KlKernels& table = kernels();
  const auto total = static_cast<std::int64_t>(batch.tokens);
  const auto chunk = [&](std::int64_t item, int) {
    const std::int64_t begin = item * chunk_tokens;
    const auto at = [&](auto* array) { return array ? array + begin : nullptr; };
    table.tokens(constants,
                 {std::min(chunk_tokens, total - begin), at(batch.log_probs), at(batch.reference_log_probs),
                  at(batch.old_log_probs), at(batch.mask), values + begin, gradients + begin});
  };
  if (total <= chunk_tokens) return chunk(0, 0);
  parallel_for((total + chunk_tokens - 1) / chunk_tokens, chunk);
}

KlRewardMetrics kl_reward(const KlRewardRule& rule, const KlRewardBatch<float>& batch, float* results) {
  return Rewards(rule, batch, results).run();
}

}  // namespace adjudge
