#include <atomic>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "native/core/cpu_features.h"
#include "native/cpu/q.h"
#include "native/cpu/q_items.h"

namespace adjudge {
namespace {

using Batch = rl::QTargetBatch<float>;

bool terminated(const Batch& batch, int64_t t) { return batch.terminated && batch.terminated[t]; }
bool truncated(const Batch& batch, int64_t t) { return batch.truncated && batch.truncated[t]; }

bool all_finite(const float* values, int64_t first, int64_t end) {
  bool wrong = false;
  for (int64_t t = first; t < end; ++t) wrong |= !(std::fabs(values[t]) <= std::numeric_limits<float>::max());
  return !wrong;
}

// targets hold the values of the next states.
bool read_next(const rl::QTargetRule& rule, const Batch& batch, int64_t first, int64_t end, float* targets,
               uint8_t* greedy) {
  if (rule.bootstrap != rl::Bootstrap::value)
    return q_kernels().next_values(rule, batch, first, end, targets, greedy);
  for (int64_t t = first; t < end; ++t) {
    if (!terminated(batch, t)) targets[t] = batch.next_values[t];
  }
  bool wrong = false;
  for (int64_t t = first; t < end; ++t) {
    if (!terminated(batch, t)) wrong |= !(std::fabs(targets[t]) <= std::numeric_limits<float>::max());
  }
  return !wrong;
}

// In place: what stands at a step is read last by its own target.
void one_step(const rl::QTargetRule& rule, const Batch& batch, int64_t first, int64_t end, float* targets) {
  const auto quantiles = static_cast<int64_t>(batch.quantiles);
  for (int64_t t = first; t < end; ++t) {
    const double discount = batch.discounts ? batch.discounts[t] : rule.gamma;
    const double reward = batch.rewards[t];
    const bool last = terminated(batch, t);
    for (int64_t k = t * quantiles; k < (t + 1) * quantiles; ++k)
      targets[k] = static_cast<float>(reward + (last ? 0 : discount * targets[k]));
  }
}

void n_steps(const rl::QTargetRule& rule, const Batch& batch, int64_t first, int64_t end, float* targets) {
  const auto quantiles = static_cast<int64_t>(batch.quantiles);
  const auto longest = static_cast<int64_t>(std::min<std::size_t>(rule.steps, batch.steps));
  for (int64_t t = first; t < end; ++t) {
    double sum = 0;
    double weight = 1;
    int64_t step = t;
    while (true) {
      sum += weight * batch.rewards[step];
      weight *= batch.discounts ? batch.discounts[step] : rule.gamma;
      if (terminated(batch, step) || truncated(batch, step) || step + 1 == end || step + 1 - t >= longest)
        break;
      ++step;
    }
    const bool last = terminated(batch, step);
    for (int64_t k = 0; k < quantiles; ++k) {
      const double rest = last ? 0 : weight * targets[step * quantiles + k];
      targets[t * quantiles + k] = static_cast<float>(sum + rest);
    }
  }
}

void lambda_return(const rl::QTargetRule& rule, const Batch& batch, int64_t first, int64_t end,
                   const uint8_t* greedy, float* targets) {
  double following = 0;
  for (int64_t t = end; t-- > first;) {
    double rest = 0;
    if (!terminated(batch, t)) {
      const bool cut = truncated(batch, t) || t + 1 == end || (greedy && !greedy[t]);
      const double next = targets[t];
      rest = cut ? next : (1 - rule.lambda) * next + rule.lambda * following;
    }
    following = batch.rewards[t] + (batch.discounts ? batch.discounts[t] : rule.gamma) * rest;
    targets[t] = static_cast<float>(following);
  }
}

// Item k has the trajectories that start in its range of steps.
template <typename Body>
void each_trajectory(const Batch& batch, Body&& body) {
  const int32_t* bounds = batch.cu_seqlens;
  const auto trajectories = static_cast<int64_t>(batch.trajectories);
  const auto first_from = [&](int64_t step) {
    return std::lower_bound(bounds, bounds + trajectories, step) - bounds;
  };
  QItems(batch.steps, 4).run([&](int64_t, int64_t first, int64_t end) {
    const int64_t last = first_from(end);
    for (int64_t i = first_from(first); i < last; ++i) {
      if (bounds[i] < bounds[i + 1]) body(bounds[i], bounds[i + 1]);
    }
  });
}

}  // namespace

const QKernels& q_kernels() {
#if defined(__x86_64__)
  const InstructionSet set = selected_instruction_set();
  if (set == InstructionSet::avx2) return q_kernels_avx2;
  if (set != InstructionSet::portable) return q_kernels_avx512;
#endif
  return q_kernels_portable;
}

bool q_targets(const rl::QTargetRule& rule, const Batch& batch, float* targets) {
  const bool several = batch.cu_seqlens && (rule.lambda_return || rule.steps > 1);
  const bool watkins = several && rule.lambda_return && rule.trace == rl::Trace::watkins;
  std::vector<uint8_t> greedy(watkins ? batch.steps : 0);
  std::atomic<bool> fault{false};
  QItems(batch.steps, batch.actions * batch.quantiles).run([&](int64_t, int64_t first, int64_t end) {
    if (!all_finite(batch.rewards, first, end) ||
        (batch.discounts && !all_finite(batch.discounts, first, end)) ||
        !read_next(rule, batch, first, end, targets, watkins && batch.taken ? greedy.data() : nullptr)) {
      fault = true;
      return;
    }
    if (!several) one_step(rule, batch, first, end, targets);
  });
  if (fault) return false;
  if (!several) return true;
  each_trajectory(batch, [&](int64_t first, int64_t end) {
    if (rule.lambda_return)
      lambda_return(rule, batch, first, end, watkins ? greedy.data() : nullptr, targets);
    else
      n_steps(rule, batch, first, end, targets);
  });
  return true;
}

}  // namespace adjudge
