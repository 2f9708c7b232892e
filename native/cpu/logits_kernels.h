// One row of logits, gathered for its statistics.
#pragma once
#include <cstdint>

namespace adjudge {

// Sums over d = (logit - top) * scale: of e^d, d e^d and e^2d. top: the largest logit; minus infinity where
// all are; `sum` is NaN where a logit is NaN or plus infinity.
struct LogitsRow {
  float top;
  double sum;
  double weighted;
  double squares;  // 0 where they are not wanted
};

// The largest so far, descending, ties in the order of their tokens.
struct TopLogits {
  int64_t wanted = 0;
  int64_t found = 0;
  float* logits = nullptr;  // [wanted]
  int32_t* tokens = nullptr;
};

using LogitsRowKernel = LogitsRow (*)(const float* logits, int64_t width, float scale, bool with_squares,
                                      TopLogits& top);

extern const LogitsRowKernel logits_row_portable;
#if defined(__x86_64__)
extern const LogitsRowKernel logits_row_avx2;
extern const LogitsRowKernel logits_row_avx512;
#endif

// The kernel of the selected instruction set.
LogitsRow logits_row(const float* logits, int64_t width, float scale, bool with_squares, TopLogits& top);

}  // namespace adjudge
