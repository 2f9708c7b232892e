// The most probable tokens of a row, by one block: the least key among them is found by counting digits of 8
// bits from the highest, then they are gathered and put in order. Up to 9 passes over the row, which a cache
// holds; the tokens' own digits are looked at only where logits tie at the end of the list.
#pragma once

#include "cuda/elements.cuh"
#include "cuda/radix_select.cuh"

namespace adjudge::cuda {

constexpr std::int64_t most_top_tokens = 1024;

// Greater for a larger logit, and of equal ones for the lower token.
SIMT_DEVICE std::uint64_t top_key(float logit, std::int64_t token) {
  // Without the sign of a zero.
  return static_cast<std::uint64_t>(ordered_bits(logit + 0.0f)) << 32 | (~static_cast<std::uint32_t>(token));
}
SIMT_DEVICE std::int32_t token_of_key(std::uint64_t key) {
  return static_cast<std::int32_t>(~static_cast<std::uint32_t>(key));
}

// keys: shared memory, [count], descending afterwards. count: at most most_top_tokens and the width. All
// threads of the block call it.
template <typename T>
SIMT_DEVICE void top_keys_of_row(const T* row, std::int64_t width, int count, std::uint64_t* keys) {
  SIMT_SHARED std::int32_t bins[radix_bins];
  SIMT_SHARED std::int32_t found;
  std::uint64_t least = 0;  // the higher digits of the least key that is taken
  int wanted = count;       // of the keys alike in those digits
  for (int shift = 56; shift >= 0; shift -= 8) {
    for (int i = simt::thread(); i < radix_bins; i += simt::threads()) bins[i] = 0;
    simt::block_barrier();
    for_elements_of_row(row, width, [&](const auto& logits, std::int64_t first) {
      for (int j = 0; j < logits.size; ++j) {
        const std::uint64_t key = top_key(logits.at[j], first + j);
        if (((key ^ least) >> shift) < radix_bins)
          simt::atomic_add(&bins[key >> shift & (radix_bins - 1)], std::int32_t{1});
      }
    });
    simt::block_barrier();
    int digit = radix_bins - 1;
    while (digit > 0 && wanted > bins[digit]) wanted -= bins[digit--];
    least |= static_cast<std::uint64_t>(digit) << shift;
    const bool all = wanted == bins[digit];
    simt::block_barrier();
    if (all) break;
  }
  if (simt::thread() == 0) found = 0;
  simt::block_barrier();
  for_elements_of_row(row, width, [&](const auto& logits, std::int64_t first) {
    for (int j = 0; j < logits.size; ++j) {
      const std::uint64_t key = top_key(logits.at[j], first + j);
      if (key >= least) keys[simt::atomic_add(&found, std::int32_t{1})] = key;
    }
  });
  simt::block_barrier();
  // Each thread places up to most_top_tokens / 32 keys by the number of greater ones.
  constexpr int most_of_a_thread = most_top_tokens / simt::warp_size;
  std::uint64_t own[most_of_a_thread];
  int place[most_of_a_thread];
  int held = 0;
  for (int i = simt::thread(); i < count; i += simt::threads(), ++held) {
    own[held] = keys[i];
    place[held] = 0;
    for (int j = 0; j < count; ++j) place[held] += keys[j] > own[held] ? 1 : 0;
  }
  simt::block_barrier();
  for (int i = 0; i < held; ++i) keys[place[i]] = own[i];
  simt::block_barrier();
}

}  // namespace adjudge::cuda
