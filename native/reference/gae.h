#pragma once

#include "rules/gae.h"

namespace adjudge::reference {

// See rl/gae.h.
template <typename Float>
void gae(const rl::GaeRule& rule, const rl::GaeBatch<Float>& batch, Float* advantages, Float* returns);

}  // namespace adjudge::reference
