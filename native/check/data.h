// Seeded random inputs: numbers in float32 and the same rounded numbers in 64 bits, packed rows of uneven
// length.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <vector>

namespace adjudge::check {

// splitmix64.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}

  std::uint64_t bits() {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  double uniform() { return static_cast<double>(bits() >> 11) * 0x1p-53; }
  double between(double low, double high) { return low + (high - low) * uniform(); }
  std::size_t below(std::size_t end) { return bits() % end; }

 private:
  std::uint64_t state_;
};

struct Numbers {
  std::vector<float> single;
  std::vector<double> dual;

  template <typename Float>
  const Float* get() const {
    if constexpr (std::is_same_v<Float, float>)
      return single.empty() ? nullptr : single.data();
    else
      return dual.empty() ? nullptr : dual.data();
  }
  std::size_t size() const { return single.size(); }
  void set(std::size_t index, double value) {
    single[index] = static_cast<float>(value);
    dual[index] = single[index];
  }
};

inline Numbers numbers(Random& random, std::size_t count, double low, double high) {
  Numbers result{std::vector<float>(count), std::vector<double>(count)};
  for (std::size_t i = 0; i < count; ++i) result.set(i, random.between(low, high));
  return result;
}

// Each within +-spread of another array's number.
inline Numbers near(Random& random, const Numbers& other, double spread) {
  Numbers result = other;
  for (std::size_t i = 0; i < other.size(); ++i) {
    result.set(i, other.dual[i] + random.between(-spread, spread));
  }
  return result;
}

inline std::vector<std::uint8_t> mask(Random& random, std::size_t count, double share) {
  std::vector<std::uint8_t> result(count);
  for (std::uint8_t& one : result) one = random.uniform() < share;
  return result;
}

// What does not count must not be read into a result.
inline void spoil(Numbers& values, const std::vector<std::uint8_t>& mask) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!mask[i]) values.set(i, std::numeric_limits<double>::quiet_NaN());
  }
}

// Offsets of rows that hold `total` elements together: many short ones, some long, some empty.
inline std::vector<std::int32_t> ragged(Random& random, std::size_t total, std::size_t longest) {
  std::vector<std::int32_t> offsets{0};
  while (static_cast<std::size_t>(offsets.back()) < total) {
    const double kind = random.uniform();
    std::size_t length = kind < 0.05 ? 0 : 1 + random.below(kind < 0.5 ? 40 : longest);
    length = std::min(length, total - static_cast<std::size_t>(offsets.back()));
    offsets.push_back(offsets.back() + static_cast<std::int32_t>(length));
  }
  return offsets;
}

inline std::vector<std::int32_t> uniform_rows(std::size_t rows, std::size_t length) {
  std::vector<std::int32_t> offsets(rows + 1);
  for (std::size_t i = 0; i <= rows; ++i) offsets[i] = static_cast<std::int32_t>(i * length);
  return offsets;
}

}  // namespace adjudge::check
