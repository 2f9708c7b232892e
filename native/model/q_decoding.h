// Decoding by advantage: logits + beta · (smallest Q − V), the policy that ILQL extracts (Snell et al. 2022).
#pragma once
#include <cstdint>
#include <vector>

#include "model.h"

namespace adjudge {

// Adds to logits [rows, vocabulary]. hidden [rows, hidden]: before the final norm. Throws ARGUMENT_INVALID
// for a head that is not there or has the wrong number of outputs. A row's result does not depend on the
// others.
void add_advantages(Model::Impl&, const QDecoding&, int64_t rows, const float* hidden,
                    std::vector<float>& logits);

}  // namespace adjudge
