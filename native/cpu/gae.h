// Generalised advantage estimation of f32 arrays: see rl/gae.h.
#pragma once
#include "native/rules/gae.h"

namespace adjudge {

void gae(const rl::GaeRule& rule, const rl::GaeBatch<float>& batch, float* advantages, float* returns);

}  // namespace adjudge
