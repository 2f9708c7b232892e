#include "reference/logits.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

namespace adjudge::reference {
namespace {

using rl::LogitsFault;

// log p of token k is (logits[k] - top) / temperature - log_sum.
struct Distribution {
  double top = -std::numeric_limits<double>::infinity();
  double log_sum = 0;
  double entropy = 0;
  double sum_pi_squared = 0;
};

template <typename Float>
double log_sum(const Float* logits, std::size_t width, double top, double temperature) {
  double sum = 0;
  for (std::size_t k = 0; k < width; ++k) sum += std::exp((logits[k] - top) / temperature);
  return std::log(sum);
}

template <typename Float>
LogitsFault distribution_of(const rl::LogitsBatch<Float>& batch, std::size_t row, Distribution& result) {
  const Float* logits = batch.logits + row * batch.width;
  for (std::size_t k = 0; k < batch.width; ++k) {
    if (!(logits[k] < std::numeric_limits<Float>::infinity())) return LogitsFault::not_a_number;
    result.top = std::max(result.top, static_cast<double>(logits[k]));
  }
  if (std::isinf(result.top)) return LogitsFault::all_masked;
  if (batch.tokens && (batch.tokens[row] < 0 || static_cast<std::size_t>(batch.tokens[row]) >= batch.width)) {
    return LogitsFault::token_invalid;
  }
  result.log_sum = log_sum(logits, batch.width, result.top, batch.temperature);
  for (std::size_t k = 0; k < batch.width; ++k) {
    const double log_prob = (logits[k] - result.top) / batch.temperature - result.log_sum;
    const double p = std::exp(log_prob);
    if (p > 0) result.entropy -= p * log_prob;
    result.sum_pi_squared += p * p;
  }
  return LogitsFault::none;
}

}  // namespace

template <typename Float>
double log_sum_exp(const Float* logits, std::size_t width) {
  double top = -std::numeric_limits<double>::infinity();
  for (std::size_t k = 0; k < width; ++k) top = std::max(top, static_cast<double>(logits[k]));
  return top + log_sum(logits, width, top, 1);
}

template double log_sum_exp(const float*, std::size_t);
template double log_sum_exp(const double*, std::size_t);

template <typename Float>
LogitsFault logits_statistics_row(const rl::LogitsBatch<Float>& batch, std::size_t row,
                                  const rl::LogitsStatistics<Float>& statistics) {
  Distribution of;
  const LogitsFault fault = distribution_of(batch, row, of);
  if (fault != LogitsFault::none) return fault;
  const Float* logits = batch.logits + row * batch.width;
  const auto log_prob = [&](std::int32_t token) {
    return static_cast<Float>((logits[token] - of.top) / batch.temperature - of.log_sum);
  };
  if (statistics.log_probs) statistics.log_probs[row] = log_prob(batch.tokens[row]);
  if (statistics.entropies) statistics.entropies[row] = static_cast<Float>(of.entropy);
  if (statistics.log_sum_exp) {
    statistics.log_sum_exp[row] = static_cast<Float>(of.top / batch.temperature + of.log_sum);
  }
  if (statistics.sum_pi_squared) statistics.sum_pi_squared[row] = static_cast<Float>(of.sum_pi_squared);
  if (statistics.top_k == 0) return LogitsFault::none;
  std::vector<std::int32_t> order(batch.width);
  std::iota(order.begin(), order.end(), 0);
  std::partial_sort(
      order.begin(), order.begin() + static_cast<std::ptrdiff_t>(statistics.top_k), order.end(),
      [&](std::int32_t a, std::int32_t b) { return logits[a] != logits[b] ? logits[a] > logits[b] : a < b; });
  for (std::size_t j = 0; j < statistics.top_k; ++j) {
    const std::size_t at = row * statistics.top_k + j;
    if (statistics.top_tokens) statistics.top_tokens[at] = order[j];
    if (statistics.top_log_probs) statistics.top_log_probs[at] = log_prob(order[j]);
  }
  return LogitsFault::none;
}

// d log p_token / d logit_k = (1[k = token] - p_k) / temperature; dH / d logit_k = -p_k (log p_k + H) /
// temperature.
template <typename Float>
LogitsFault logits_gradient_row(const rl::LogitsBatch<Float>& batch, std::size_t row,
                                const rl::LogitsCoefficients<Float>& coefficients, Float* gradients) {
  Distribution of;
  const LogitsFault fault = distribution_of(batch, row, of);
  if (fault != LogitsFault::none) return fault;
  const double policy = coefficients.log_prob_gradients[row];
  const double exploration = coefficients.entropy_gradients ? coefficients.entropy_gradients[row] : 0.0;
  const Float* logits = batch.logits + row * batch.width;
  Float* gradient = gradients + row * batch.width;
  for (std::size_t k = 0; k < batch.width; ++k) {
    const double log_prob = (logits[k] - of.top) / batch.temperature - of.log_sum;
    const double p = std::exp(log_prob);
    const double hit = batch.tokens && static_cast<std::size_t>(batch.tokens[row]) == k ? 1 : 0;
    const double of_entropy = p > 0 ? -p * (log_prob + of.entropy) : 0;
    gradient[k] = static_cast<Float>((policy * (hit - p) + exploration * of_entropy) / batch.temperature);
  }
  return LogitsFault::none;
}

template LogitsFault logits_statistics_row(const rl::LogitsBatch<float>&, std::size_t,
                                           const rl::LogitsStatistics<float>&);
template LogitsFault logits_statistics_row(const rl::LogitsBatch<double>&, std::size_t,
                                           const rl::LogitsStatistics<double>&);
template LogitsFault logits_gradient_row(const rl::LogitsBatch<float>&, std::size_t,
                                         const rl::LogitsCoefficients<float>&, float*);
template LogitsFault logits_gradient_row(const rl::LogitsBatch<double>&, std::size_t,
                                         const rl::LogitsCoefficients<double>&, double*);

}  // namespace adjudge::reference
