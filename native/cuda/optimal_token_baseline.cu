// The optimal token baseline (reference/optimal_token_baseline.h): a warp per row adds up the squared norms
// of its scores from the left; then the threads of a group's blocks take a place each and go through the
// group's rows twice, for the weighted mean of the returns and to take it off. Reads 9 bytes a token, keeps
// 8 (12 where counted tokens are aligned), then reads 12 and 4 of it and writes 4; sums are in f64, over the
// rows of a group in their order.
#include <math.h>

#include "cuda/advantage.cuh"
#include "cuda/scan.cuh"

namespace adjudge::cuda {
namespace {

using namespace rl;

// So that few groups of long rows occupy the device too.
constexpr std::int64_t blocks_per_group = 8;

SIMT_DEVICE bool counts(const AdvantageBatch<float>& batch, std::int64_t t) {
  return !batch.mask || batch.mask[t];
}

SIMT_KERNEL score_norms_kernel(AdvantageView view, OptimalTokens optimal, const std::uint8_t* scored) {
  const AdvantageBatch<float>& batch = view.batch;
  const std::int64_t row = simt::block();
  const std::int64_t begin = batch.cu_seqlens[row];
  const std::int64_t end = batch.cu_seqlens[row + 1];
  if (!scored[row]) return;
  double weight = 0;
  std::int32_t length = 0;
  for (std::int64_t first = begin; first < end; first += simt::warp_size) {
    const std::int64_t t = first + simt::lane();
    const bool counted = t < end && counts(batch, t);
    double norm = 0;
    if (counted) {
      norm = 1 - 2 * exp(static_cast<double>(batch.log_probs[t])) + batch.sum_pi_squared[t];
      if (batch.importance_weights) {
        const double ratio = batch.importance_weights[t];
        norm *= ratio * ratio;
      }
    }
    const double norms = weight + warp_prefix_sum(norm);
    const std::int32_t rank = length + warp_prefix_sum(counted ? 1 : 0);
    if (counted) {
      optimal.weights[t] = norms;
      if (optimal.token_at) optimal.token_at[begin + rank - 1] = static_cast<std::int32_t>(t);
    }
    weight = simt::shuffle(norms, simt::warp_size - 1);
    length = simt::shuffle(rank, simt::warp_size - 1);
  }
  if (simt::lane() == 0) optimal.lengths[row] = length;
}

// The row's token at a place: as many tokens, or as many counted ones, into the row. -1: none that counts.
SIMT_DEVICE std::int64_t token_of(const AdvantageBatch<float>& batch, const OptimalTokens& optimal,
                                  std::int64_t row, std::int64_t place) {
  const std::int64_t begin = batch.cu_seqlens[row];
  if (optimal.token_at) return place < optimal.lengths[row] ? optimal.token_at[begin + place] : -1;
  const std::int64_t t = begin + place;
  return t < batch.cu_seqlens[row + 1] && counts(batch, t) ? t : -1;
}

// What the rows of a group are compared by.
struct GroupOfRows {
  std::int64_t rows;     // that take part
  std::int64_t places;   // of the longest
  std::int64_t longest;  // the row with most counted tokens
  std::int64_t tail;     // the place from which it has no other to be compared with
};

SIMT_DEVICE GroupOfRows rows_of(const AdvantageBatch<float>& batch, const OptimalTokens& optimal,
                                const std::uint8_t* scored, std::int64_t begin, std::int64_t end) {
  GroupOfRows group{0, 0, -1, 0};
  std::int64_t first = 0;
  for (std::int64_t i = begin; i < end; ++i) {
    if (!scored[i] || (optimal.token_at && optimal.lengths[i] == 0)) continue;
    const std::int64_t length = optimal.lengths[i];
    const std::int64_t places =
        optimal.token_at ? length : std::int64_t{batch.cu_seqlens[i + 1]} - batch.cu_seqlens[i];
    ++group.rows;
    if (places > group.places) group.places = places;
    if (length > first) {
      group.tail = first;
      first = length;
      group.longest = i;
    } else if (length > group.tail) {
      group.tail = length;
    }
  }
  // Two of the same length have each other.
  if (first == group.tail) group.longest = -1;
  return group;
}

SIMT_KERNEL optimal_token_kernel(AdvantageView view, OptimalTokens optimal, const std::uint8_t* scored,
                                 float* advantages) {
  const AdvantageBatch<float>& batch = view.batch;
  const std::int64_t g = simt::block() / blocks_per_group;
  const std::int64_t begin = batch.group_offsets[g];
  const std::int64_t end = batch.group_offsets[g + 1];
  const GroupOfRows group = rows_of(batch, optimal, scored, begin, end);
  if (group.rows < 2) return;
  const std::int64_t slice = simt::block() % blocks_per_group;
  for (std::int64_t place = slice * simt::threads() + simt::thread(); place < group.places;
       place += blocks_per_group * simt::threads()) {
    double numerator = 0, denominator = view.rule.epsilon;
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t t = scored[i] ? token_of(batch, optimal, i, place) : -1;
      if (t < 0) continue;
      numerator += advantages[t] * optimal.weights[t];
      denominator += optimal.weights[t];
    }
    if (denominator == 0) continue;
    const double baseline = numerator / denominator;
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t t = scored[i] ? token_of(batch, optimal, i, place) : -1;
      if (t < 0 || (view.rule.zero_tail && i == group.longest && place >= group.tail)) continue;
      advantages[t] = static_cast<float>(advantages[t] - baseline);
    }
  }
}

}  // namespace

void enqueue_optimal_token_baseline(Enqueue& enqueue, const AdvantageView& view, const OptimalTokens& optimal,
                                    const std::uint8_t* scored, float* advantages) {
  enqueue.with(ADJUDGE_NAMED(score_norms_kernel), {view.completions, simt::warp_size, 0}, view, optimal,
               scored);
  enqueue(ADJUDGE_NAMED(optimal_token_kernel),
          static_cast<std::int64_t>(view.batch.groups) * blocks_per_group, view, optimal, scored, advantages);
}

}  // namespace adjudge::cuda
