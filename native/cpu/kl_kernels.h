// Part of cpu/kl.cpp: the table of its vector operations. Arrays start at the first token; null: absent.
#pragma once
#include <cstdint>

#include "native/rules/loss_constants.h"

namespace adjudge {

struct KlTokens {
  int64_t count;
  const float* log_probs;
  const float* reference;
  const float* old_log_probs;  // null: log_probs
  const uint8_t* mask;
  float* values;
  float* gradients;
};

// One row of rewards.
struct KlRewardRow {
  int64_t count;
  const float* token_rewards;
  const float* kl;         // known already
  const float* log_probs;  // with `reference`: estimated; both null: a KL of 0
  const float* reference;
  const uint8_t* mask;
  int64_t last;  // its last counted token, to which `reward` is added; below 0: none
  float reward;
  float* results;
  bool stream;  // past the caches, where they are aligned
};

struct KlKernels {
  void (*tokens)(const rl::KlConstants& rule, const KlTokens& tokens);
  double (*reward_row)(const rl::KlConstants& rule, const KlRewardRow& row);  // the sum of its KL
};

extern const KlKernels kl_portable;
#if defined(__x86_64__)
extern const KlKernels kl_avx2;
extern const KlKernels kl_avx512;
#endif

}  // namespace adjudge
