// Part of cpu/kl_rows.cpp: one row, by the including file's instruction set.
#pragma once
#include <cstdint>

namespace adjudge {

struct KlRow {
  const float* logits;
  const float* reference;
  int64_t width;
  bool reverse;
  float* gradient;  // null: not wanted
  bool stream;      // past the caches, where it is aligned
};

// The divergence in nats.
using KlRowKernel = double (*)(const KlRow& row);

extern const KlRowKernel kl_row_portable;
#if defined(__x86_64__)
extern const KlRowKernel kl_row_avx2;
extern const KlRowKernel kl_row_avx512;
#endif

}  // namespace adjudge
