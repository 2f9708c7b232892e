// V-trace, Retrace and UPGO, as gae.cu: one block per row, from its end; a thread turns its four tokens into
// one affine map of what enters from the right, and maps are scanned over the block, tile by tile. Reads 8
// bytes a token besides its log ratio, action value (4 each) and mask, writes 4 for each output; about 30 f64
// flops a token besides the scan, half of them for the ratio.
#include "rules/off_policy_returns.h"

#include <math.h>

#include "cuda/four.cuh"
#include "cuda/gae.cuh"
#include "cuda/scan.cuh"
#include "cuda/table.h"

namespace adjudge::cuda {
namespace {

using namespace rl;

SIMT_DEVICE double ratio_of(float log_ratio) {
  return exp(minimum(largest_log_ratio, maximum(least_log_ratio, static_cast<double>(log_ratio))));
}

template <template <typename> typename Terms>
SIMT_KERNEL returns_kernel(Terms<double> terms, ReturnsBatch<float> batch, float* firsts, float* seconds) {
  constexpr bool takes_action_values = Terms<double>::takes_action_values;
  constexpr bool two = Terms<double>::outputs == 2;
  const std::int64_t row = simt::block();
  const std::int64_t begin = batch.cu_seqlens[row];
  const std::int64_t end = batch.cu_seqlens[row + 1];
  const std::int64_t tile = std::int64_t{per_thread} * simt::threads();
  const float bootstrap = batch.bootstrap_values ? batch.bootstrap_values[row] : 0.0f;
  double carry = Terms<double>::start(bootstrap);
  float carried_value = bootstrap;
  // Tiles begin at multiples of four tokens, whatever the row.
  const std::int64_t origin = begin / per_thread * per_thread;
  for (std::int64_t i = (end - origin + tile - 1) / tile - 1; i >= 0; --i) {
    const std::int64_t first = origin + i * tile + std::int64_t{per_thread} * simt::thread();
    const Four reward = read(batch.rewards, first, begin, end);
    const Four value = read(batch.values, first, begin, end);
    Four action_value{}, log_ratio{};
    if constexpr (takes_action_values) action_value = read(batch.action_values, first, begin, end);
    if (batch.log_ratios) log_ratio = read(batch.log_ratios, first, begin, end);
    bool counted[per_thread];
    bool any = false;
    float leading = 0;
    for (int k = per_thread - 1; k >= 0; --k) {
      const bool inside = first + k >= begin && first + k < end;
      counted[k] = inside && (!batch.mask || batch.mask[first + k]);
      any = any || counted[k];
      if (counted[k]) leading = value.at[k];
    }
    // The value after the thread's last token: of the next step in the row.
    const float after_last = nearest_from_right(leading, any, carried_value);
    Step<double> steps[per_thread];
    Recurrence<double> maps[per_thread];
    Affine map = unchanged();
    double next_value = after_last;
    for (int k = per_thread - 1; k >= 0; --k) {
      if (!counted[k]) continue;
      steps[k] = {reward.at[k], value.at[k], action_value.at[k],
                  batch.log_ratios ? ratio_of(log_ratio.at[k]) : 1.0, next_value};
      maps[k] = terms.recurrence(steps[k]);
      map = after({maps[k].sum, maps[k].decay}, map);
      next_value = value.at[k];
    }
    double running = scan_from_right(map, carry);
    Four result{}, other{};
    for (int k = per_thread - 1; k >= 0; --k) {
      if (!counted[k]) continue;
      const double here = maps[k].sum + maps[k].decay * running;
      const Results<double> results = terms.results(steps[k], running, here);
      result.at[k] = static_cast<float>(results.first);
      if constexpr (two) other.at[k] = static_cast<float>(results.second);
      running = here;
    }
    write(firsts, first, begin, end, result);
    if constexpr (two) write(seconds, first, begin, end, other);
  }
}

template <template <typename> typename Terms, typename Rule>
int enqueue_returns(const char* name, const Rule& rule, const ReturnsBatch<float>& batch, std::int64_t tokens,
                    float* firsts, float* seconds, Launch& launch) {
  const auto rows = static_cast<std::int64_t>(batch.rows);
  Enqueue enqueue(launch, gae_threads(tokens, rows));
  if (enqueue.stops()) return enqueue.status();
  enqueue(name, returns_kernel<Terms>, rows, Terms<double>(rule), batch, firsts, seconds);
  return enqueue.status();
}

int vtrace(const VtraceRule& rule, const ReturnsBatch<float>& batch, std::int64_t tokens, float* targets,
           float* advantages, Launch& launch) {
  return enqueue_returns<VtraceTerms>("vtrace", rule, batch, tokens, targets, advantages, launch);
}

int retrace(const RetraceRule& rule, const ReturnsBatch<float>& batch, std::int64_t tokens, float* targets,
            Launch& launch) {
  return enqueue_returns<RetraceTerms>("retrace", rule, batch, tokens, targets, nullptr, launch);
}

int upgo(const UpgoRule& rule, const ReturnsBatch<float>& batch, std::int64_t tokens, float* returns,
         float* advantages, Launch& launch) {
  return enqueue_returns<UpgoTerms>("upgo", rule, batch, tokens, returns, advantages, launch);
}

}  // namespace

void add_off_policy_returns(Kernels& table) {
  table.vtrace = vtrace;
  table.retrace = retrace;
  table.upgo = upgo;
}

}  // namespace adjudge::cuda
