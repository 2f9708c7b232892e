#include "reference/q_targets.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "core/error.h"
#include "reference/finite.h"

namespace adjudge::reference {
namespace {

using namespace rl;

template <typename Float>
class Targets {
 public:
  Targets(const QTargetRule& rule, const QTargetBatch<Float>& batch)
      : rule_(rule), batch_(batch), next_(batch.steps * batch.quantiles), greedy_(batch.steps) {}

  void run(Float* targets) {
    for (std::size_t t = 0; t < batch_.steps; ++t) {
      finite("rewards", batch_.rewards, t);
      if (batch_.discounts) finite("discounts", batch_.discounts, t);
      if (!terminated(t)) bootstrap(t);
    }
    const std::size_t trajectories = batch_.cu_seqlens ? batch_.trajectories : batch_.steps;
    for (std::size_t i = 0; i < trajectories; ++i) {
      const std::size_t first = batch_.cu_seqlens ? static_cast<std::size_t>(batch_.cu_seqlens[i]) : i;
      const std::size_t end = batch_.cu_seqlens ? static_cast<std::size_t>(batch_.cu_seqlens[i + 1]) : i + 1;
      if (rule_.lambda_return)
        lambda_returns(first, end, targets);
      else
        n_step_returns(first, end, targets);
    }
  }

 private:
  bool terminated(std::size_t t) const { return batch_.terminated && batch_.terminated[t]; }
  bool truncated(std::size_t t) const { return batch_.truncated && batch_.truncated[t]; }
  double discount(std::size_t t) const { return batch_.discounts ? batch_.discounts[t] : rule_.gamma; }
  bool allowed(std::size_t t, std::size_t action) const {
    return !batch_.next_action_mask || batch_.next_action_mask[t * batch_.actions + action];
  }

  double next_q(std::size_t t, std::size_t action, std::size_t quantile) const {
    const std::size_t index = (t * batch_.actions + action) * batch_.quantiles + quantile;
    const double first = finite("nextQ", batch_.next_q, index);
    return batch_.twin_next_q ? std::min(first, finite("twinNextQ", batch_.twin_next_q, index)) : first;
  }

  // What the greedy choice looks at: the mean over quantiles.
  double choice_value(std::size_t t, std::size_t action) const {
    double sum = 0;
    for (std::size_t k = 0; k < batch_.quantiles; ++k) {
      sum += rule_.bootstrap == Bootstrap::double_q
                 ? finite("nextOnlineQ", batch_.next_online_q,
                          (t * batch_.actions + action) * batch_.quantiles + k)
                 : next_q(t, action, k);
    }
    return sum / static_cast<double>(batch_.quantiles);
  }

  void bootstrap(std::size_t t) {
    if (rule_.bootstrap == Bootstrap::value) {
      next_[t] = finite("nextValues", batch_.next_values, t);
      return;
    }
    const std::size_t none = batch_.actions;
    std::size_t best = none;
    double best_value = 0;
    for (std::size_t action = 0; action < batch_.actions; ++action) {
      if (!allowed(t, action)) continue;
      const double value = choice_value(t, action);
      if (best == none || value > best_value) {
        best = action;
        best_value = value;
      }
    }
    if (best == none) {
      throw Error{"ARGUMENT_INVALID",
                  "nextActionMask: step " + std::to_string(t) +
                      " has no allowed action after it; mark it terminated, or allow one"};
    }
    if (rule_.bootstrap == Bootstrap::soft) {
      next_[t] = soft_value(t, best_value);
      return;
    }
    for (std::size_t k = 0; k < batch_.quantiles; ++k) next_[t * batch_.quantiles + k] = next_q(t, best, k);
    if (batch_.taken && rule_.trace == Trace::watkins && t + 1 < batch_.steps) {
      const auto following = static_cast<std::size_t>(batch_.taken[t + 1]);
      greedy_[t] = allowed(t, following) && choice_value(t, following) >= best_value;
    }
  }

  double soft_value(std::size_t t, double largest) const {
    double sum = 0;
    for (std::size_t action = 0; action < batch_.actions; ++action) {
      if (allowed(t, action)) sum += std::exp((next_q(t, action, 0) - largest) / rule_.temperature);
    }
    return largest + rule_.temperature * std::log(sum);
  }

  void n_step_returns(std::size_t first, std::size_t end, Float* targets) {
    for (std::size_t t = first; t < end; ++t) {
      double sum = 0;
      double weight = 1;
      std::size_t step = t;
      while (true) {
        sum += weight * batch_.rewards[step];
        weight *= discount(step);
        if (terminated(step) || truncated(step) || step + 1 == end || step + 1 == t + rule_.steps) break;
        ++step;
      }
      for (std::size_t k = 0; k < batch_.quantiles; ++k) {
        const double rest = terminated(step) ? 0 : weight * next_[step * batch_.quantiles + k];
        targets[t * batch_.quantiles + k] = static_cast<Float>(sum + rest);
      }
    }
  }

  void lambda_returns(std::size_t first, std::size_t end, Float* targets) {
    double following = 0;
    for (std::size_t t = end; t-- > first;) {
      double rest = 0;
      if (!terminated(t)) {
        const bool cut = truncated(t) || t + 1 == end || (rule_.trace == Trace::watkins && !greedy_[t]);
        rest = cut ? next_[t] : (1 - rule_.lambda) * next_[t] + rule_.lambda * following;
      }
      following = batch_.rewards[t] + discount(t) * rest;
      targets[t] = static_cast<Float>(following);
    }
  }

  const QTargetRule& rule_;
  const QTargetBatch<Float>& batch_;
  std::vector<double> next_;          // [steps, quantiles]
  std::vector<std::uint8_t> greedy_;  // the action after step t was greedy
};

}  // namespace

template <typename Float>
void q_targets(const QTargetRule& rule, const QTargetBatch<Float>& batch, Float* targets) {
  Targets<Float>(rule, batch).run(targets);
}

template void q_targets(const QTargetRule&, const QTargetBatch<float>&, float*);
template void q_targets(const QTargetRule&, const QTargetBatch<double>&, double*);

}  // namespace adjudge::reference
