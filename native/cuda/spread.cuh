// Count, mean and squared deviations of values that many threads hold, without the cancellation of plain sums
// of squares: each thread takes its own first value as pivot, and the parts are merged (Chan et al. 1979).
#pragma once

#include "cuda/reduce.cuh"

namespace adjudge::cuda {

struct Moments {
  double count;
  double mean;
  double squares;  // sum of (x - mean)^2
};

SIMT_DEVICE Moments no_moments() { return {0, 0, 0}; }

SIMT_DEVICE Moments merged(const Moments& a, const Moments& b) {
  if (b.count == 0) return a;
  if (a.count == 0) return b;
  const double count = a.count + b.count;
  const double difference = b.mean - a.mean;
  return {count, a.mean + difference * (b.count / count),
          a.squares + b.squares + difference * difference * (a.count * b.count / count)};
}

// Sums about the first value.
struct MomentsOfThread {
  double pivot;
  double count;
  double sum;
  double squares;

  SIMT_DEVICE void add(double value) {
    if (count == 0) pivot = value;
    const double shifted = value - pivot;
    count += 1;
    sum += shifted;
    squares += shifted * shifted;
  }
  SIMT_DEVICE Moments result() const {
    if (count == 0) return no_moments();
    const double rest = squares - sum * (sum / count);
    return {count, pivot + sum / count, rest > 0 ? rest : 0};
  }
};

// In the order of the threads; the result in every thread. All threads of the block call it.
SIMT_DEVICE Moments block_moments(Moments value) {
  SIMT_SHARED double partial[3 * simt::warp_size];
  for (int distance = simt::warp_size / 2; distance > 0; distance /= 2) {
    const Moments other{simt::shuffle_down(value.count, distance), simt::shuffle_down(value.mean, distance),
                        simt::shuffle_down(value.squares, distance)};
    value = merged(value, other);
  }
  if (simt::lane() == 0) {
    partial[3 * simt::warp()] = value.count;
    partial[3 * simt::warp() + 1] = value.mean;
    partial[3 * simt::warp() + 2] = value.squares;
  }
  simt::block_barrier();
  Moments whole = no_moments();
  for (int i = 0; i < simt::warps(); ++i) {
    whole = merged(whole, {partial[3 * i], partial[3 * i + 1], partial[3 * i + 2]});
  }
  simt::block_barrier();
  return whole;
}

}  // namespace adjudge::cuda
