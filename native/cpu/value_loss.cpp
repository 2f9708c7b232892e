#include "native/cpu/value_loss.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "native/core/cpu_features.h"
#include "native/core/thread_pool.h"
#include "native/cpu/value_loss_kernels.h"

namespace adjudge {
namespace {

using namespace rl;

constexpr std::int64_t chunk_tokens = 16384;  // of one work item: fixed, so sums do not depend on the threads
constexpr std::int64_t block_tokens = 1024;   // whose weights lie in the first-level cache
constexpr std::int64_t streamed_tokens = std::int64_t{8} << 20;  // larger outputs go past the caches

ValueLossKernel select() {
#if defined(__x86_64__)
  const InstructionSet set = selected_instruction_set();
  if (set == InstructionSet::avx2) return value_loss_avx2;
  if (set != InstructionSet::portable) return value_loss_avx512;
#endif
  return value_loss_portable;
}

// body(begin, end) of chunks of [0, total).
template <typename Body>
void each_chunk(std::int64_t total, const Body& body) {
  if (total <= chunk_tokens) return body(0, total);
  parallel_for((total + chunk_tokens - 1) / chunk_tokens, [&](std::int64_t item, int) {
    body(item * chunk_tokens, std::min(total, (item + 1) * chunk_tokens));
  });
}

// Count, mean and sum of squared deviations; parts are merged as Chan et al. (1979) do.
struct Moments {
  double count = 0;
  double mean = 0;
  double squares = 0;

  void merge(double other_count, double pivot, double sum, double pivot_squares) {
    if (other_count == 0) return;
    const double other_mean = pivot + sum / other_count;
    const double other_squares = std::max(0.0, pivot_squares - sum * (sum / other_count));
    const double all = count + other_count;
    const double difference = other_mean - mean;
    mean = count == 0 ? other_mean : mean + difference * (other_count / all);
    squares += other_squares + difference * difference * (count * other_count / all);
    count = all;
  }
};

struct Part {
  ValueSums sums;
  double count = 0;
  double return_pivot = 0;
  double difference_pivot = 0;
};

class Batch {
 public:
  Batch(const ValueRule& rule, const ValueBatch<float>& batch, float* gradients)
      : rule_(rule),
        batch_(batch),
        gradients_(gradients),
        rows_(static_cast<std::int64_t>(batch.rows)),
        tokens_(batch.rows > 0 ? batch.cu_seqlens[batch.rows] : 0) {}

  ValueLossResult run() {
    count();
    Counts whole = own_;
    if (batch_.batch_tokens >= 0) whole.tokens = batch_.batch_tokens;
    if (batch_.batch_sequences >= 0) whole.sequences = batch_.batch_sequences;
    by_row_ = rule_.aggregation.kind == Aggregation::sequence_mean_token_mean ||
              rule_.aggregation.kind == Aggregation::sequence_mean;
    weight_ = rule_.coefficient * row_weight(rule_.aggregation, whole, 1);
    if (by_row_) {
      for (double& row : row_tokens_) row = rule_.coefficient * row_weight(rule_.aggregation, whole, row);
    }
    std::vector<Part> parts(static_cast<std::size_t>((tokens_ + chunk_tokens - 1) / chunk_tokens));
    if (tokens_ > 0) {
      each_chunk(tokens_, [&](std::int64_t begin, std::int64_t end) {
        parts[static_cast<std::size_t>(begin / chunk_tokens)] = chunk(begin, end);
      });
    }
    return finish(parts);
  }

 private:
  double counted(std::int64_t begin, std::int64_t end) const {
    if (!batch_.mask) return static_cast<double>(end - begin);
    return static_cast<double>(
        std::count_if(batch_.mask + begin, batch_.mask + end, [](std::uint8_t one) { return one != 0; }));
  }

  // Counted tokens of each row, and of the batch.
  void count() {
    row_tokens_.resize(static_cast<std::size_t>(rows_));
    const std::int32_t* starts = batch_.cu_seqlens;
    const auto first_row = [&](std::int64_t token) {
      return token >= tokens_ ? rows_ : std::lower_bound(starts, starts + rows_, token) - starts;
    };
    each_chunk(std::max<std::int64_t>(tokens_, 1), [&](std::int64_t begin, std::int64_t end) {
      const std::int64_t last = first_row(end);
      for (std::int64_t row = begin == 0 ? 0 : first_row(begin); row < last; ++row)
        row_tokens_[static_cast<std::size_t>(row)] = counted(starts[row], starts[row + 1]);
    });
    for (const double row : row_tokens_) {
      own_.tokens += row;
      own_.sequences += row > 0 || rule_.aggregation.count_empty_rows ? 1 : 0;
    }
  }

  Part chunk(std::int64_t begin, std::int64_t end) const {
    static const ValueLossKernel kernel = select();
    Part part;
    part.count = counted(begin, end);
    if (part.count > 0) {
      std::int64_t first = begin;
      while (batch_.mask && !batch_.mask[first]) ++first;
      part.return_pivot = batch_.returns[first];
      part.difference_pivot = static_cast<double>(batch_.values[first]) - part.return_pivot;
    }
    const bool clips = batch_.old_values && std::isfinite(rule_.clip);
    std::int64_t row = 0;
    if (by_row_) {
      row = std::upper_bound(batch_.cu_seqlens, batch_.cu_seqlens + rows_ + 1, begin) - batch_.cu_seqlens - 1;
    }
    double weights[block_tokens];
    for (std::int64_t at = begin; at < end; at += block_tokens) {
      const std::int64_t stop = std::min(end, at + block_tokens);
      if (by_row_) fill_weights(at, stop, row, weights);
      const ValueBlock block{stop - at,
                             batch_.values + at,
                             clips ? batch_.old_values + at : nullptr,
                             batch_.returns + at,
                             batch_.mask ? batch_.mask + at : nullptr,
                             by_row_ ? weights : nullptr,
                             weight_,
                             rule_.clip,
                             part.return_pivot,
                             part.difference_pivot,
                             gradients_ + at,
                             tokens_ >= streamed_tokens};
      kernel(block, part.sums);
    }
#if defined(__x86_64__)
    if (tokens_ >= streamed_tokens) _mm_sfence();
#endif
    return part;
  }

  void fill_weights(std::int64_t at, std::int64_t stop, std::int64_t& row, double* weights) const {
    for (std::int64_t from = at; from < stop;) {
      while (batch_.cu_seqlens[row + 1] <= from) ++row;
      const std::int64_t to = std::min<std::int64_t>(stop, batch_.cu_seqlens[row + 1]);
      std::fill(weights + (from - at), weights + (to - at), row_tokens_[static_cast<std::size_t>(row)]);
      from = to;
    }
  }

  ValueLossResult finish(const std::vector<Part>& parts) const {
    ValueLossResult result;
    ValueMetrics& metrics = result.metrics;
    metrics.tokens = own_.tokens;
    metrics.sequences = own_.sequences;
    double clipped = 0, values = 0, errors = 0;
    Moments returns, differences;
    for (const Part& part : parts) {
      const ValueSums& sums = part.sums;
      result.loss += sums.loss;
      clipped += static_cast<double>(sums.clipped);
      values += sums.values;
      errors += sums.errors;
      returns.merge(part.count, part.return_pivot, sums.returns, sums.return_squares);
      differences.merge(part.count, part.difference_pivot, sums.differences, sums.difference_squares);
    }
    const double share = inverse(own_.tokens);
    metrics.clip_fraction = clipped * share;
    metrics.value = values * share;
    metrics.value_error = errors * share;
    metrics.returns = returns.mean;
    metrics.explained_variance = returns.squares > 0 ? 1 - differences.squares / returns.squares
                                                     : std::numeric_limits<double>::quiet_NaN();
    return result;
  }

  const ValueRule& rule_;
  const ValueBatch<float>& batch_;
  float* gradients_;
  std::int64_t rows_;
  std::int64_t tokens_;
  std::vector<double> row_tokens_;  // then, where the weight is the row's, that weight
  Counts own_;
  bool by_row_ = false;
  double weight_ = 0;
};

}  // namespace

rl::ValueLossResult value_loss(const rl::ValueRule& rule, const rl::ValueBatch<float>& batch,
                               float* gradients) {
  return Batch(rule, batch, gradients).run();
}

}  // namespace adjudge
