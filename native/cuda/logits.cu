// Rows of logits, one block each. Statistics read 4 bytes a logit (2 in bfloat16) once from memory, about 12
// f32 operations with one exponential; top tokens read the row again from cache. The gradient reads the row
// once or twice (from cache) and writes it once. Sums of threads are f32, of blocks f64.
#include "cuda/logits.cuh"

#include "cuda/logits_top.cuh"
#include "cuda/table.h"

namespace adjudge::cuda {
namespace {

using namespace rl;

SIMT_DEVICE FaultKind fault_of(const LogitsRows& rows, std::int64_t row, const LogitsSums& sums) {
  if (sums.not_a_number) return FaultKind::logit_not_a_number;
  if (sums.top == -INFINITY) return FaultKind::logits_all_masked;
  if (rows.tokens && (rows.tokens[row] < 0 || rows.tokens[row] >= rows.width))
    return FaultKind::token_invalid;
  return FaultKind::none;
}

template <typename T>
SIMT_DEVICE void write_statistics(const LogitsRows& rows, std::int64_t row, const T* logits,
                                  const LogitsSums& sums, const LogitsStatistics<float>& statistics) {
  const double log_sum = sums.log_sum();
  if (statistics.log_probs) {
    const double difference = static_cast<double>(widened(logits[rows.tokens[row]])) - sums.top;
    statistics.log_probs[row] = static_cast<float>(difference / rows.temperature - log_sum);
  }
  if (statistics.entropies) statistics.entropies[row] = static_cast<float>(sums.entropy());
  if (statistics.log_sum_exp)
    statistics.log_sum_exp[row] = static_cast<float>(sums.top / rows.temperature + log_sum);
  if (statistics.sum_pi_squared)
    statistics.sum_pi_squared[row] = static_cast<float>(sums.squares / sums.sum / sums.sum);
}

template <typename T>
SIMT_KERNEL logits_statistics_kernel(LogitsRows rows, LiveRows live, LogitsStatistics<float> statistics,
                                     FaultKey* fault) {
  if (simt::block() >= live.number()) return;
  const std::int64_t row = live.row(simt::block());
  const T* const logits = static_cast<const T*>(rows.logits) + simt::block() * rows.stride;
  const LogitsSums sums = sums_of_row(logits, rows.width, rows.temperature);
  const FaultKind kind = fault_of(rows, row, sums);
  if (kind != FaultKind::none) {
    if (simt::thread() == 0) note_fault(fault, kind, row);
    return;
  }
  if (simt::thread() == 0) write_statistics(rows, row, logits, sums, statistics);
  if (statistics.top_k == 0) return;
  const int count = static_cast<int>(statistics.top_k);
  auto* const keys = simt::dynamic_shared<std::uint64_t>();
  top_keys_of_row(logits, rows.width, count, keys);
  const double log_sum = sums.log_sum();
  for (int i = simt::thread(); i < count; i += simt::threads()) {
    const std::int32_t token = token_of_key(keys[i]);
    const std::int64_t at = row * count + i;
    if (statistics.top_tokens) statistics.top_tokens[at] = token;
    if (!statistics.top_log_probs) continue;
    const double difference = static_cast<double>(widened(logits[token])) - sums.top;
    statistics.top_log_probs[at] = static_cast<float>(difference / rows.temperature - log_sum);
  }
}

// A row's distribution: log p = (logit - top) / temperature - log_sum.
struct Normaliser {
  float top;
  float log_sum;
  float entropy;
};

template <typename T>
SIMT_KERNEL logits_gradient_kernel(LogitsRows rows, LiveRows live, LogitsGradient wanted, FaultKey* fault) {
  if (simt::block() >= live.number()) return;
  const std::int64_t row = live.row(simt::block());
  const T* const logits = static_cast<const T*>(rows.logits) + simt::block() * rows.stride;
  T* const gradients = static_cast<T*>(wanted.gradients) + simt::block() * rows.stride;
  const LogitsCoefficients<float>& coefficients = wanted.coefficients;
  const float policy = coefficients.log_prob_gradients[row];
  const float exploration = coefficients.entropy_gradients ? coefficients.entropy_gradients[row] : 0.0f;
  if (policy == 0 && exploration == 0) {
    for (std::int64_t k = simt::thread(); k < rows.width; k += simt::threads()) narrow(0.0f, gradients[k]);
    return;
  }
  Normaliser of;
  if (wanted.log_sum_exp && (wanted.entropies || exploration == 0)) {
    of = {0, wanted.log_sum_exp[row], wanted.entropies ? wanted.entropies[row] : 0.0f};
  } else {
    const LogitsSums sums = sums_of_row(logits, rows.width, rows.temperature);
    const FaultKind kind = fault_of(rows, row, sums);
    if (kind != FaultKind::none) {
      if (simt::thread() == 0) note_fault(fault, kind, row);
      return;
    }
    of = {sums.top, static_cast<float>(sums.log_sum()), static_cast<float>(sums.entropy())};
  }
  const float scale = static_cast<float>(1 / rows.temperature);
  const std::int64_t token = rows.tokens[row];
  for_elements_of_row(logits, rows.width, [&](const auto& numbers, std::int64_t first) {
    auto slopes = numbers;
    for (int j = 0; j < numbers.size; ++j) {
      const float log_prob = (numbers.at[j] - of.top) * scale - of.log_sum;
      const float p = expf(log_prob);
      const float hit = first + j == token ? 1.0f : 0.0f;
      const float of_entropy = p > 0 ? p * (log_prob + of.entropy) : 0.0f;
      slopes.at[j] = scale * (policy * (hit - p) - exploration * of_entropy);
    }
    store_elements(gradients, first, slopes);
  });
}

int threads_for(std::int64_t width) { return width <= 512 ? 32 : width <= 4096 ? 128 : 256; }

int logits_statistics(const LogitsRows& rows, const LogitsStatistics<float>& statistics, Fault* fault,
                      Launch& launch) {
  if (statistics.top_k > most_top_tokens) return rule_not_computed;
  Enqueue enqueue(launch, threads_for(rows.width));
  auto* const key = enqueue.take<FaultKey>(1);
  if (enqueue.stops()) return enqueue.status();
  begin_faults(enqueue, key);
  enqueue_logits_statistics(enqueue, rows, {0, rows.rows}, statistics, key);
  end_faults(enqueue, key, fault);
  return enqueue.status();
}

int logits_gradient(const LogitsRows& rows, const LogitsGradient& wanted, Fault* fault, Launch& launch) {
  Enqueue enqueue(launch, threads_for(rows.width));
  auto* const key = enqueue.take<FaultKey>(1);
  if (enqueue.stops()) return enqueue.status();
  begin_faults(enqueue, key);
  enqueue_logits_gradient(enqueue, rows, {0, rows.rows}, wanted, key);
  end_faults(enqueue, key, fault);
  return enqueue.status();
}

}  // namespace

void enqueue_logits_statistics(Enqueue& enqueue, const LogitsRows& rows, const LiveRows& live,
                               const LogitsStatistics<float>& statistics, FaultKey* fault) {
  const simt::Grid grid{live.most, enqueue.threads(), statistics.top_k * sizeof(std::uint64_t)};
  const auto kernel =
      rows.element == Element::float32 ? logits_statistics_kernel<float> : logits_statistics_kernel<Bfloat16>;
  enqueue.with("logits_statistics_kernel", kernel, grid, rows, live, statistics, fault);
}

void enqueue_logits_gradient(Enqueue& enqueue, const LogitsRows& rows, const LiveRows& live,
                             const LogitsGradient& wanted, FaultKey* fault) {
  const auto kernel =
      rows.element == Element::float32 ? logits_gradient_kernel<float> : logits_gradient_kernel<Bfloat16>;
  enqueue("logits_gradient_kernel", kernel, live.most, rows, live, wanted, fault);
}

void add_logits(Kernels& table) {
  table.logits_statistics = logits_statistics;
  table.logits_gradient = logits_gradient;
}

}  // namespace adjudge::cuda
