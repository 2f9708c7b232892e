// The table of the vector kernels of Q-learning; cpu/q_targets.cpp, q_loss.cpp, dueling.cpp and polyak.cpp
// feed them with ranges of steps.
#pragma once
#include <cstdint>

#include "native/rules/dueling.h"
#include "native/rules/q_loss.h"
#include "native/rules/q_targets.h"

namespace adjudge {

// Numbers of a row of whole Q in a scratch: whole vectors.
constexpr int64_t padded_row(int64_t actions) { return (actions + 15) / 16 * 16; }
// Rows that stay in the first-level cache together.
constexpr int64_t several_rows(int64_t actions) {
  const int64_t rows = 4096 / padded_row(actions);
  return rows < 1 ? 1 : rows > 64 ? 64 : rows;
}

// Of one work item.
struct QScratch {
  float* rows;      // [several_rows(actions), padded_row(actions)]
  double* numbers;  // [actions], with quantiles
};

// Of steps [first, end) each. The first two return false where the data is at fault, or where a rule or a
// number is none of theirs: the body in native/reference then says so, or computes it.
struct QKernels {
  // next: [steps, quantiles], the value of the next state, left alone where the step has terminated;
  // greedy: [steps] or null, whether the action of the step after it was the greedy one.
  bool (*next_values)(const rl::QTargetRule& rule, const rl::QTargetBatch<float>& batch, int64_t first,
                      int64_t end, float* next, uint8_t* greedy);
  // Adds to the sums, which rules/q_terms.h finishes. stream: gradients of whole Q past the caches.
  bool (*loss)(const rl::QLossRule& rule, const rl::QLossBatch<float>& batch, double scale, int64_t first,
               int64_t end, const QScratch& scratch, bool stream, rl::QLossValue& sums);
  // scratch: 2 x quantiles.
  void (*dueling_q)(rl::DuelingCentre centre, const rl::DuelingShape& shape, const float* values,
                    const float* advantages, float* q, int64_t first, int64_t end, double* scratch);
  void (*dueling_gradients)(rl::DuelingCentre centre, const rl::DuelingShape& shape, const float* advantages,
                            const float* q_gradients, float* value_gradients, float* advantage_gradients,
                            int64_t first, int64_t end, double* scratch);
  // target += rate x (online - target), in f64.
  void (*polyak_average)(double rate, const float* online, float* target, int64_t count);
};

extern const QKernels q_kernels_portable;
#if defined(__x86_64__)
extern const QKernels q_kernels_avx2;
extern const QKernels q_kernels_avx512;
#endif

// Those of the selected instruction set.
const QKernels& q_kernels();

// Numbers of Q in one work item: fixed, so that sums do not depend on the threads.
inline constexpr int64_t q_numbers_per_item = 1 << 16;

}  // namespace adjudge
