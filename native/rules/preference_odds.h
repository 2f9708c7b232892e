#pragma once

#include <cstdint>
#include <string>

#include "core/error.h"

namespace adjudge::rl {

[[noreturn]] inline void refuse_odds(std::int64_t completion) {
  throw Error("ARGUMENT_INVALID",
              "logProbs: completion " + std::to_string(completion) +
                  " has a probability of 1 or more (or no counted token), whose odds are not finite; "
                  "expected a mean log-prob below 0 for orpo");
}

}  // namespace adjudge::rl
