// Shape arithmetic that malicious files cannot overflow.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

namespace adjudge {

// The product of the dimensions. Empty where one is negative or the product of those that are not zero
// overflows: [0, 2^62, 4] is refused too, because a row's width is a product without the first dimension.
inline std::optional<int64_t> checked_element_count(std::span<const int64_t> shape) {
  int64_t product = 1;
  bool empty = false;
  for (const int64_t dimension : shape) {
    if (dimension < 0) return std::nullopt;
    if (dimension == 0) {
      empty = true;
      continue;
    }
    if (__builtin_mul_overflow(product, dimension, &product)) return std::nullopt;
  }
  return empty ? 0 : product;
}

}  // namespace adjudge
