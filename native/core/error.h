// The one exception of the native side. The Node-API guard turns it into a JavaScript error with the same
// code.
#pragma once

#include <stdexcept>
#include <string>
#include <utility>

namespace adjudge {

// code: one of the codes in src/errors.ts. The message names the file or field, what was expected, how to
// mend it.
struct Error : std::runtime_error {
  std::string code;
  Error(std::string error_code, const std::string& message)
      : std::runtime_error(message), code(std::move(error_code)) {}
};

}  // namespace adjudge
