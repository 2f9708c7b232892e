#include "reference/q_loss.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "core/error.h"
#include "reference/finite.h"
#include "rules/q_terms.h"

namespace adjudge::reference {
namespace {

using namespace rl;

struct Term {
  double value;
  double slope;
};

Term huber(double difference, double threshold) {
  const double size = std::fabs(difference);
  if (size <= threshold) return {difference * difference / 2, difference};
  return {threshold * (size - threshold / 2), std::copysign(threshold, difference)};
}

Term quantile_term(double error, double fraction, double threshold) {
  const double weight = std::fabs(fraction - (error < 0 ? 1 : 0));
  if (threshold == 0) return {weight * std::fabs(error), error == 0 ? 0 : weight * std::copysign(1.0, error)};
  const Term term = huber(error, threshold);
  return {weight * term.value / threshold, weight * term.slope / threshold};
}

template <typename Float>
class Steps {
 public:
  Steps(const QLossRule& rule, const QLossBatch<Float>& batch, double scale)
      : rule_(rule), batch_(batch), scale_(scale), slopes_(batch.quantiles), means_(batch.actions) {}

  void run() {
    for (std::size_t t = 0; t < batch_.steps; ++t) step(t);
  }

  QLossValue sums;  // not yet divided

 private:
  bool allowed(std::size_t t, std::size_t action) const {
    return !batch_.action_mask || batch_.action_mask[t * batch_.actions + action];
  }

  void clear(std::size_t t) {
    const std::size_t width = batch_.actions * batch_.quantiles;
    for (std::size_t h = 0; h < batch_.head_count; ++h) {
      const QHead<Float>& head = batch_.heads[h];
      if (head.q_gradients) std::fill_n(head.q_gradients + t * width, width, Float{0});
      if (head.action_q_gradients) head.action_q_gradients[t] = 0;
      if (head.log_sum_exp_gradients) head.log_sum_exp_gradients[t] = 0;
    }
    for (Float* each :
         {batch_.value_gradients, batch_.log_prob_gradients, batch_.priorities, batch_.policy_weights}) {
      if (each) each[t] = 0;
    }
  }

  void step(std::size_t t) {
    clear(t);
    if (batch_.mask && !batch_.mask[t]) return;
    if (batch_.taken) check_action(t);
    sums.steps += 1;
    const double weight = batch_.weights ? finite("weights", batch_.weights, t) : 1;
    double priority = 0;
    for (std::size_t h = 0; h < batch_.head_count; ++h) {
      priority = std::max(priority, batch_.heads[h].q ? whole(batch_.heads[h], t, weight, h)
                                                      : gathered(batch_.heads[h], t, weight, h));
    }
    if (batch_.targets) {
      sums.priority += priority;
      if (batch_.priorities) batch_.priorities[t] = static_cast<Float>(priority);
    }
    if (batch_.values) value_and_policy(t, weight);
  }

  void check_action(std::size_t t) const {
    const std::int32_t action = batch_.taken[t];
    const bool inside = action >= 0 && static_cast<std::size_t>(action) < batch_.actions;
    if (inside && allowed(t, static_cast<std::size_t>(action))) return;
    throw Error{"ARGUMENT_INVALID", "actions[" + std::to_string(t) + "] is " + std::to_string(action) +
                                        (inside ? ", which actionMask does not allow"
                                                : ", expected 0 to " + std::to_string(batch_.actions - 1))};
  }

  // TD term of one Q of the action taken. Returns |TD error|.
  double td(std::size_t t, double q, double weight, std::size_t head, double& slope) {
    const double target = finite("targets", batch_.targets, t);
    const double error = q - target;
    const Term term =
        rule_.td == TdKind::squared ? Term{error * error, 2 * error} : huber(error, rule_.huber_threshold);
    sums.td += weight * term.value;
    slope += scale_ * weight * rule_.td_coefficient * term.slope;
    if (head == 0) sums.target += target;
    return std::fabs(error);
  }

  double gathered(const QHead<Float>& head, std::size_t t, double weight, std::size_t h) {
    const double q = finite(head.action_q_name, head.action_q, t);
    double slope = 0;
    if (h == 0) sums.action_q += q;
    const double priority = batch_.targets ? td(t, q, weight, h, slope) : 0;
    if (rule_.conservative_coefficient != 0) {
      const double factor = scale_ * weight * rule_.conservative_coefficient;
      sums.conservative += weight * (finite(head.log_sum_exp_name, head.log_sum_exp, t) - q);
      slope -= factor;
      if (head.log_sum_exp_gradients) head.log_sum_exp_gradients[t] = static_cast<Float>(factor);
    }
    if (head.action_q_gradients) head.action_q_gradients[t] = static_cast<Float>(slope);
    return priority;
  }

  double whole(const QHead<Float>& head, std::size_t t, double weight, std::size_t h) {
    const std::size_t quantiles = batch_.quantiles;
    const std::size_t row = t * batch_.actions * quantiles;
    const std::size_t own = row + static_cast<std::size_t>(batch_.taken[t]) * quantiles;
    double q = 0;
    for (std::size_t k = 0; k < quantiles; ++k) q += finite(head.q_name, head.q, own + k);
    q /= static_cast<double>(quantiles);
    if (h == 0) sums.action_q += q;
    std::fill(slopes_.begin(), slopes_.end(), 0.0);
    double priority = 0;
    if (batch_.targets) {
      priority = rule_.td == TdKind::quantile ? quantile_td(head, t, own, weight, h)
                                              : td(t, q, weight, h, slopes_[0]);
    }
    if (rule_.conservative_coefficient != 0) conservative(head, t, row, q, weight);
    for (std::size_t k = 0; k < quantiles; ++k) {
      head.q_gradients[own + k] = static_cast<Float>(head.q_gradients[own + k] + slopes_[k]);
    }
    return priority;
  }

  double quantile_td(const QHead<Float>& head, std::size_t t, std::size_t own, double weight, std::size_t h) {
    const auto quantiles = static_cast<double>(batch_.quantiles);
    double loss = 0;
    double target_sum = 0;
    for (std::size_t j = 0; j < batch_.quantiles; ++j) {
      const double target = finite("targets", batch_.targets, t * batch_.quantiles + j);
      target_sum += target;
      for (std::size_t i = 0; i < batch_.quantiles; ++i) {
        const double fraction = (static_cast<double>(i) + 0.5) / quantiles;
        const Term term = quantile_term(target - head.q[own + i], fraction, rule_.huber_threshold);
        loss += term.value / quantiles;
        slopes_[i] -= scale_ * weight * rule_.td_coefficient * term.slope / quantiles;
      }
    }
    sums.td += weight * loss;
    if (h == 0) sums.target += target_sum / quantiles;
    return loss;
  }

  // Over the means of the quantiles. Writes the row's gradients but for the part of the action taken.
  void conservative(const QHead<Float>& head, std::size_t t, std::size_t row, double q, double weight) {
    const std::size_t quantiles = batch_.quantiles;
    const double temperature = rule_.conservative_temperature;
    double largest = q;
    for (std::size_t action = 0; action < batch_.actions; ++action) {
      if (!allowed(t, action)) continue;
      double sum = 0;
      for (std::size_t k = 0; k < quantiles; ++k)
        sum += finite(head.q_name, head.q, row + action * quantiles + k);
      means_[action] = sum / static_cast<double>(quantiles);
      largest = std::max(largest, means_[action]);
    }
    double total = 0;
    for (std::size_t action = 0; action < batch_.actions; ++action) {
      if (!allowed(t, action)) continue;
      means_[action] = std::exp((means_[action] - largest) / temperature);
      total += means_[action];
    }
    sums.conservative += weight * (largest + temperature * std::log(total) - q);
    const double factor = scale_ * weight * rule_.conservative_coefficient / static_cast<double>(quantiles);
    for (std::size_t action = 0; action < batch_.actions; ++action) {
      if (!allowed(t, action)) continue;
      const double gradient = factor * means_[action] / total;
      const bool own = action == static_cast<std::size_t>(batch_.taken[t]);
      for (std::size_t k = 0; k < quantiles; ++k) {
        if (own)
          slopes_[k] += gradient - factor;
        else
          head.q_gradients[row + action * quantiles + k] = static_cast<Float>(gradient);
      }
    }
  }

  void value_and_policy(std::size_t t, double weight) {
    const double value = finite("values", batch_.values, t);
    double target = finite("targetQ", batch_.target_q, t);
    if (batch_.twin_target_q) target = std::min(target, finite("twinTargetQ", batch_.twin_target_q, t));
    const double advantage = target - value;
    const double side = std::fabs(rule_.expectile - (advantage < 0 ? 1 : 0));
    sums.state_value += value;
    sums.value += weight * side * advantage * advantage;
    if (batch_.value_gradients) {
      batch_.value_gradients[t] =
          static_cast<Float>(-scale_ * weight * rule_.value_coefficient * 2 * side * advantage);
    }
    if (!batch_.policy_weights) return;
    const double policy_weight = std::min(std::exp(rule_.beta * advantage), rule_.weight_limit);
    if (!std::isfinite(static_cast<Float>(policy_weight))) {
      throw Error{"ARGUMENT_INVALID",
                  "targetQ[" + std::to_string(t) + "] lies " + std::to_string(advantage) +
                      " above V: exp(beta · it) overflows; set policy.weight_limit or a smaller beta"};
    }
    sums.policy_weight += policy_weight;
    batch_.policy_weights[t] = static_cast<Float>(policy_weight);
    if (!batch_.log_probs) return;
    sums.policy -= weight * policy_weight * finite("logProbs", batch_.log_probs, t);
    batch_.log_prob_gradients[t] =
        static_cast<Float>(-scale_ * weight * rule_.policy_coefficient * policy_weight);
  }

  const QLossRule& rule_;
  const QLossBatch<Float>& batch_;
  double scale_;
  std::vector<double> slopes_;  // [quantiles]: gradient of the action taken
  std::vector<double> means_;   // [actions]
};

}  // namespace

template <typename Float>
QLossValue q_loss(const QLossRule& rule, const QLossBatch<Float>& batch) {
  double counted = 0;
  for (std::size_t t = 0; t < batch.steps; ++t) counted += !batch.mask || batch.mask[t] ? 1 : 0;
  const double scale = loss_scale(batch.batch_steps, counted);
  Steps<Float> steps(rule, batch, scale);
  steps.run();
  QLossValue result = steps.sums;
  finish(rule, scale, result);
  return result;
}

template QLossValue q_loss(const QLossRule&, const QLossBatch<float>&);
template QLossValue q_loss(const QLossRule&, const QLossBatch<double>&);

}  // namespace adjudge::reference
