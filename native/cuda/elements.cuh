// Rows of float32 or bfloat16 numbers, read and written 16 bytes at a time where they are aligned.
#pragma once

#include <cstring>

#include "cuda/simt.h"

namespace adjudge::cuda {

struct Bfloat16 {
  std::uint16_t bits;
};

SIMT_DEVICE float widened(float x) { return x; }
SIMT_DEVICE float widened(Bfloat16 x) {
  const std::uint32_t bits = static_cast<std::uint32_t>(x.bits) << 16;
  float result;
  std::memcpy(&result, &bits, sizeof result);
  return result;
}

SIMT_DEVICE void narrow(float x, float& result) { result = x; }
// To nearest, ties to even; NaN stays NaN.
SIMT_DEVICE void narrow(float x, Bfloat16& result) {
  std::uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  if (x != x)
    bits |= 0x400000u;
  else
    bits += 0x7fffu + (bits >> 16 & 1u);
  result.bits = static_cast<std::uint16_t>(bits >> 16);
}

template <typename T>
struct alignas(16) Pack {
  static constexpr int size = 16 / static_cast<int>(sizeof(T));
  T at[size];
};

template <int count>
struct Numbers {
  static constexpr int size = count;
  float at[count];
};

// Calls body(numbers, first) for all elements of a row, `numbers` being those from the index `first` on: many
// where the row is aligned, one at its ends. All threads of the block share the row.
template <typename T, typename Body>
SIMT_DEVICE void for_elements_of_row(const T* row, std::int64_t width, const Body& body) {
  constexpr int each = Pack<T>::size;
  const auto offset = static_cast<std::int64_t>(reinterpret_cast<std::uintptr_t>(row) % 16 / sizeof(T));
  std::int64_t head = offset == 0 ? 0 : each - offset;
  if (head > width) head = width;
  const std::int64_t packs = (width - head) / each;
  const auto single = [&](std::int64_t i) { body(Numbers<1>{{widened(row[i])}}, i); };
  for (std::int64_t i = simt::thread(); i < head; i += simt::threads()) single(i);
  const auto* whole = reinterpret_cast<const Pack<T>*>(row + head);
  SIMT_UNROLL
  for (std::int64_t i = simt::thread(); i < packs; i += simt::threads()) {
    const Pack<T> pack = whole[i];
    Numbers<each> numbers;
    for (int j = 0; j < each; ++j) numbers.at[j] = widened(pack.at[j]);
    body(numbers, head + i * each);
  }
  for (std::int64_t i = head + packs * each + simt::thread(); i < width; i += simt::threads()) single(i);
}

// Writes numbers that for_elements_of_row gave for `first`, to a row that is aligned as the one read.
template <typename T, int count>
SIMT_DEVICE void store_elements(T* row, std::int64_t first, const Numbers<count>& numbers) {
  if constexpr (count == Pack<T>::size) {
    Pack<T> pack;
    for (int j = 0; j < count; ++j) narrow(numbers.at[j], pack.at[j]);
    *reinterpret_cast<Pack<T>*>(row + first) = pack;
  } else {
    for (int j = 0; j < count; ++j) narrow(numbers.at[j], row[first + j]);
  }
}

}  // namespace adjudge::cuda
