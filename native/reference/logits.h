#pragma once

#include "rules/logits.h"

// Statistics of one row of logits in f64, pass by pass: the path of f64 arrays, and what the kernels are
// tested against.
namespace adjudge::reference {

// log of the sum of e^logit; NaN where a logit is NaN or plus infinity, or all are minus infinity.
template <typename Float>
double log_sum_exp(const Float* logits, std::size_t width);

// Everything that `statistics` asks for of row `row`, unless the row is at fault.
template <typename Float>
rl::LogitsFault logits_statistics_row(const rl::LogitsBatch<Float>& batch, std::size_t row,
                                      const rl::LogitsStatistics<Float>& statistics);

// gradients: [rows, width], of which row `row` is written; may be the logits themselves.
template <typename Float>
rl::LogitsFault logits_gradient_row(const rl::LogitsBatch<Float>& batch, std::size_t row,
                                    const rl::LogitsCoefficients<Float>& coefficients, Float* gradients);

}  // namespace adjudge::reference
