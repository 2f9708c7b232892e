// aot: a thread per pair takes both sides' numbers, a bitonic network sorts each side by number and index,
// and a thread per rank takes the loss of the two pairs that meet there. For n pairs the sort reads and
// writes 24 bytes an element for each of about (log2(n / 1024))^2 / 2 steps beyond what fits the shared
// memory of a block; about 100 f64 operations a pair for the losses.
#include <cmath>

#include "cuda/preference_loss.cuh"
#include "cuda/radix_select.cuh"

namespace adjudge::cuda {
namespace {

using namespace rl;

// A power of two: what a block sorts in shared memory, 12 bytes an element.
constexpr std::int64_t tile = 1024;

// Whether the second of two elements stands before the first. No two have the same index.
SIMT_DEVICE bool out_of_order(std::uint64_t key, std::int32_t index, std::uint64_t next_key,
                              std::int32_t next_index) {
  return next_key < key || (next_key == key && next_index < index);
}

template <typename Element>
SIMT_DEVICE void swap_elements(Element& a, Element& b) {
  const Element kept = a;
  a = b;
  b = kept;
}

// Compares the elements i and i + stride, i the `pair`-th that has bit `stride` clear; `begin`: of the
// array's part, as a place within its side.
SIMT_DEVICE void compare_exchange(std::uint64_t* keys, std::int32_t* order, std::int64_t pair,
                                  std::int64_t stride, std::int64_t size, std::int64_t begin) {
  const std::int64_t a = 2 * pair - (pair & (stride - 1)), b = a + stride;
  const bool ascending = ((begin + a) & size) == 0;
  if (out_of_order(keys[a], order[a], keys[b], order[b]) != ascending) return;
  swap_elements(keys[a], keys[b]);
  swap_elements(order[a], order[b]);
}

SIMT_KERNEL sorted_sides_kernel(PreferenceView view, SortedPairs sorted) {
  const std::int64_t place = simt::block() * simt::threads() + simt::thread();
  if (place >= sorted.padded) return;
  std::uint64_t left_key = ~std::uint64_t{0}, right_key = left_key;  // behind every number
  if (place < view.terms) {
    const PreferenceSide good = side_of(view, view.batch.chosen[place]),
                         bad = side_of(view, view.batch.rejected[place]);
    const bool unpaired = view.rule.kind == PreferenceKind::aot_unpaired;
    const double left = unpaired ? good.log_ratio : good.log_prob - bad.log_prob;
    const double right =
        unpaired ? bad.log_ratio : (good.log_prob - good.log_ratio) - (bad.log_prob - bad.log_ratio);
    sorted.left[place] = left;
    sorted.right[place] = right;
    left_key = ordered_bits(left + 0.0);  // -0 and 0 are equal
    right_key = ordered_bits(right + 0.0);
  }
  sorted.keys[place] = left_key;
  sorted.keys[sorted.padded + place] = right_key;
  sorted.order[place] = sorted.order[sorted.padded + place] = static_cast<std::int32_t>(place);
}

// The steps of the sizes `from` to `to` with strides below the tile.
SIMT_KERNEL sorted_tile_kernel(SortedPairs sorted, std::int64_t from, std::int64_t to) {
  SIMT_SHARED std::uint64_t keys[tile];
  SIMT_SHARED std::int32_t order[tile];
  const std::int64_t begin = simt::block() * tile;
  for (std::int64_t i = simt::thread(); i < tile; i += simt::threads()) {
    keys[i] = sorted.keys[begin + i];
    order[i] = sorted.order[begin + i];
  }
  simt::block_barrier();
  for (std::int64_t size = from; size <= to; size *= 2) {
    for (std::int64_t stride = size < tile ? size / 2 : tile / 2; stride > 0; stride /= 2) {
      for (std::int64_t pair = simt::thread(); pair < tile / 2; pair += simt::threads())
        compare_exchange(keys, order, pair, stride, size, begin & (sorted.padded - 1));
      simt::block_barrier();
    }
  }
  for (std::int64_t i = simt::thread(); i < tile; i += simt::threads()) {
    sorted.keys[begin + i] = keys[i];
    sorted.order[begin + i] = order[i];
  }
}

SIMT_KERNEL sorted_step_kernel(SortedPairs sorted, std::int64_t size, std::int64_t stride) {
  const std::int64_t pair = simt::block() * simt::threads() + simt::thread();
  if (pair >= sorted.padded) return;  // half as many a side
  const std::int64_t half = sorted.padded / 2, side = pair < half ? 0 : sorted.padded;
  compare_exchange(sorted.keys + side, sorted.order + side, pair < half ? pair : pair - half, stride, size,
                   0);
}

SIMT_KERNEL sorted_matched_kernel(PreferenceView view, SortedPairs sorted) {
  const std::int64_t rank = simt::block() * simt::threads() + simt::thread();
  if (rank >= view.terms) return;
  const std::int32_t left = sorted.order[rank], right = sorted.order[sorted.padded + rank];
  const PairLoss<double> loss =
      margin_loss(view.rule, view.rule.beta * (sorted.left[left] - sorted.right[right]));
  view.matched_losses[left] = view.each * loss.value;
  view.chosen_slopes[left] = view.each * loss.chosen;
  // Unpaired, the other side is a rejected completion; paired, the reference, which is constant.
  const bool unpaired = view.rule.kind == PreferenceKind::aot_unpaired;
  view.rejected_slopes[unpaired ? right : left] = view.each * loss.rejected;
}

}  // namespace

SortedPairs take_sorted_pairs(Enqueue& enqueue, std::int64_t count) {
  SortedPairs sorted{};
  sorted.padded = tile;
  while (sorted.padded < count) sorted.padded *= 2;
  sorted.left = enqueue.take<double>(count);
  sorted.right = enqueue.take<double>(count);
  sorted.keys = enqueue.take<std::uint64_t>(2 * sorted.padded);
  sorted.order = enqueue.take<std::int32_t>(2 * sorted.padded);
  return sorted;
}

void enqueue_sorted_pairs(Enqueue& enqueue, const PreferenceView& view, const SortedPairs& sorted) {
  const std::int64_t blocks = blocks_of(sorted.padded, enqueue.threads()), tiles = 2 * sorted.padded / tile;
  enqueue(ADJUDGE_NAMED(sorted_sides_kernel), blocks, view, sorted);
  enqueue(ADJUDGE_NAMED(sorted_tile_kernel), tiles, sorted, std::int64_t{2}, tile);
  for (std::int64_t size = 2 * tile; size <= sorted.padded; size *= 2) {
    for (std::int64_t stride = size / 2; stride >= tile; stride /= 2)
      enqueue(ADJUDGE_NAMED(sorted_step_kernel), blocks, sorted, size, stride);
    enqueue(ADJUDGE_NAMED(sorted_tile_kernel), tiles, sorted, size, size);
  }
  enqueue(ADJUDGE_NAMED(sorted_matched_kernel), blocks_of(view.terms, enqueue.threads()), view, sorted);
}

}  // namespace adjudge::cuda
