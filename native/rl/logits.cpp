#include "rl/logits.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/thread_pool.h"
#include "cpu/logits_kernels.h"
#include "cpu/math.h"
#include "reference/logits.h"

namespace adjudge::rl {
namespace {

constexpr std::size_t logits_per_item = std::size_t{1} << 16;  // of one work item: small rows share one

std::string text_of(LogitsFault fault, std::size_t width) {
  if (fault == LogitsFault::not_a_number) {
    return "has a logit that is NaN or plus infinity; expected numbers, or minus infinity for what is masked";
  }
  if (fault == LogitsFault::all_masked) {
    return "has minus infinity everywhere; expected at least one token that is not masked";
  }
  return "has a token outside of 0 to " + std::to_string(width - 1);
}

// Calls body(row) for every row; throws for the first row at fault.
template <typename Body>
void for_rows(std::size_t rows, std::size_t width, const Body& body) {
  const std::size_t size = std::max<std::size_t>(1, logits_per_item / std::max<std::size_t>(1, width));
  std::atomic<std::size_t> first{rows};
  parallel_for(static_cast<std::int64_t>((rows + size - 1) / size), [&](std::int64_t item, int) {
    const std::size_t begin = static_cast<std::size_t>(item) * size;
    for (std::size_t row = begin; row < std::min(rows, begin + size); ++row) {
      if (body(row) == LogitsFault::none) continue;
      std::size_t known = first.load();
      while (row < known && !first.compare_exchange_weak(known, row)) {
      }
    }
  });
  if (first == rows) return;
  throw Error{"ARGUMENT_INVALID", "logits: row " + std::to_string(first) + " " + text_of(body(first), width)};
}

LogitsFault fault_of(const LogitsBatch<float>& batch, std::size_t row, const LogitsRow& of) {
  if (std::isnan(of.sum) || of.top == std::numeric_limits<float>::infinity())
    return LogitsFault::not_a_number;
  if (std::isinf(of.top)) return LogitsFault::all_masked;
  if (batch.tokens && (batch.tokens[row] < 0 || static_cast<std::size_t>(batch.tokens[row]) >= batch.width)) {
    return LogitsFault::token_invalid;
  }
  return LogitsFault::none;
}

// H = log S - sum of d e^d / S, sum of p^2 = sum of e^2d / S^2.
LogitsFault statistics_row(const LogitsBatch<float>& batch, std::size_t row,
                           const LogitsStatistics<float>& statistics) {
  const float* logits = batch.logits + row * batch.width;
  std::vector<float> top_logits(statistics.top_k);
  std::vector<std::int32_t> top_tokens(statistics.top_k);
  TopLogits top{static_cast<std::int64_t>(statistics.top_k), 0, top_logits.data(), top_tokens.data()};
  const LogitsRow of = logits_row(logits, static_cast<std::int64_t>(batch.width),
                                  static_cast<float>(1 / batch.temperature), statistics.sum_pi_squared, top);
  const LogitsFault fault = fault_of(batch, row, of);
  if (fault != LogitsFault::none) return fault;
  const double log_sum = std::log(of.sum);
  const auto log_prob = [&](float logit) {
    return static_cast<float>((static_cast<double>(logit) - of.top) / batch.temperature - log_sum);
  };
  if (statistics.log_probs) statistics.log_probs[row] = log_prob(logits[batch.tokens[row]]);
  if (statistics.entropies) statistics.entropies[row] = static_cast<float>(log_sum - of.weighted / of.sum);
  if (statistics.log_sum_exp) {
    statistics.log_sum_exp[row] = static_cast<float>(of.top / batch.temperature + log_sum);
  }
  if (statistics.sum_pi_squared) {
    statistics.sum_pi_squared[row] = static_cast<float>(of.squares / of.sum / of.sum);
  }
  for (std::size_t j = 0; j < statistics.top_k; ++j) {
    const std::size_t at = row * statistics.top_k + j;
    if (statistics.top_tokens) statistics.top_tokens[at] = top_tokens[j];
    if (statistics.top_log_probs) statistics.top_log_probs[at] = log_prob(top_logits[j]);
  }
  return LogitsFault::none;
}

LogitsFault statistics_row(const LogitsBatch<double>& batch, std::size_t row,
                           const LogitsStatistics<double>& statistics) {
  return reference::logits_statistics_row(batch, row, statistics);
}

// The row's maximum is taken off first, so that large logits keep their digits.
LogitsFault gradient_row(const LogitsBatch<float>& batch, std::size_t row,
                         const LogitsCoefficients<float>& coefficients, float* gradients) {
  const float* logits = batch.logits + row * batch.width;
  float* gradient = gradients + row * batch.width;
  const float scale = static_cast<float>(1 / batch.temperature);
  TopLogits none;
  const LogitsRow of = logits_row(logits, static_cast<std::int64_t>(batch.width), scale, false, none);
  const LogitsFault fault = fault_of(batch, row, of);
  if (fault != LogitsFault::none) return fault;
  const double log_sum = std::log(of.sum);
  for (std::size_t k = 0; k < batch.width; ++k) gradient[k] = logits[k] - of.top;
  log_prob_gradient(gradient, static_cast<std::int64_t>(batch.width), scale, static_cast<float>(log_sum),
                    static_cast<float>(log_sum - of.weighted / of.sum), batch.tokens[row],
                    coefficients.log_prob_gradients[row],
                    coefficients.entropy_gradients ? coefficients.entropy_gradients[row] : 0.0f);
  return LogitsFault::none;
}

LogitsFault gradient_row(const LogitsBatch<double>& batch, std::size_t row,
                         const LogitsCoefficients<double>& coefficients, double* gradients) {
  return reference::logits_gradient_row(batch, row, coefficients, gradients);
}

}  // namespace

template <typename Float>
void logits_statistics(const LogitsBatch<Float>& batch, const LogitsStatistics<Float>& statistics) {
  for_rows(batch.rows, batch.width, [&](std::size_t row) { return statistics_row(batch, row, statistics); });
}

template <typename Float>
void logits_gradient(const LogitsBatch<Float>& batch, const LogitsCoefficients<Float>& coefficients,
                     Float* gradients) {
  for_rows(batch.rows, batch.width, [&](std::size_t row) {
    if (coefficients.log_prob_gradients[row] == 0 &&
        (!coefficients.entropy_gradients || coefficients.entropy_gradients[row] == 0)) {
      std::fill_n(gradients + row * batch.width, batch.width, Float{0});
      return LogitsFault::none;
    }
    return gradient_row(batch, row, coefficients, gradients);
  });
}

template void logits_statistics(const LogitsBatch<float>&, const LogitsStatistics<float>&);
template void logits_statistics(const LogitsBatch<double>&, const LogitsStatistics<double>&);
template void logits_gradient(const LogitsBatch<float>&, const LogitsCoefficients<float>&, float*);
template void logits_gradient(const LogitsBatch<double>&, const LogitsCoefficients<double>&, double*);

}  // namespace adjudge::rl
