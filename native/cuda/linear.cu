// A linear head and what a loss asks of its logits, in chunks of rows: the logits of a chunk are computed,
// measured and forgotten. The gradient computes them again, turns them into their own gradients in place and
// multiplies those back, only for rows that have a coefficient. Each product takes 2 rows x width x
// vocabulary flops; a chunk's logits are written and read about three times, the weights read once per chunk.
#include "cuda/gemm.cuh"
#include "cuda/logits.cuh"
#include "cuda/logits_top.cuh"
#include "cuda/table.h"

namespace adjudge::cuda {
namespace {

using namespace rl;

constexpr std::int64_t chunk_bytes = std::int64_t{64} << 20;

std::int64_t chunk_rows_of(const LinearRows& linear) {
  const std::int64_t fitting =
      chunk_bytes / (static_cast<std::int64_t>(sizeof(float)) * std::max<std::int64_t>(linear.vocabulary, 1));
  const std::int64_t wanted = linear.chunk_rows > 0 ? linear.chunk_rows : fitting;
  return std::clamp<std::int64_t>(wanted, 1, std::max<std::int64_t>(linear.rows, 1));
}

Product logits_product(const LinearRows& linear, const LiveRows& live, float* logits) {
  Product product{};
  product.a = {linear.hidden, linear.element, linear.width, false, true};
  product.b = {linear.weights, linear.element, linear.width, false, false};
  product.m = live.most;
  product.n = linear.vocabulary;
  product.k = linear.width;
  product.live = live;
  product.live_m = true;
  product.c = logits;
  product.c_stride = linear.vocabulary;
  return product;
}

// d hidden = d logits x weights.
Product hidden_product(const LinearRows& linear, const LiveRows& live, const float* slopes,
                       float* gradients) {
  Product product{};
  product.a = {slopes, Element::float32, linear.vocabulary, false, false};
  product.b = {linear.weights, linear.element, linear.width, true, false};
  product.m = live.most;
  product.n = linear.width;
  product.k = linear.vocabulary;
  product.live = live;
  product.live_m = true;
  product.scattered = true;
  product.c = gradients;
  product.c_stride = linear.width;
  return product;
}

// d weights += d logitsᵀ x hidden.
Product weight_product(const LinearRows& linear, const LiveRows& live, const float* slopes,
                       float* gradients) {
  Product product{};
  product.a = {slopes, Element::float32, linear.vocabulary, true, false};
  product.b = {linear.hidden, linear.element, linear.width, true, true};
  product.m = linear.vocabulary;
  product.n = linear.width;
  product.k = live.most;
  product.live = live;
  product.live_k = true;
  product.accumulate = true;
  product.c = gradients;
  product.c_stride = linear.width;
  return product;
}

LogitsRows logits_rows(const LinearRows& linear, const float* logits) {
  return {
      logits,       Element::float32, linear.rows, linear.vocabulary, linear.vocabulary, linear.temperature,
      linear.tokens};
}

int linear_statistics(const LinearRows& linear, const LogitsStatistics<float>& statistics, Fault* fault,
                      Launch& launch) {
  if (statistics.top_k > most_top_tokens) return rule_not_computed;
  Enqueue enqueue(launch, 256);
  const std::int64_t chunk = chunk_rows_of(linear);
  auto* const logits = enqueue.take<float>(chunk * linear.vocabulary);
  auto* const partials = enqueue.take<float>(product_partials(logits_product(linear, {0, chunk}, nullptr)));
  auto* const key = enqueue.take<FaultKey>(1);
  if (enqueue.stops()) return enqueue.status();
  begin_faults(enqueue, key);
  for (std::int64_t first = 0; first < linear.rows; first += chunk) {
    const LiveRows live{first, std::min(chunk, linear.rows - first)};
    enqueue_product(enqueue, logits_product(linear, live, logits), partials);
    enqueue_logits_statistics(enqueue, logits_rows(linear, logits), live, statistics, key);
  }
  end_faults(enqueue, key, fault);
  return enqueue.status();
}

SIMT_DEVICE bool has_coefficient(const LogitsCoefficients<float>& coefficients, std::int64_t row) {
  return coefficients.log_prob_gradients[row] != 0 ||
         (coefficients.entropy_gradients && coefficients.entropy_gradients[row] != 0);
}

// One block: the rows that have a coefficient, ascending, and their number.
SIMT_KERNEL live_rows_kernel(LogitsCoefficients<float> coefficients, std::int64_t rows, std::int32_t* indices,
                             std::int32_t* count) {
  std::int32_t before = 0;
  for (std::int64_t first = 0; first < rows; first += simt::threads()) {
    const std::int64_t row = first + simt::thread();
    const bool live = row < rows && has_coefficient(coefficients, row);
    const std::int32_t place = block_rank(live, before);
    if (live) indices[place] = static_cast<std::int32_t>(row);
  }
  if (simt::thread() == 0) *count = before;
}

// A block per row: gradients of rows without a coefficient.
SIMT_KERNEL still_rows_kernel(LogitsCoefficients<float> coefficients, std::int64_t width, float* gradients) {
  if (has_coefficient(coefficients, simt::block())) return;
  for (std::int64_t j = simt::thread(); j < width; j += simt::threads())
    gradients[simt::block() * width + j] = 0;
}

int linear_gradient(const LinearRows& linear, const LinearGradient& wanted, Fault* fault, Launch& launch) {
  Enqueue enqueue(launch, 256);
  const std::int64_t chunk = chunk_rows_of(linear);
  const LiveRows any{0, chunk};
  auto* const logits = enqueue.take<float>(chunk * linear.vocabulary);
  auto* const partials =
      enqueue.take<float>(std::max(product_partials(logits_product(linear, any, nullptr)),
                                   product_partials(hidden_product(linear, any, nullptr, nullptr))));
  auto* const indices = enqueue.take<std::int32_t>(linear.rows);
  auto* const count = enqueue.take<std::int32_t>(1);
  auto* const key = enqueue.take<FaultKey>(1);
  if (enqueue.stops()) return enqueue.status();
  begin_faults(enqueue, key);
  enqueue(ADJUDGE_NAMED(live_rows_kernel), 1, wanted.coefficients, linear.rows, indices, count);
  if (wanted.hidden_gradients)
    enqueue(ADJUDGE_NAMED(still_rows_kernel), linear.rows, wanted.coefficients, linear.width,
            wanted.hidden_gradients);
  for (std::int64_t first = 0; first < linear.rows; first += chunk) {
    const LiveRows live{first, std::min(chunk, linear.rows - first), indices, count};
    enqueue_product(enqueue, logits_product(linear, live, logits), partials);
    enqueue_logits_gradient(enqueue, logits_rows(linear, logits), live,
                            {wanted.coefficients, wanted.log_sum_exp, wanted.entropies, logits}, key);
    if (wanted.hidden_gradients)
      enqueue_product(enqueue, hidden_product(linear, live, logits, wanted.hidden_gradients), partials);
    if (wanted.weight_gradients)
      enqueue_product(enqueue, weight_product(linear, live, logits, wanted.weight_gradients), nullptr);
  }
  end_faults(enqueue, key, fault);
  return enqueue.status();
}

}  // namespace

void add_linear(Kernels& table) {
  table.linear_statistics = linear_statistics;
  table.linear_gradient = linear_gradient;
}

}  // namespace adjudge::cuda
