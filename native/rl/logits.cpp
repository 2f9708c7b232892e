#include "rl/logits.h"

#include <algorithm>
#include <atomic>
#include <string>

#include "core/error.h"
#include "core/thread_pool.h"
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

}  // namespace

template <typename Float>
void logits_statistics(const LogitsBatch<Float>& batch, const LogitsStatistics<Float>& statistics) {
  for_rows(batch.rows, batch.width,
           [&](std::size_t row) { return reference::logits_statistics_row(batch, row, statistics); });
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
    return reference::logits_gradient_row(batch, row, coefficients, gradients);
  });
}

template void logits_statistics(const LogitsBatch<float>&, const LogitsStatistics<float>&);
template void logits_statistics(const LogitsBatch<double>&, const LogitsStatistics<double>&);
template void logits_gradient(const LogitsBatch<float>&, const LogitsCoefficients<float>&, float*);
template void logits_gradient(const LogitsBatch<double>&, const LogitsCoefficients<double>&, double*);

}  // namespace adjudge::rl
