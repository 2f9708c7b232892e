#pragma once

#include <cstddef>
#include <cstdint>

#include "rules/logits.h"

// A linear head and the statistics of its logits in f64, the logits held as a whole: what fused heads are
// tested against.
namespace adjudge::reference {

struct LinearBatch {
  const double* hidden = nullptr;        // [rows, width]
  const double* weights = nullptr;       // [vocabulary, width]
  const std::int32_t* tokens = nullptr;  // [rows]
  std::size_t rows = 0;
  std::size_t width = 0;
  std::size_t vocabulary = 0;
  double temperature = 1;
};

// Throws Error INTERNAL for a row at fault.
void linear_statistics(const LinearBatch& batch, const rl::LogitsStatistics<double>& statistics);

// hidden_gradients: [rows, width], written; weight_gradients: [vocabulary, width], added to. Rows whose
// coefficients are 0 are not read.
void linear_gradient(const LinearBatch& batch, const rl::LogitsCoefficients<double>& coefficients,
                     double* hidden_gradients, double* weight_gradients);

}  // namespace adjudge::reference
