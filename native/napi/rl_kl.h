// A KL rule in a kernel's arguments.
#pragma once

#include "../rules/kl_terms.h"
#include "setup.h"

namespace adjudge {

rl::KlRule kl_rule(const Napi::Object& from);

}  // namespace adjudge
