// Part of cpu/gae.cpp: the rows [first, end) of a batch, by the including file's instruction set.
#pragma once
#include <cstdint>

#include "native/rules/gae.h"

namespace adjudge {

struct GaeOutput {
  float* advantages;
  float* returns;
  bool stream;  // past the caches
};

using GaeKernel = void (*)(const rl::GaeRule& rule, const rl::GaeBatch<float>& batch, int64_t first,
                           int64_t end, const GaeOutput& output);

extern const GaeKernel gae_portable;
#if defined(__x86_64__)
extern const GaeKernel gae_avx2;
extern const GaeKernel gae_avx512;
#endif

}  // namespace adjudge
