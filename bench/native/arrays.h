// Large arrays of numbers that are the same in every run.
#pragma once
#include <cmath>
#include <cstdint>
#include <vector>

#include "native/core/page_allocator.h"
#include "native/core/thread_pool.h"

namespace adjudge::bench {

constexpr int64_t chunk_elements = int64_t{1} << 19;

// Pages are touched first by the threads that use them later, and are large ones where the system grants
// them, as those of the engine.
template <class T>
class Array {
 public:
  // value(i) gives element i.
  template <class Value>
  Array(int64_t count, const Value& value) : count_(count), data_(allocator_.allocate(padded())) {
    parallel_for((count + chunk_elements - 1) / chunk_elements, [&](int64_t chunk, int) {
      const int64_t end = std::min(count_, (chunk + 1) * chunk_elements);
      for (int64_t i = chunk * chunk_elements; i < end; i++) data_[i] = static_cast<T>(value(i));
    });
  }
  explicit Array(int64_t count) : Array(count, [](int64_t) { return 0; }) {}
  ~Array() { allocator_.deallocate(data_, padded()); }
  Array(const Array&) = delete;
  Array& operator=(const Array&) = delete;

  T* data() { return data_; }
  const T* data() const { return data_; }
  int64_t size() const { return count_; }
  T& operator[](int64_t i) { return data_[i]; }
  const T& operator[](int64_t i) const { return data_[i]; }
  // As a stream of four-byte elements, for a floor.
  float* stream() { return reinterpret_cast<float*>(data_); }
  int64_t stream_count() const { return count_ * static_cast<int64_t>(sizeof(T)) / 4; }

 private:
  // Never below the size from which memory comes in whole aligned pages.
  size_t padded() const { return std::max(static_cast<size_t>(count_), (size_t{2} << 20) / sizeof(T)); }

  int64_t count_;
  PageAllocator<T> allocator_;
  T* data_;
};

// A number in [0, 1) for each index (the finaliser of splitmix64).
inline float uniform(int64_t i, uint64_t key) {
  uint64_t z = (static_cast<uint64_t>(i) + 1) * 0x9e3779b97f4a7c15ULL + key;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return static_cast<float>((z ^ (z >> 31)) >> 40) * (1.0f / (1 << 24));
}

// A number about 0, at most `width` away, more often near it.
inline float centred(int64_t i, uint64_t key, float width) {
  return (uniform(i, key) + uniform(i, key ^ 0x5bd1e995) - 1) * width;
}

// Boundaries of rows of 1 to `longest` elements, `total` in all.
inline std::vector<int32_t> ragged(int64_t total, int64_t longest, uint64_t key) {
  std::vector<int32_t> boundaries{0};
  while (boundaries.back() < total) {
    const int64_t length = 1 + static_cast<int64_t>(uniform(boundaries.size(), key) * longest);
    boundaries.push_back(static_cast<int32_t>(std::min(total, boundaries.back() + length)));
  }
  return boundaries;
}

inline std::vector<int32_t> even(int64_t rows, int64_t length) {
  std::vector<int32_t> boundaries(static_cast<size_t>(rows + 1));
  for (int64_t i = 0; i <= rows; i++) boundaries[i] = static_cast<int32_t>(i * length);
  return boundaries;
}

}  // namespace adjudge::bench
