#include <atomic>
#include <vector>

#include "native/cpu/q.h"
#include "native/cpu/q_items.h"
#include "native/rules/q_terms.h"

namespace adjudge {
namespace {

// Outputs beyond what the caches hold are better written past them.
constexpr std::size_t streamed_numbers = std::size_t{4} << 20;

int64_t counted_steps(const rl::QLossBatch<float>& batch) {
  if (!batch.mask) return static_cast<int64_t>(batch.steps);
  int64_t count = 0;
  for (std::size_t t = 0; t < batch.steps; ++t) count += batch.mask[t] ? 1 : 0;
  return count;
}

void add(rl::QLossValue& sum, const rl::QLossValue& part) {
  sum.td += part.td;
  sum.conservative += part.conservative;
  sum.value += part.value;
  sum.policy += part.policy;
  sum.steps += part.steps;
  sum.action_q += part.action_q;
  sum.target += part.target;
  sum.priority += part.priority;
  sum.state_value += part.state_value;
  sum.policy_weight += part.policy_weight;
}

}  // namespace

bool q_loss(const rl::QLossRule& rule, const rl::QLossBatch<float>& batch, rl::QLossValue& value) {
  const double scale = rl::loss_scale(batch.batch_steps, static_cast<double>(counted_steps(batch)));
  const QItems items(batch.steps, batch.actions > 0 ? batch.actions * batch.quantiles : 8);
  const bool stream = batch.steps * batch.actions * batch.quantiles >= streamed_numbers;
  const bool conservative = batch.actions > 0 && rule.conservative_coefficient != 0;
  const auto actions = static_cast<int64_t>(batch.actions);
  const auto scratch_numbers =
      static_cast<std::size_t>(conservative ? several_rows(actions) * padded_row(actions) : 0);
  std::vector<rl::QLossValue> parts(static_cast<std::size_t>(items.count));
  std::atomic<bool> fault{false};
  items.run([&](int64_t item, int64_t first, int64_t end) {
    std::vector<float> rows(scratch_numbers);
    std::vector<double> numbers(batch.quantiles > 1 ? batch.actions : 0);
    rl::QLossValue& part = parts[static_cast<std::size_t>(item)];
    if (!q_kernels().loss(rule, batch, scale, first, end, {rows.data(), numbers.data()}, stream, part))
      fault = true;
  });
  if (fault) return false;
  value = {};
  for (const rl::QLossValue& part : parts) add(value, part);
  rl::finish(rule, scale, value);
  return true;
}

}  // namespace adjudge
