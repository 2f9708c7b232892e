#include "reference/off_policy_returns.h"

#include <algorithm>
#include <cmath>
#include <initializer_list>

namespace adjudge::reference {

using namespace rl;

namespace {

template <typename Float>
double ratio_of(const ReturnsBatch<Float>& batch, std::int32_t t) {
  if (!batch.log_ratios) return 1;
  return std::exp(std::clamp<double>(batch.log_ratios[t], least_log_ratio, largest_log_ratio));
}

// Calls start(bootstrap) for each row and step(t) for its counted tokens, the last one first; others become
// 0.
template <typename Float, typename Start, typename Step>
void backwards(const ReturnsBatch<Float>& batch, std::initializer_list<Float*> outputs, Start&& start,
               Step&& step) {
  for (std::size_t i = 0; i < batch.rows; ++i) {
    start(batch.bootstrap_values ? static_cast<double>(batch.bootstrap_values[i]) : 0.0);
    for (std::int32_t t = batch.cu_seqlens[i + 1] - 1; t >= batch.cu_seqlens[i]; --t) {
      if (!batch.mask || batch.mask[t]) {
        step(t);
      } else {
        for (Float* output : outputs) output[t] = 0;
      }
    }
  }
}

}  // namespace

template <typename Float>
void vtrace(const VtraceRule& rule, const ReturnsBatch<Float>& batch, Float* targets, Float* advantages) {
  double next_value = 0;
  double next_target = 0;
  backwards(
      batch, {targets, advantages}, [&](double bootstrap) { next_value = next_target = bootstrap; },
      [&](std::int32_t t) {
        const double ratio = ratio_of(batch, t);
        const double reward = batch.rewards[t];
        const double value = batch.values[t];
        const double difference = std::min(rule.rho_clip, ratio) * (reward + rule.gamma * next_value - value);
        const double trace = rule.lambda * std::min(rule.c_clip, ratio);
        const double target = value + difference + rule.gamma * trace * (next_target - next_value);
        const double beyond = rule.lambda * next_target + (1 - rule.lambda) * next_value;
        advantages[t] = static_cast<Float>(std::min(rule.policy_gradient_rho_clip, ratio) *
                                           (reward + rule.gamma * beyond - value));
        targets[t] = static_cast<Float>(target);
        next_value = value;
        next_target = target;
      });
}

template <typename Float>
void retrace(const RetraceRule& rule, const ReturnsBatch<Float>& batch, Float* targets) {
  double next = 0;  // what the steps after this one are worth
  backwards(
      batch, {targets}, [&](double bootstrap) { next = bootstrap; },
      [&](std::int32_t t) {
        const double target = batch.rewards[t] + rule.gamma * next;
        const double trace = rule.lambda * std::min(rule.c_clip, ratio_of(batch, t));
        next = batch.values[t] + trace * (target - batch.action_values[t]);
        targets[t] = static_cast<Float>(target);
      });
}

template <typename Float>
void upgo(const UpgoRule& rule, const ReturnsBatch<Float>& batch, Float* returns, Float* advantages) {
  double next_value = 0;
  double next_return = 0;  // already cut where the next step fell short of its value
  backwards(
      batch, {returns, advantages}, [&](double bootstrap) { next_value = next_return = bootstrap; },
      [&](std::int32_t t) {
        const double reward = batch.rewards[t];
        const double value = batch.values[t];
        const double followed = reward + rule.gamma * next_return;
        returns[t] = static_cast<Float>(followed);
        advantages[t] = static_cast<Float>(std::min(rule.rho_clip, ratio_of(batch, t)) * (followed - value));
        next_return = reward + rule.gamma * next_value >= value ? followed : value;
        next_value = value;
      });
}

template void vtrace<float>(const VtraceRule&, const ReturnsBatch<float>&, float*, float*);
template void vtrace<double>(const VtraceRule&, const ReturnsBatch<double>&, double*, double*);
template void retrace<float>(const RetraceRule&, const ReturnsBatch<float>&, float*);
template void retrace<double>(const RetraceRule&, const ReturnsBatch<double>&, double*);
template void upgo<float>(const UpgoRule&, const ReturnsBatch<float>&, float*, float*);
template void upgo<double>(const UpgoRule&, const ReturnsBatch<double>&, double*, double*);

}  // namespace adjudge::reference
