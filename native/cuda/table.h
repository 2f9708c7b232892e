// Each source enters its own functions into the table.
#pragma once

#include "cuda/kernels.h"

namespace adjudge::cuda {

void add_advantages(Kernels& table);
void add_gae(Kernels& table);

}  // namespace adjudge::cuda
