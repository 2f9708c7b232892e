// Dueling heads and target networks. With it the table of an instruction set, after whose lanes
// this is included, is complete. Dueling reads 4 bytes
// a number from memory once (the second pass over a row is in the caches) and writes 4; Polyak reads 8 and
// writes 4.
#pragma once
#include "native/cpu/q_steps.h"

namespace adjudge {
namespace {

ADJUDGE_INLINE double row_sum(const float* values, int64_t count) {
  WideSum sum;
  for (int64_t i = 0; i < count; i += Lanes::width) sum.add(load_lanes(values + i, count - i));
  return sum.total();
}

// result = values + base, base in f64: its two halves keep what one f32 sum would lose.
ADJUDGE_INLINE void add_to_row(const float* values, double base, float* result, int64_t count) {
  const auto high = static_cast<float>(base);
  const Lanes upper(high), lower(static_cast<float>(base - high));
  for (int64_t i = 0; i < count; i += Lanes::width)
    store_lanes(result + i, load_lanes(values + i, count - i) + upper + lower, count - i);
}

// The largest of a row and its first place.
ADJUDGE_INLINE float row_largest(const float* values, int64_t count, int64_t* place) {
  const QRow row{values, nullptr, nullptr, count};
  Mask ignored = first_lanes(0);
  const float top = largest_of<false, false>(row, ignored);
  if (place) *place = action_of<false, false>(row, top);
  return top;
}

// Over the actions, quantile by quantile: sums, or the largest; places: the first action that has it.
void over_actions(bool mean, const float* values, int64_t actions, int64_t quantiles, double* result,
                  double* places) {
  for (int64_t k = 0; k < quantiles; ++k) result[k] = values[k];
  for (int64_t k = 0; places && k < quantiles; ++k) places[k] = 0;
  for (int64_t a = 1; a < actions; ++a) {
    const float* const row = values + a * quantiles;
    if (mean) {
      for (int64_t k = 0; k < quantiles; ++k) result[k] += static_cast<double>(row[k]);
    } else {
      for (int64_t k = 0; k < quantiles; ++k) {
        const bool larger = row[k] > result[k];
        if (places) places[k] = larger ? static_cast<double>(a) : places[k];
        result[k] = larger ? static_cast<double>(row[k]) : result[k];
      }
    }
  }
}

void dueling_q(rl::DuelingCentre centre, const rl::DuelingShape& shape, const float* values,
               const float* advantages, float* q, int64_t first, int64_t end, double* scratch) {
  const auto actions = static_cast<int64_t>(shape.actions), quantiles = static_cast<int64_t>(shape.quantiles);
  const bool mean = centre == rl::DuelingCentre::mean;
  const double inverse = 1 / static_cast<double>(actions);
  for (int64_t t = first; t < end; ++t) {
    const int64_t start = t * actions * quantiles;
    if (quantiles == 1) {
      const double offset = mean ? row_sum(advantages + start, actions) * inverse
                                 : row_largest(advantages + start, actions, nullptr);
      add_to_row(advantages + start, values[t] - offset, q + start, actions);
      continue;
    }
    over_actions(mean, advantages + start, actions, quantiles, scratch, nullptr);
    for (int64_t k = 0; k < quantiles; ++k)
      scratch[k] = values[t * quantiles + k] - (mean ? scratch[k] * inverse : scratch[k]);
    for (int64_t a = 0; a < actions; ++a) {
      const int64_t at = start + a * quantiles;
      for (int64_t k = 0; k < quantiles; ++k)
        q[at + k] = static_cast<float>(scratch[k] + static_cast<double>(advantages[at + k]));
    }
  }
}

void dueling_gradients(rl::DuelingCentre centre, const rl::DuelingShape& shape, const float* advantages,
                       const float* q_gradients, float* value_gradients, float* advantage_gradients,
                       int64_t first, int64_t end, double* scratch) {
  const auto actions = static_cast<int64_t>(shape.actions), quantiles = static_cast<int64_t>(shape.quantiles);
  const bool mean = centre == rl::DuelingCentre::mean;
  const double inverse = mean ? 1 / static_cast<double>(actions) : 0;
  double* const places = scratch + quantiles;
  for (int64_t t = first; t < end; ++t) {
    const int64_t start = t * actions * quantiles;
    const float* const slopes = q_gradients + start;
    float* const result = advantage_gradients + start;
    if (quantiles == 1) {
      const double sum = row_sum(slopes, actions);
      value_gradients[t] = static_cast<float>(sum);
      add_to_row(slopes, -sum * inverse, result, actions);
      if (mean) continue;
      int64_t place = 0;
      row_largest(advantages + start, actions, &place);
      if (place >= 0) result[place] = static_cast<float>(slopes[place] - sum);
      continue;
    }
    if (!mean) over_actions(false, advantages + start, actions, quantiles, scratch, places);
    over_actions(true, slopes, actions, quantiles, scratch, nullptr);
    for (int64_t k = 0; k < quantiles; ++k)
      value_gradients[t * quantiles + k] = static_cast<float>(scratch[k]);
    for (int64_t a = 0; a < actions; ++a) {
      for (int64_t k = 0; k < quantiles; ++k) {
        const int64_t at = a * quantiles + k;
        const double share =
            mean ? scratch[k] * inverse : (places[k] == static_cast<double>(a) ? scratch[k] : 0);
        result[at] = static_cast<float>(slopes[at] - share);
      }
    }
  }
}

void polyak_average(double rate, const float* online, float* target, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    const double old = target[i];
    target[i] = static_cast<float>(old + rate * (static_cast<double>(online[i]) - old));
  }
}

constexpr QKernels q_table = {next_values, loss, dueling_q, dueling_gradients, polyak_average};

}  // namespace
}  // namespace adjudge
