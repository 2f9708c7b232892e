#pragma once

#include <cstddef>
#include <cstdint>

// KL divergence between whole distributions, row by row: what is asked, and of what.
namespace adjudge::rl {

// reverse: KL(policy || reference), what the sampled estimators estimate; forward: KL(reference || policy),
// of distillation.
enum class KlDirection { reverse, forward };

template <typename Float>
struct KlRowsBatch {
  const Float* logits = nullptr;  // [rows, width]; log-probs are logits too: rows are normalised here
  const Float* reference_logits = nullptr;
  const std::uint8_t* mask = nullptr;  // [rows]; null: all rows count
  std::size_t rows = 0;
  std::size_t width = 0;
};

}  // namespace adjudge::rl
