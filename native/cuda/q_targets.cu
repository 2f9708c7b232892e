// First the value of each next state, by a team for its row: reads 4 bytes a number of Q (8 with a twin or
// with the online network), once or, for what is chosen or summed, again from cache; writes 4 a step. Then,
// where a return runs over several steps: a thread for each n-step target, or a block for each trajectory, as
// a scan from its end. In f64 but for a row's numbers.
#include "rules/q_targets.h"

#include "cuda/fault.cuh"
#include "cuda/q_row.cuh"
#include "cuda/scan.cuh"
#include "cuda/table.h"

namespace adjudge::cuda {
namespace {

using namespace rl;

using Batch = QTargetBatch<float>;

SIMT_DEVICE bool terminated(const Batch& batch, std::int64_t t) {
  return batch.terminated && batch.terminated[t];
}
SIMT_DEVICE bool truncated(const Batch& batch, std::int64_t t) {
  return batch.truncated && batch.truncated[t];
}
SIMT_DEVICE double discount(const QTargetRule& rule, const Batch& batch, std::int64_t t) {
  return batch.discounts ? batch.discounts[t] : rule.gamma;
}

// Where the values go, and what else is noted of a next state.
struct NextOutput {
  float* next;           // [steps, quantiles]
  std::uint8_t* greedy;  // [steps] or null
  bool whole;            // one-step targets: the reward is added, the value discounted
  FaultKey* fault;
};

SIMT_DEVICE float one_step(const QTargetRule& rule, const Batch& batch, const NextOutput& out, std::int64_t t,
                           double next) {
  if (!out.whole) return static_cast<float>(next);
  return static_cast<float>(batch.rewards[t] + discount(rule, batch, t) * next);
}

// The next state's row has one number per action.
template <typename Team>
SIMT_DEVICE void next_of_actions(Team team, const QTargetRule& rule, const Batch& batch,
                                 const NextOutput& out, std::int64_t t) {
  const auto actions = static_cast<std::int64_t>(batch.actions);
  const std::int64_t at = t * actions;
  const std::uint8_t* const allowed = batch.next_action_mask ? batch.next_action_mask + at : nullptr;
  const QRow row{batch.next_q + at, batch.twin_next_q ? batch.twin_next_q + at : nullptr, allowed, actions};
  const bool chosen = rule.bootstrap == Bootstrap::double_q;
  const QRow choice = chosen ? QRow{batch.next_online_q + at, nullptr, allowed, actions} : row;
  bool bad = false;
  const float top = largest_of(team, choice, bad);
  double next = top;
  if (chosen) {
    const std::int64_t best = action_of(team, choice, top);
    if (best < actions && !row.finite(best)) bad = true;
    if (best < actions) next = row.at(best);
  } else if (rule.bootstrap == Bootstrap::soft) {
    const float inverse = static_cast<float>(1 / rule.temperature);
    next = top + rule.temperature * log(boltzmann_sum(team, row, top, inverse));
  }
  if (bad) note_fault(out.fault, FaultKind::value_not_finite, t);
  if (team.rank() != 0) return;
  if (top == -INFINITY) note_fault(out.fault, FaultKind::no_action_allowed, t);
  out.next[t] = one_step(rule, batch, out, t, next);
  if (!out.greedy || !batch.taken || t + 1 == static_cast<std::int64_t>(batch.steps)) return;
  const std::int64_t following = batch.taken[t + 1];
  out.greedy[t] =
      following >= 0 && following < actions && choice.open(following) && choice.at(following) >= top;
}

template <typename Team>
SIMT_DEVICE void next_of_quantiles(Team team, const QTargetRule& rule, const Batch& batch,
                                   const NextOutput& out, std::int64_t t) {
  const auto quantiles = static_cast<std::int64_t>(batch.quantiles);
  const auto actions = static_cast<std::int64_t>(batch.actions);
  const bool chosen = rule.bootstrap == Bootstrap::double_q;
  bool bad = false;
  std::int64_t best = -1;
  double top = 0;
  for (std::int64_t a = 0; a < actions; ++a) {
    if (batch.next_action_mask && !batch.next_action_mask[t * actions + a]) continue;
    const std::int64_t at = (t * actions + a) * quantiles;
    const double mean =
        chosen ? quantile_mean(team, batch.next_online_q + at, static_cast<const float*>(nullptr), quantiles,
                               bad)
               : quantile_mean(team, batch.next_q + at, batch.twin_next_q ? batch.twin_next_q + at : nullptr,
                               quantiles, bad);
    if (best >= 0 && !(mean > top)) continue;
    best = at;
    top = mean;
  }
  if (best < 0) {
    if (team.rank() == 0) note_fault(out.fault, FaultKind::no_action_allowed, t);
    return;
  }
  const QRow row{batch.next_q + best, batch.twin_next_q ? batch.twin_next_q + best : nullptr, nullptr,
                 quantiles};
  for (std::int64_t k = team.rank(); k < quantiles; k += team.size()) {
    if (!row.finite(k)) bad = true;
    out.next[t * quantiles + k] = one_step(rule, batch, out, t, row.at(k));
  }
  if (bad) note_fault(out.fault, FaultKind::value_not_finite, t);
}

template <typename Team>
SIMT_KERNEL next_values_kernel(QTargetRule rule, Batch batch, StepGrid grid, NextOutput out) {
  const auto quantiles = static_cast<std::int64_t>(batch.quantiles);
  for_steps_of_team<Team>(grid, [&](Team team, std::int64_t t) {
    const bool sound = fabsf(batch.rewards[t]) < INFINITY &&
                       (!batch.discounts || fabsf(batch.discounts[t]) < INFINITY) &&
                       (rule.bootstrap != Bootstrap::value || terminated(batch, t) ||
                        fabsf(batch.next_values[t]) < INFINITY);
    if (!sound && team.rank() == 0) note_fault(out.fault, FaultKind::value_not_finite, t);
    if (out.greedy && team.rank() == 0) out.greedy[t] = 0;
    if (terminated(batch, t)) {
      for (std::int64_t k = team.rank(); k < quantiles; k += team.size())
        out.next[t * quantiles + k] = out.whole ? batch.rewards[t] : 0.0f;
    } else if (rule.bootstrap == Bootstrap::value) {
      if (team.rank() == 0) out.next[t] = one_step(rule, batch, out, t, batch.next_values[t]);
    } else if (quantiles == 1) {
      next_of_actions(team, rule, batch, out, t);
    } else {
      next_of_quantiles(team, rule, batch, out, t);
    }
  });
}

// The end of the trajectory of step t.
SIMT_DEVICE std::int64_t end_of(const Batch& batch, std::int64_t t) {
  std::int64_t low = 0, high = static_cast<std::int64_t>(batch.trajectories);
  while (low < high) {
    const std::int64_t middle = (low + high) / 2;
    if (batch.cu_seqlens[middle + 1] > t)
      high = middle;
    else
      low = middle + 1;
  }
  return batch.cu_seqlens[low + 1];
}

SIMT_KERNEL n_steps_kernel(QTargetRule rule, Batch batch, const float* next, float* targets) {
  const auto quantiles = static_cast<std::int64_t>(batch.quantiles);
  const std::int64_t place = simt::block() * simt::threads() + simt::thread();
  const std::int64_t t = place / quantiles;
  if (t >= static_cast<std::int64_t>(batch.steps)) return;
  const std::int64_t end = end_of(batch, t);
  double sum = 0, weight = 1;
  std::int64_t step = t;
  while (true) {
    sum += weight * batch.rewards[step];
    weight *= discount(rule, batch, step);
    const bool stops = terminated(batch, step) || truncated(batch, step) || step + 1 == end ||
                       static_cast<std::size_t>(step + 1 - t) >= rule.steps;
    if (stops) break;
    ++step;
  }
  const double rest = terminated(batch, step) ? 0 : weight * next[step * quantiles + place % quantiles];
  targets[place] = static_cast<float>(sum + rest);
}

SIMT_KERNEL lambda_kernel(QTargetRule rule, Batch batch, const float* next, const std::uint8_t* greedy,
                          float* targets) {
  const std::int64_t begin = batch.cu_seqlens[simt::block()];
  const std::int64_t end = batch.cu_seqlens[simt::block() + 1];
  double carry = 0;
  for (std::int64_t tile = (end - begin + simt::threads() - 1) / simt::threads() - 1; tile >= 0; --tile) {
    const std::int64_t t = begin + tile * simt::threads() + simt::thread();
    Affine map = unchanged();
    if (t < end) {
      const bool cut = truncated(batch, t) || t + 1 == end || (greedy && !greedy[t]);
      const double decay = discount(rule, batch, t);
      const double share = cut ? 1 : 1 - rule.lambda;
      map = {batch.rewards[t], 0};
      if (!terminated(batch, t)) map = {batch.rewards[t] + decay * share * next[t], decay * (1 - share)};
    }
    const double entering = scan_from_right(map, carry);
    if (t < end) targets[t] = static_cast<float>(map.sum + map.decay * entering);
  }
}

int q_targets(const QTargetRule& rule, const Batch& batch, float* targets, Fault* fault, Launch& launch) {
  const auto steps = static_cast<std::int64_t>(batch.steps);
  const auto quantiles = static_cast<std::int64_t>(batch.quantiles);
  const auto trajectories = static_cast<std::int64_t>(batch.trajectories);
  const bool several = batch.cu_seqlens && (rule.lambda_return || rule.steps > 1);
  const bool watkins = several && rule.lambda_return && rule.trace == Trace::watkins;
  Enqueue enqueue(launch, 256);
  auto* const key = enqueue.take<FaultKey>(1);
  auto* const next = enqueue.take<float>(several ? steps * quantiles : 0);
  auto* const greedy = enqueue.take<std::uint8_t>(watkins ? steps : 0);
  if (enqueue.stops()) return enqueue.status();
  begin_faults(enqueue, key);
  const NextOutput out{several ? next : targets, watkins ? greedy : nullptr, !several, key};
  const std::int64_t width =
      rule.bootstrap == Bootstrap::value ? 1 : static_cast<std::int64_t>(batch.actions * batch.quantiles);
  with_step_team(width, steps, enqueue.threads(), 1, [&](auto team, const StepGrid& grid) {
    enqueue(ADJUDGE_NAMED(next_values_kernel<decltype(team)>), grid.blocks(), rule, batch, grid, out);
  });
  if (several && rule.lambda_return) {
    const std::int64_t mean = trajectories > 0 ? steps / trajectories : 0;
    const int threads = launch.threads ? launch.threads : mean <= 64 ? 32 : mean <= 512 ? 128 : 256;
    enqueue.with(ADJUDGE_NAMED(lambda_kernel), {trajectories, threads, 0}, rule, batch, next,
                 watkins ? greedy : nullptr, targets);
  } else if (several) {
    enqueue(ADJUDGE_NAMED(n_steps_kernel), blocks_of(steps * quantiles, enqueue.threads()), rule, batch, next,
            targets);
  }
  end_faults(enqueue, key, fault);
  return enqueue.status();
}

}  // namespace

void add_q_targets(Kernels& table) { table.q_targets = q_targets; }

}  // namespace adjudge::cuda
