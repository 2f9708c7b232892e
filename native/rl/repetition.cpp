#include "rl/repetition.h"

#include <algorithm>
#include <numeric>

#include "cpu/token_rows.h"

namespace adjudge::rl {

namespace {

constexpr std::int64_t item_tokens = 4096;  // of one work item

// The n-grams are sorted by their start, so that nothing is hashed: equal ones become neighbours.
double share_of_row(const std::int32_t* first, std::size_t length, std::size_t size,
                    std::vector<std::int32_t>& starts) {
  if (length < size) return 0;
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
  return 1 - static_cast<double>(different) / static_cast<double>(starts.size());
}

}  // namespace

std::vector<double> repeated_share(const std::int32_t* tokens, const std::int32_t* cu_seqlens,
                                   std::size_t rows, std::size_t size) {
  std::vector<double> shares(rows, 0.0);
  for_token_rows(
      cu_seqlens, static_cast<std::int64_t>(rows), item_tokens, [&](std::int64_t from, std::int64_t to) {
        std::vector<std::int32_t> starts;
        for (std::int64_t i = from; i < to; ++i) {
          shares[static_cast<std::size_t>(i)] =
              share_of_row(tokens + cu_seqlens[i],
                           static_cast<std::size_t>(cu_seqlens[i + 1] - cu_seqlens[i]), size, starts);
        }
      });
  return shares;
}

}  // namespace adjudge::rl
