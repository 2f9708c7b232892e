#pragma once

#include <cmath>
#include <cstddef>
#include <string>

#include "core/error.h"

namespace adjudge::reference {

// Throws ARGUMENT_INVALID, naming array and index, for a number that is not finite.
template <typename Float>
double finite(const char* name, const Float* values, std::size_t index) {
  const double value = values[index];
  if (std::isfinite(value)) return value;
  const char* text = std::isnan(value) ? "NaN" : value > 0 ? "Infinity" : "-Infinity";
  throw Error{"ARGUMENT_INVALID", std::string(name) + "[" + std::to_string(index) + "] is " + text +
                                      ", expected a finite number"};
}

}  // namespace adjudge::reference
