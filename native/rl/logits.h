#pragma once

#include "rules/logits.h"

// Log-probs, entropies and the most probable tokens of rows of logits, and the way back.
namespace adjudge::rl {

// One pass over the logits, rows in parallel. Throws Error ARGUMENT_INVALID, naming the first such row: a
// logit that is NaN or plus infinity, minus infinity everywhere, a token outside the vocabulary. With an
// error nothing of what was written is to be used.
template <typename Float>
void logits_statistics(const LogitsBatch<Float>& batch, const LogitsStatistics<Float>& statistics);

// gradients: [rows, width], derivatives with respect to the logits (before the temperature); may be the
// logits themselves. The rows' tokens are needed. Rows whose coefficients are 0 are not read and become 0.
template <typename Float>
void logits_gradient(const LogitsBatch<Float>& batch, const LogitsCoefficients<Float>& coefficients,
                     Float* gradients);

}  // namespace adjudge::rl
