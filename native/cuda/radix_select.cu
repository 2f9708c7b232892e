// Reads every key once per 8 bits of it: 16 bytes an element for 32-bit keys, 64 for 64-bit keys.
#include "cuda/radix_select.cuh"

namespace adjudge::cuda {
namespace {

template <typename Key>
SIMT_KERNEL radix_count_kernel(const Key* keys, std::int64_t count, int shift, RadixState* state) {
  SIMT_SHARED std::int32_t bins[radix_bins];
  for (int i = simt::thread(); i < radix_bins; i += simt::threads()) bins[i] = 0;
  simt::block_barrier();
  const std::int64_t begin = simt::block() * keys_per_block;
  const std::int64_t end = begin + keys_per_block < count ? begin + keys_per_block : count;
  const std::uint64_t found = state->key;
  for (std::int64_t i = begin + simt::thread(); i < end; i += simt::threads()) {
    const std::uint64_t rest = static_cast<std::uint64_t>(keys[i]) ^ found;
    // Alike in all higher digits.
    if ((rest >> shift) < radix_bins)
      simt::atomic_add(&bins[keys[i] >> shift & (radix_bins - 1)], std::int32_t{1});
  }
  simt::block_barrier();
  for (int i = simt::thread(); i < radix_bins; i += simt::threads()) {
    if (bins[i] != 0) simt::atomic_add(&state->bins[i], bins[i]);
  }
}

// One thread: the digit in which the rank lies.
SIMT_KERNEL radix_digit_kernel(int shift, RadixState* state) {
  if (simt::thread() != 0) return;
  std::int32_t rank = state->rank;
  int digit = 0;
  while (digit < radix_bins - 1 && rank >= state->bins[digit]) rank -= state->bins[digit++];
  state->key |= static_cast<std::uint64_t>(digit) << shift;
  state->rank = rank;
  state->equal = state->bins[digit];
  for (int i = 0; i < radix_bins; ++i) state->bins[i] = 0;
}

template <typename Key>
void select(Enqueue& enqueue, const Key* keys, std::int64_t count, RadixState* state) {
  for (int shift = 8 * static_cast<int>(sizeof(Key)) - 8; shift >= 0; shift -= 8) {
    enqueue("radix_count_kernel", radix_count_kernel<Key>, blocks_of(count, keys_per_block), keys, count,
            shift, state);
    enqueue.with(ADJUDGE_NAMED(radix_digit_kernel), {1, simt::warp_size, 0}, shift, state);
  }
}

}  // namespace

void enqueue_radix_select(Enqueue& enqueue, const std::uint32_t* keys, std::int64_t count,
                          RadixState* state) {
  select(enqueue, keys, count, state);
}

void enqueue_radix_select(Enqueue& enqueue, const std::uint64_t* keys, std::int64_t count,
                          RadixState* state) {
  select(enqueue, keys, count, state);
}

}  // namespace adjudge::cuda
