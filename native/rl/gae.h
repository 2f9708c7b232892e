#pragma once

#include "rules/gae.h"

namespace adjudge::rl {

// advantages and returns: [tokens]; 0 where the mask is 0. float: vector kernels in f64 arithmetic, rows in
// parallel; double: the reference.
template <typename Float>
void gae(const GaeRule& rule, const GaeBatch<Float>& batch, Float* advantages, Float* returns);

}  // namespace adjudge::rl
