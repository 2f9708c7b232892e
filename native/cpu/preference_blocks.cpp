#include "native/cpu/preference_blocks.h"

#include "native/core/cpu_features.h"

namespace adjudge {

const PreferenceKernels& preference_kernels() {
#if defined(__x86_64__)
  static const PreferenceKernels& selected = [&]() -> const PreferenceKernels& {
    switch (selected_instruction_set()) {
      case InstructionSet::portable:
        return preference_portable;
      case InstructionSet::avx2:
        return preference_avx2;
      default:
        return preference_avx512;
    }
  }();
  return selected;
#else
  return preference_portable;
#endif
}

void PreferenceChunk::add(const PreferenceChunk& other) {
  sums.loss += other.sums.loss;
  sums.reward_chosen += other.sums.reward_chosen;
  sums.reward_rejected += other.sums.reward_rejected;
  sums.higher += other.sums.higher;
  sums.margin += other.sums.margin;
  sums.log_prob_chosen += other.sums.log_prob_chosen;
  sums.log_prob_rejected += other.sums.log_prob_rejected;
  sums.log_odds += other.sums.log_odds;
  sums.log_sigmoid_odds += other.sums.log_sigmoid_odds;
  sums.reward_least = std::min(sums.reward_least, other.sums.reward_least);
  sums.reward_most = std::max(sums.reward_most, other.sums.reward_most);
  nll += other.nll;
  nll_tokens += other.nll_tokens;
  desirable += other.desirable;
}

void PreferenceRows::sum(std::int64_t begin, std::int64_t end) {
  if (!batch_.cu_seqlens) return;
  first_ = begin;
  sums_ = std::make_unique_for_overwrite<CompletionSums[]>(static_cast<std::size_t>(end - begin));
  add_up(begin, end);
}

void PreferenceRows::sum_all() {
  if (!batch_.cu_seqlens) return;
  sums_ = std::make_unique_for_overwrite<CompletionSums[]>(batch_.completions);
  each_chunk([&](std::int64_t begin, std::int64_t end) { add_up(begin, end); });
}

void PreferenceRows::add_up(std::int64_t begin, std::int64_t end) {
  const PreferenceTokens tokens{batch_.log_probs, batch_.reference_log_probs, batch_.mask, batch_.nll_mask,
                                batch_.cu_seqlens[batch_.completions]};
  preference_kernels().sum_rows(tokens, batch_.cu_seqlens + begin, end - begin,
                                sums_.get() + (begin - first_));
}

}  // namespace adjudge
