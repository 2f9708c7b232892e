// Rows of tokens over the threads, for kernels that take a range of rows.
#pragma once
#include <algorithm>
#include <cstdint>

#include "native/core/thread_pool.h"

namespace adjudge {

// body(first row, last row) for items of about `item_tokens` tokens: the rows of an item are those that start
// in its range of tokens, whatever the number of threads. bounds: [rows + 1], ascending from 0.
template <typename Body>
void for_token_rows(const int32_t* bounds, int64_t rows, int64_t item_tokens, Body&& body) {
  const int64_t tokens = bounds[rows];
  if (tokens <= item_tokens) return body(int64_t{0}, rows);
  const auto first_row = [&](int64_t token) {
    return static_cast<int64_t>(std::lower_bound(bounds, bounds + rows, token) - bounds);
  };
  parallel_for((tokens + item_tokens - 1) / item_tokens, [&](int64_t item, int) {
    body(first_row(item * item_tokens), first_row((item + 1) * item_tokens));
  });
}

}  // namespace adjudge
