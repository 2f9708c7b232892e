#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

// Mean and deviation of the scored members of a range.
namespace adjudge::reference {

struct Spread {
  std::size_t count = 0;
  double mean = 0;
  double deviation = 0;
  bool constant = true;
};

// Two passes, so that a nearly constant group keeps its digits.
inline Spread spread_of(const std::vector<double>& values, const std::vector<std::uint8_t>& scored,
                        std::size_t begin, std::size_t end, bool bessel) {
  Spread spread;
  double sum = 0;
  double first = 0;
  for (std::size_t i = begin; i < end; ++i) {
    if (!scored[i]) continue;
    if (spread.count == 0) first = values[i];
    spread.constant = spread.constant && values[i] == first;
    sum += values[i];
    ++spread.count;
  }
  if (spread.count == 0) return spread;
  spread.mean = spread.constant ? first : sum / static_cast<double>(spread.count);
  double squares = 0;
  for (std::size_t i = begin; i < end; ++i) {
    if (scored[i]) squares += (values[i] - spread.mean) * (values[i] - spread.mean);
  }
  const double divisor = static_cast<double>(spread.count) - (bessel ? 1.0 : 0.0);
  spread.deviation = divisor > 0 ? std::sqrt(squares / divisor) : 0;
  return spread;
}

}  // namespace adjudge::reference
