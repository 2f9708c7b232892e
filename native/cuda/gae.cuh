// The recurrence of GAE, for gae.cu and for the discounted returns of advantage.cu.
#pragma once

#include "cuda/launch.h"
#include "rl/gae.h"

namespace adjudge::cuda {

struct GaeRows {
  const float* rewards = nullptr;  // [tokens]
  const float* values = nullptr;   // [tokens]; null: 0
  const std::int32_t* cu_seqlens = nullptr;
  std::int64_t rows = 0;
  const std::uint8_t* mask = nullptr;       // [tokens]; null: all count
  const std::uint8_t* row_mask = nullptr;   // [rows]; null: all count. Rows left out are 0 throughout
  const float* bootstrap_values = nullptr;  // [rows]; null: 0
};

// advantages: [tokens]; returns: [tokens] or null.
void enqueue_gae(Enqueue& enqueue, int threads, const rl::GaeRule& rule, const GaeRows& rows,
                 float* advantages, float* returns);

// Threads of a block for rows of this mean length: a warp for short rows.
int gae_threads(std::int64_t tokens, std::int64_t rows);

}  // namespace adjudge::cuda
