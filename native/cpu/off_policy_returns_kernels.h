// Part of cpu/off_policy_returns.cpp: the rows [first, end) of a batch, by the including file's instruction
// set.
#pragma once
#include <cstdint>

#include "native/rules/off_policy_returns.h"

namespace adjudge {

struct ReturnsOutput {
  float* first;
  float* second;  // null where the kernel has one output
  bool stream;    // written past the caches, where a row's end is aligned
};

template <typename Rule>
using ReturnsKernel = void (*)(const Rule& rule, const rl::ReturnsBatch<float>& batch, int64_t first,
                               int64_t end, const ReturnsOutput& output);

struct ReturnsKernels {
  ReturnsKernel<rl::VtraceRule> vtrace;
  ReturnsKernel<rl::RetraceRule> retrace;
  ReturnsKernel<rl::UpgoRule> upgo;
};

extern const ReturnsKernels returns_portable;
#if defined(__x86_64__)
extern const ReturnsKernels returns_avx2;
extern const ReturnsKernels returns_avx512;
#endif

}  // namespace adjudge
