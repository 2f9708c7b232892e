// One row of logits by one block: its sums, relative to its largest logit; and the kernels over rows.
#pragma once

#include <cmath>

#include "cuda/elements.cuh"
#include "cuda/fault.cuh"
#include "cuda/live_rows.cuh"
#include "cuda/reduce.cuh"

namespace adjudge::cuda {

// Sums over d = (logit - top) / temperature: of e^d, d e^d and e^2d.
struct LogitsSums {
  float top;
  bool not_a_number;  // a logit is NaN or plus infinity
  double sum;
  double weighted;
  double squares;

  SIMT_DEVICE double log_sum() const { return log(sum); }
  SIMT_DEVICE double entropy() const { return log(sum) - weighted / sum; }
};

struct ThreadSums {
  float top = -INFINITY;
  float sum = 0;
  float weighted = 0;  // in units of log 2
  float squares = 0;
  bool not_a_number = false;

  // log2_scale: 1 / (temperature x log 2).
  template <int count>
  SIMT_DEVICE void add(const Numbers<count>& logits, float log2_scale) {
    float highest = top;
    for (int j = 0; j < count; ++j) {
      const float x = logits.at[j];
      if (!(x < INFINITY)) not_a_number = true;
      if (x > highest) highest = x;
    }
    if (highest == -INFINITY) return;
    if (highest > top) {
      const float shift = sum > 0 ? (top - highest) * log2_scale : 0.0f;
      const float shrink = exp2f(shift);
      weighted = shrink > 0 ? shrink * (weighted + shift * sum) : 0.0f;
      sum *= shrink;
      squares *= shrink * shrink;
      top = highest;
    }
    for (int j = 0; j < count; ++j) {
      const float exponent = (logits.at[j] - top) * log2_scale;
      const float power = exp2f(exponent);
      sum += power;
      if (power > 0) weighted += power * exponent;
      squares += power * power;
    }
  }
};

// All threads of the block call it; the result in every thread.
template <typename T>
SIMT_DEVICE LogitsSums sums_of_row(const T* row, std::int64_t width, double temperature) {
  constexpr double log_2 = 0.69314718055994530942;
  const float log2_scale = static_cast<float>(1 / (temperature * log_2));
  ThreadSums own;
  for_elements_of_row(row, width, [&](const auto& logits, std::int64_t) { own.add(logits, log2_scale); });
  LogitsSums whole{};
  whole.not_a_number = block_reduce(own.not_a_number ? 1 : 0, Larger{}) != 0;
  whole.top = block_reduce(own.top, Larger{});
  double sum = 0, weighted = 0, squares = 0;
  if (own.sum > 0) {
    const double shift = (static_cast<double>(own.top) - whole.top) / temperature;
    const double shrink = exp(shift);
    sum = shrink * own.sum;
    weighted = shrink > 0 ? shrink * (log_2 * own.weighted + shift * own.sum) : 0;
    squares = shrink * shrink * own.squares;
  }
  whole.sum = block_sum(sum);
  whole.weighted = block_sum(weighted);
  whole.squares = block_sum(squares);
  return whole;
}

// rows.logits holds the live rows one after another; all other arrays are by row.
void enqueue_logits_statistics(Enqueue& enqueue, const LogitsRows& rows, const LiveRows& live,
                               const rl::LogitsStatistics<float>& statistics, FaultKey* fault);
void enqueue_logits_gradient(Enqueue& enqueue, const LogitsRows& rows, const LiveRows& live,
                             const LogitsGradient& wanted, FaultKey* fault);

}  // namespace adjudge::cuda
