// One pass over the steps, each by a team: a thread where Q comes gathered, else a warp or, for a wide row, a
// block. Reads what the batch names and writes 4 bytes a number of whole Q; a row's conservative term passes
// over it three times, from cache after the first. Terms in f32 as rules/q_terms.h has them, sums in f64: of
// teams, then of blocks, in the order of the steps.
#include "rules/q_loss.h"

#include "cuda/fault.cuh"
#include "cuda/q_row.cuh"
#include "cuda/table.h"
#include "rules/q_terms.h"

namespace adjudge::cuda {
namespace {

using namespace rl;

using Batch = QLossBatch<float>;
using Head = QHead<float>;

constexpr std::int64_t steps_of_a_team = 8;
constexpr std::int64_t steps_of_a_count = 16;  // per thread

SIMT_DEVICE bool counts(const Batch& batch, std::int64_t t) { return !batch.mask || batch.mask[t]; }

SIMT_KERNEL q_count_kernel(Batch batch, double* parts) {
  const std::int64_t first = simt::block() * simt::threads() * steps_of_a_count + simt::thread();
  double count = 0;
  for (std::int64_t i = 0; i < steps_of_a_count; ++i) {
    const std::int64_t t = first + i * simt::threads();
    if (t < static_cast<std::int64_t>(batch.steps) && counts(batch, t)) count += 1;
  }
  count = block_sum(count);
  if (simt::thread() == 0) parts[simt::block()] = count;
}

SIMT_KERNEL q_scale_kernel(Batch batch, const double* parts, std::int64_t blocks, double* scale) {
  double count = 0;
  for (std::int64_t i = simt::thread(); i < blocks; i += simt::threads()) count += parts[i];
  count = block_sum(count);
  if (simt::thread() == 0) *scale = loss_scale(batch.batch_steps, count);
}

// Everything about one step that its team shares.
template <typename Team>
class Step {
 public:
  SIMT_DEVICE Step(const QLossConstants& rule, const Batch& batch, float scale, std::int64_t t,
                   FaultKey* fault)
      : rule_(rule), batch_(batch), scale_(scale), t_(t), fault_(fault) {}

  SIMT_DEVICE void run(QLossValue& sums) {
    if (!counts(batch_, t_)) return clear();
    first_ = team_.rank() == 0;
    if (batch_.taken && !action_is_sound()) {
      if (first_) note_fault(fault_, FaultKind::action_invalid, t_);
      return;
    }
    sums.steps += 1;
    weight_ = batch_.weights ? sound(batch_.weights[t_]) : 1.0f;
    float priority = 0;
    for (std::size_t h = 0; h < batch_.head_count; ++h) {
      const Head& head = batch_.heads[h];
      const float own = head.q ? whole(head, h == 0, sums) : gathered(head, h == 0, sums);
      if (own > priority) priority = own;
    }
    if (batch_.targets) {
      sums.priority += priority;
      if (batch_.priorities && first_) batch_.priorities[t_] = priority;
    }
    if (batch_.values) value_and_policy(sums);
    if (bad_) note_fault(fault_, FaultKind::value_not_finite, t_);
  }

 private:
  SIMT_DEVICE float sound(float x) {
    if (!(fabsf(x) < INFINITY)) bad_ = true;
    return x;
  }

  SIMT_DEVICE std::int64_t row_width() const {
    return static_cast<std::int64_t>(batch_.actions * batch_.quantiles);
  }

  SIMT_DEVICE bool action_is_sound() const {
    const std::int64_t action = batch_.taken[t_];
    const auto actions = static_cast<std::int64_t>(batch_.actions);
    return action >= 0 && action < actions &&
           (!batch_.action_mask || batch_.action_mask[t_ * actions + action]);
  }

  SIMT_DEVICE void clear() {
    for (std::size_t h = 0; h < batch_.head_count; ++h) {
      const Head& head = batch_.heads[h];
      for (std::int64_t i = team_.rank(); head.q_gradients && i < row_width(); i += team_.size())
        head.q_gradients[t_ * row_width() + i] = 0;
      if (team_.rank() != 0) continue;
      if (head.action_q_gradients) head.action_q_gradients[t_] = 0;
      if (head.log_sum_exp_gradients) head.log_sum_exp_gradients[t_] = 0;
    }
    if (team_.rank() != 0) return;
    if (batch_.value_gradients) batch_.value_gradients[t_] = 0;
    if (batch_.log_prob_gradients) batch_.log_prob_gradients[t_] = 0;
    if (batch_.priorities) batch_.priorities[t_] = 0;
    if (batch_.policy_weights) batch_.policy_weights[t_] = 0;
  }

  // Returns |TD error|.
  SIMT_DEVICE float td(float q, bool leads, float& slope, QLossValue& sums) {
    const float target = sound(batch_.targets[t_]);
    const QTerm<float> term = td_lanes(rule_, q - target);
    sums.td += static_cast<double>(weight_) * term.value;
    slope += scale_ * rule_.td_coefficient * weight_ * term.slope;
    if (leads) sums.target += target;
    return fabsf(q - target);
  }

  SIMT_DEVICE float gathered(const Head& head, bool leads, QLossValue& sums) {
    const float q = sound(head.action_q[t_]);
    float slope = 0;
    if (leads) sums.action_q += q;
    const float priority = batch_.targets ? td(q, leads, slope, sums) : 0;
    if (rule_.conservative_coefficient != 0) {
      const float factor = scale_ * rule_.conservative_coefficient * weight_;
      sums.conservative += static_cast<double>(weight_) * (sound(head.log_sum_exp[t_]) - q);
      slope -= factor;
      if (head.log_sum_exp_gradients && first_) head.log_sum_exp_gradients[t_] = factor;
    }
    if (head.action_q_gradients && first_) head.action_q_gradients[t_] = slope;
    return priority;
  }

  SIMT_DEVICE float whole(const Head& head, bool leads, QLossValue& sums) {
    if (rule_.td == TdKind::quantile) return quantile_row(head, leads, sums);
    const auto actions = static_cast<std::int64_t>(batch_.actions);
    const std::int64_t at = t_ * actions, action = batch_.taken[t_];
    const QRow row{head.q + at, nullptr, batch_.action_mask ? batch_.action_mask + at : nullptr, actions};
    const float q = sound(row.q[action]);
    float slope = 0;
    if (leads) sums.action_q += q;
    const float priority = batch_.targets ? td(q, leads, slope, sums) : 0;
    const bool conservative = rule_.conservative_coefficient != 0;
    const float inverse = 1 / rule_.conservative_temperature;
    float factor = 0, share = 0, top = 0;
    if (conservative) {
      top = largest_of(team_, row, bad_);
      const double sum = boltzmann_sum(team_, row, top, inverse);
      sums.conservative +=
          weight_ * (static_cast<double>(top) - q + rule_.conservative_temperature * log(sum));
      factor = scale_ * rule_.conservative_coefficient * weight_;
      share = static_cast<float>(factor / sum);
    }
    for (std::int64_t i = team_.rank(); i < actions; i += team_.size()) {
      float gradient = 0;
      if (conservative && row.open(i)) gradient = share * expf((row.q[i] - top) * inverse);
      if (i == action) gradient += slope - factor;
      head.q_gradients[at + i] = gradient;
    }
    return priority;
  }

  SIMT_DEVICE float quantile_row(const Head& head, bool leads, QLossValue& sums) {
    const auto actions = static_cast<std::int64_t>(batch_.actions);
    const auto quantiles = static_cast<std::int64_t>(batch_.quantiles);
    const std::int64_t at = t_ * row_width(), action = batch_.taken[t_];
    const double own_mean = mean_of(head, action);
    if (leads) sums.action_q += own_mean;
    float largest = 0;
    double total = 0;
    if (rule_.conservative_coefficient != 0) {
      largest = -INFINITY;
      for (std::int64_t a = 0; a < actions; ++a) {
        const auto mean = static_cast<float>(open(a) ? mean_of(head, a) : -INFINITY);
        largest = mean > largest ? mean : largest;
      }
      for (std::int64_t a = 0; a < actions; ++a) {
        if (open(a)) total += power_of(head, a, largest);
      }
      sums.conservative += weight_ * (largest + rule_.conservative_temperature * log(total) - own_mean);
    }
    const double factor = static_cast<double>(scale_) * rule_.conservative_coefficient * weight_ /
                          static_cast<double>(quantiles);
    double loss = 0;
    for (std::int64_t a = 0; a < actions; ++a) {
      double share = total > 0 && open(a) ? power_of(head, a, largest) / total : 0;
      if (a == action) share -= 1;
      for (std::int64_t k = team_.rank(); k < quantiles; k += team_.size()) {
        float gradient = total > 0 ? static_cast<float>(factor * share) : 0;
        if (a == action && batch_.targets) gradient += pairs(head.q[at + a * quantiles + k], k, loss);
        head.q_gradients[at + a * quantiles + k] = gradient;
      }
    }
    if (!batch_.targets) return 0;
    loss = team_.sum(loss) / static_cast<double>(quantiles);
    sums.td += weight_ * loss;
    const double target_mean = quantile_mean(team_, batch_.targets + t_ * quantiles,
                                             static_cast<const float*>(nullptr), quantiles, bad_);
    if (leads) sums.target += target_mean;
    return static_cast<float>(loss);
  }

  SIMT_DEVICE bool open(std::int64_t action) const {
    return !batch_.action_mask || batch_.action_mask[t_ * static_cast<std::int64_t>(batch_.actions) + action];
  }

  SIMT_DEVICE double mean_of(const Head& head, std::int64_t action) {
    const auto quantiles = static_cast<std::int64_t>(batch_.quantiles);
    return quantile_mean(team_, head.q + t_ * row_width() + action * quantiles,
                         static_cast<const float*>(nullptr), quantiles, bad_);
  }

  SIMT_DEVICE double power_of(const Head& head, std::int64_t action, float largest) {
    return exp((mean_of(head, action) - largest) / rule_.conservative_temperature);
  }

  // One quantile against all targets. Returns its derivative.
  SIMT_DEVICE float pairs(float quantile, std::int64_t k, double& loss) {
    const auto quantiles = static_cast<std::int64_t>(batch_.quantiles);
    const float inverse = 1.0f / static_cast<float>(quantiles);
    const float fraction = (static_cast<float>(k) + 0.5f) * inverse;
    float slope = 0;
    for (std::int64_t j = 0; j < quantiles; ++j) {
      const QTerm<float> term =
          quantile_lanes(rule_, batch_.targets[t_ * quantiles + j] - quantile, fraction);
      loss += term.value;
      slope += term.slope;
    }
    return -scale_ * rule_.td_coefficient * weight_ * inverse * slope;
  }

  SIMT_DEVICE void value_and_policy(QLossValue& sums) {
    const float value = sound(batch_.values[t_]);
    float target = sound(batch_.target_q[t_]);
    if (batch_.twin_target_q) {
      const float other = sound(batch_.twin_target_q[t_]);
      target = other < target ? other : target;
    }
    const float advantage = target - value;
    const QTerm<float> term = expectile_lanes(rule_, advantage);
    sums.state_value += value;
    sums.value += static_cast<double>(weight_) * term.value;
    if (batch_.value_gradients && first_)
      batch_.value_gradients[t_] = scale_ * rule_.value_coefficient * weight_ * term.slope;
    if (!batch_.policy_weights) return;
    if (first_ && policy_weight_overflows(rule_, advantage))
      note_fault(fault_, FaultKind::weight_overflow, t_);
    const float policy_weight = policy_weight_lanes(rule_, advantage);
    sums.policy_weight += policy_weight;
    if (first_) batch_.policy_weights[t_] = policy_weight;
    if (!batch_.log_probs) return;
    const float weighted = weight_ * policy_weight;
    sums.policy -= static_cast<double>(weighted) * sound(batch_.log_probs[t_]);
    if (first_) batch_.log_prob_gradients[t_] = -scale_ * rule_.policy_coefficient * weighted;
  }

  const QLossConstants& rule_;
  const Batch& batch_;
  const float scale_;
  const std::int64_t t_;
  FaultKey* const fault_;
  const Team team_{};
  bool first_ = false;
  bool bad_ = false;
  float weight_ = 1;
};

template <typename Team>
SIMT_KERNEL q_loss_kernel(QLossConstants rule, Batch batch, StepGrid grid, const double* scale,
                          QLossValue* parts, FaultKey* fault) {
  QLossValue sums;
  for_steps_of_team<Team>(grid, [&](Team, std::int64_t t) {
    Step<Team>(rule, batch, static_cast<float>(*scale), t, fault).run(sums);
  });
  if (Team{}.rank() != 0) sums = QLossValue();
  const QLossValue sum = block_sum_fields(sums);
  if (simt::thread() == 0) parts[simt::block()] = sum;
}

SIMT_KERNEL q_finish_kernel(QLossRule rule, const double* scale, const QLossValue* parts, std::int64_t blocks,
                            QLossValue* value) {
  constexpr std::size_t fields = sizeof(QLossValue) / sizeof(double);
  QLossValue sums;
  for (std::int64_t i = simt::thread(); i < blocks; i += simt::threads()) {
    const auto* from = reinterpret_cast<const double*>(parts + i);
    auto* to = reinterpret_cast<double*>(&sums);
    for (std::size_t k = 0; k < fields; ++k) to[k] += from[k];
  }
  sums = block_sum_fields(sums);
  if (simt::thread() != 0) return;
  finish(rule, *scale, sums);
  *value = sums;
}

int q_loss(const QLossRule& rule, const Batch& batch, QLossValue* value, Fault* fault, Launch& launch) {
  if (batch.quantiles != 1 && rule.td != TdKind::quantile) return rule_not_computed;
  if (batch.actions == 0 && rule.td == TdKind::quantile && batch.targets) return rule_not_computed;
  const auto steps = static_cast<std::int64_t>(batch.steps);
  const auto width = static_cast<std::int64_t>(batch.actions * batch.quantiles);
  Enqueue enqueue(launch, 256);
  const int threads = std::max(enqueue.threads(), simt::warp_size);
  const std::int64_t count_blocks = blocks_of(steps, threads * steps_of_a_count);
  std::int64_t blocks = 0;
  with_step_team(width, steps, threads, steps_of_a_team,
                 [&](auto, const StepGrid& grid) { blocks = grid.blocks(); });
  auto* const key = enqueue.take<FaultKey>(1);
  auto* const counted = enqueue.take<double>(count_blocks);
  auto* const scale = enqueue.take<double>(1);
  auto* const parts = enqueue.take<QLossValue>(blocks);
  if (enqueue.stops()) return enqueue.status();
  begin_faults(enqueue, key);
  enqueue(ADJUDGE_NAMED(q_count_kernel), count_blocks, batch, counted);
  enqueue(ADJUDGE_NAMED(q_scale_kernel), 1, batch, counted, count_blocks, scale);
  const QLossConstants constants = q_loss_constants(rule);
  with_step_team(width, steps, threads, steps_of_a_team, [&](auto team, const StepGrid& grid) {
    enqueue(ADJUDGE_NAMED(q_loss_kernel<decltype(team)>), grid.blocks(), constants, batch, grid, scale, parts,
            key);
  });
  enqueue(ADJUDGE_NAMED(q_finish_kernel), 1, rule, scale, parts, blocks, value);
  end_faults(enqueue, key, fault);
  return enqueue.status();
}

}  // namespace

void add_q_loss(Kernels& table) { table.q_loss = q_loss; }

}  // namespace adjudge::cuda
