#pragma once

#include <cstddef>
#include <cstdint>

// Sampled tokens whose KL is estimated one by one.
namespace adjudge::rl {

template <typename Float>
struct KlTokensBatch {
  const Float* log_probs = nullptr;  // [tokens]
  const Float* reference_log_probs = nullptr;
  const Float* old_log_probs = nullptr;  // null: those of the policy
  const std::uint8_t* mask = nullptr;    // null: all tokens count
  std::size_t tokens = 0;
};

}  // namespace adjudge::rl
