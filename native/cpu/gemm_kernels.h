// The table that each instruction set's file exports, and the only way into it.
#pragma once
#include <cstdint>

namespace adjudge {

struct GemmKernels {
  int64_t panel_width;  // columns of one packed panel of B
  int64_t max_rows;     // most rows of one register tile
  // c[rows, panel_width] (row stride ldc) from a packed [depth, rows] and one panel [depth, panel_width].
  // resume: the chains start at c, else at 0. accumulate: the finished chains are added to c, else stored.
  void (*tile)(int64_t rows, int64_t depth, const float* a, const float* panel, float* c, int64_t ldc,
               bool resume, bool accumulate);
  // target[c * target_stride + r] = source[r * source_stride + c].
  void (*transpose)(const float* source, int64_t source_stride, int64_t rows, int64_t columns, float* target,
                    int64_t target_stride);
};

extern const GemmKernels gemm_portable;
#if defined(__x86_64__)
extern const GemmKernels gemm_avx2;
extern const GemmKernels gemm_avx512;
#endif

}  // namespace adjudge
