#include "rl/repetition.h"

#include <algorithm>
#include <numeric>

namespace adjudge::rl {

// The n-grams are sorted by their start, so that nothing is hashed: equal ones become neighbours.
std::vector<double> repeated_share(const std::int32_t* tokens, const std::int32_t* cu_seqlens,
                                   std::size_t rows, std::size_t size) {
  std::vector<double> shares(rows, 0.0);
  std::vector<std::int32_t> starts;
  for (std::size_t i = 0; i < rows; ++i) {
    const auto length = static_cast<std::size_t>(cu_seqlens[i + 1] - cu_seqlens[i]);
    if (length < size) continue;
    const std::int32_t* first = tokens + cu_seqlens[i];
    starts.resize(length - size + 1);
    std::iota(starts.begin(), starts.end(), 0);
    std::sort(starts.begin(), starts.end(), [&](std::int32_t left, std::int32_t right) {
      return std::lexicographical_compare(first + left, first + left + size, first + right,
                                          first + right + size);
    });
    std::size_t different = 1;
    for (std::size_t k = 1; k < starts.size(); ++k) {
      if (!std::equal(first + starts[k], first + starts[k] + size, first + starts[k - 1])) ++different;
    }
    shares[i] = 1 - static_cast<double>(different) / static_cast<double>(starts.size());
  }
  return shares;
}

}  // namespace adjudge::rl
