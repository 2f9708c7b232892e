#pragma once

#include <cstddef>
#include <cstdint>

// Rows of logits over a vocabulary: what is asked of them, and where it goes.
namespace adjudge::rl {

template <typename Float>
struct LogitsBatch {
  const Float* logits = nullptr;         // [rows, width]; minus infinity is a probability of 0
  const std::int32_t* tokens = nullptr;  // [rows], of 0 to width - 1; null: no log-probs
  std::size_t rows = 0;
  std::size_t width = 0;
  double temperature = 1;  // above 0; logits are divided by it
};

// All of the logits after the temperature; null = not wanted.
template <typename Float>
struct LogitsStatistics {
  Float* log_probs = nullptr;          // [rows], of the tokens
  Float* entropies = nullptr;          // [rows], nats
  Float* log_sum_exp = nullptr;        // [rows]
  Float* sum_pi_squared = nullptr;     // [rows], sum of the squared probabilities
  std::size_t top_k = 0;               // at most width
  std::int32_t* top_tokens = nullptr;  // [rows, top_k], most probable first, ties to the lower token
  Float* top_log_probs = nullptr;      // [rows, top_k]
};

// The loss's derivatives with respect to what the rows gave.
template <typename Float>
struct LogitsCoefficients {
  const Float* log_prob_gradients = nullptr;  // [rows]
  const Float* entropy_gradients = nullptr;   // [rows], or null = 0
};

// What is wrong with a row.
enum class LogitsFault { none, not_a_number, all_masked, token_invalid };

}  // namespace adjudge::rl
