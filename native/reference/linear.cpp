#include "reference/linear.h"

#include <vector>

#include "core/error.h"
#include "reference/logits.h"

namespace adjudge::reference {
namespace {

void check(rl::LogitsFault fault) {
  if (fault != rl::LogitsFault::none) throw Error{"INTERNAL", "a row of logits is at fault"};
}

std::vector<double> logits_of_row(const LinearBatch& batch, std::size_t row) {
  std::vector<double> logits(batch.vocabulary);
  for (std::size_t v = 0; v < batch.vocabulary; ++v) {
    for (std::size_t j = 0; j < batch.width; ++j)
      logits[v] += batch.hidden[row * batch.width + j] * batch.weights[v * batch.width + j];
  }
  return logits;
}

rl::LogitsBatch<double> one_row(const LinearBatch& batch, std::size_t row,
                                const std::vector<double>& logits) {
  return {logits.data(), batch.tokens ? batch.tokens + row : nullptr, 1, batch.vocabulary, batch.temperature};
}

}  // namespace

void linear_statistics(const LinearBatch& batch, const rl::LogitsStatistics<double>& statistics) {
  for (std::size_t row = 0; row < batch.rows; ++row) {
    const std::vector<double> logits = logits_of_row(batch, row);
    const auto of_row = [&](auto* values, std::size_t each) {
      return values ? values + row * each : nullptr;
    };
    check(logits_statistics_row<double>(
        one_row(batch, row, logits), 0,
        {of_row(statistics.log_probs, 1), of_row(statistics.entropies, 1), of_row(statistics.log_sum_exp, 1),
         of_row(statistics.sum_pi_squared, 1), statistics.top_k,
         of_row(statistics.top_tokens, statistics.top_k),
         of_row(statistics.top_log_probs, statistics.top_k)}));
  }
}

void linear_gradient(const LinearBatch& batch, const rl::LogitsCoefficients<double>& coefficients,
                     double* hidden_gradients, double* weight_gradients) {
  for (std::size_t row = 0; row < batch.rows; ++row) {
    double* const hidden_gradient = hidden_gradients + row * batch.width;
    for (std::size_t j = 0; j < batch.width; ++j) hidden_gradient[j] = 0;
    const double* const entropy_gradient =
        coefficients.entropy_gradients ? coefficients.entropy_gradients + row : nullptr;
    if (coefficients.log_prob_gradients[row] == 0 && (!entropy_gradient || *entropy_gradient == 0)) continue;
    const std::vector<double> logits = logits_of_row(batch, row);
    std::vector<double> slopes(batch.vocabulary);
    check(logits_gradient_row<double>(one_row(batch, row, logits), 0,
                                      {coefficients.log_prob_gradients + row, entropy_gradient},
                                      slopes.data()));
    for (std::size_t v = 0; v < batch.vocabulary; ++v) {
      for (std::size_t j = 0; j < batch.width; ++j) {
        hidden_gradient[j] += slopes[v] * batch.weights[v * batch.width + j];
        weight_gradients[v * batch.width + j] += slopes[v] * batch.hidden[row * batch.width + j];
      }
    }
  }
}

}  // namespace adjudge::reference
