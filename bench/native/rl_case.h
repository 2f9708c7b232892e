// One kernel of native/rl on large arrays, and what it reads and writes.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "arrays.h"
#include "floor.h"

namespace adjudge::bench {

struct Case {
  Bands bands;
  std::function<void()> kernel;
  // Where streams do not describe the memory traffic: a loop of its own, and its bytes.
  std::function<void()> floor;
  double floor_bytes = 0;

  double bytes() const { return floor ? floor_bytes : bytes_of(bands); }
};

// Arrays are made when a case is about to run, and live as long as it does. `size` is 1, or less for a quick
// look.
struct NamedCase {
  std::string name;
  std::function<Case(double size)> make;
};

inline int64_t scaled(double size, int64_t count) {
  return std::max<int64_t>(64, static_cast<int64_t>(size * static_cast<double>(count)));
}

}  // namespace adjudge::bench
