#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>

#include "rules/aggregation.h"

// The critic's loss: its rule, its batch, and what comes of them.
namespace adjudge::rl {

struct ValueRule {
  double clip = std::numeric_limits<double>::infinity();  // the value may move this far from the old one
  double coefficient = 0.5;
  AggregationRule aggregation;
};

template <typename Float>
struct ValueBatch {
  const Float* values = nullptr;
  const Float* old_values = nullptr;  // null: no clip
  const Float* returns = nullptr;
  const std::uint8_t* mask = nullptr;  // null: all tokens count
  const std::int32_t* cu_seqlens = nullptr;
  std::size_t rows = 0;
  double batch_tokens = -1;     // counted tokens of the whole optimizer batch; -1 = of this batch
  double batch_sequences = -1;  // rows of the whole optimizer batch; -1 = of this batch
};

// Over this batch's counted tokens.
struct ValueMetrics {
  double tokens = 0;
  double sequences = 0;
  double clip_fraction = 0;  // share of tokens whose clipped error is the larger one
  double value = 0;          // means
  double value_error = 0;    // mean of (value - return)^2
  double returns = 0;
  double explained_variance = 0;  // 1 - var(return - value) / var(return); NaN where the returns do not vary
};

struct ValueLossResult {
  double loss = 0;
  ValueMetrics metrics;
};

}  // namespace adjudge::rl
