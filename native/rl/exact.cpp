#include "rl/exact.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace adjudge::rl {
namespace {

// log of the sum of exp over the group's scored answers; -infinity where none is scored.
template <typename Float>
double log_mass(const Float* log_probs, const std::vector<std::uint8_t>& scored, std::size_t begin,
                std::size_t end) {
  double largest = -std::numeric_limits<double>::infinity();
  for (std::size_t i = begin; i < end; ++i) {
    if (scored[i]) largest = std::max(largest, static_cast<double>(log_probs[i]));
  }
  if (!std::isfinite(largest)) return largest;
  double sum = 0;
  for (std::size_t i = begin; i < end; ++i) {
    if (scored[i]) sum += std::exp(log_probs[i] - largest);
  }
  return largest + std::log(sum);
}

}  // namespace

template <typename Float>
ExactResult exact_objective(const ExactRule& rule, const ExactBatch<Float>& batch) {
  const std::size_t choices =
      batch.groups > 0 ? static_cast<std::size_t>(batch.group_offsets[batch.groups]) : 0;
  ExactResult result;
  result.gradients.assign(choices, 0.0);
  result.probabilities.assign(choices, 0.0);
  std::vector<std::uint8_t> scored(choices);
  for (std::size_t i = 0; i < choices; ++i) {
    scored[i] = (!batch.scored || batch.scored[i]) && !std::isnan(batch.rewards[i]);
    if (!scored[i]) ++result.unscored;
  }
  double groups = 0;
  for (std::size_t g = 0; g < batch.groups; ++g) {
    const double mass =
        log_mass(batch.choice_log_probs, scored, static_cast<std::size_t>(batch.group_offsets[g]),
                 static_cast<std::size_t>(batch.group_offsets[g + 1]));
    if (std::isfinite(mass)) ++groups;
  }
  result.scored_groups = static_cast<std::size_t>(groups);
  const double divisor = batch.batch_groups > 0 ? batch.batch_groups : groups;
  for (std::size_t g = 0; g < batch.groups; ++g) {
    const auto begin = static_cast<std::size_t>(batch.group_offsets[g]);
    const auto end = static_cast<std::size_t>(batch.group_offsets[g + 1]);
    const double mass = log_mass(batch.choice_log_probs, scored, begin, end);
    if (!std::isfinite(mass)) continue;
    const double reference_mass =
        batch.reference_choice_log_probs ? log_mass(batch.reference_choice_log_probs, scored, begin, end) : 0;
    double expected = 0;
    double entropy = 0;
    double kl = 0;
    double low = std::numeric_limits<double>::infinity();
    double high = -low;
    for (std::size_t i = begin; i < end; ++i) {
      if (!scored[i]) continue;
      const double log_p = batch.choice_log_probs[i] - mass;
      const double p = std::exp(log_p);
      result.probabilities[i] = p;
      expected += p * batch.rewards[i];
      if (p > 0) entropy -= p * log_p;
      if (batch.reference_choice_log_probs && p > 0) {
        kl += p * (log_p - (batch.reference_choice_log_probs[i] - reference_mass));
      }
      low = std::min(low, static_cast<double>(batch.rewards[i]));
      high = std::max(high, static_cast<double>(batch.rewards[i]));
    }
    if (low == high) ++result.dead_groups;
    const bool raw = rule.weights == ExactWeights::raw;
    const double total = std::exp(mass);
    // The derivative of the softmax brings the expectation in by itself; for raw weights it is a choice.
    const double baseline = !raw || rule.baseline == ExactBaseline::expected ? expected : 0;
    double objective = 0;
    for (std::size_t i = begin; i < end; ++i) {
      if (!scored[i]) continue;
      const double p = result.probabilities[i];
      const double log_p = batch.choice_log_probs[i] - mass;
      const double weight = raw ? p * total : p;
      objective += raw ? weight * batch.rewards[i] : p * batch.rewards[i];
      double gradient = low == high && baseline != 0 ? 0 : -weight * (batch.rewards[i] - baseline);
      if (p > 0) gradient += rule.entropy_coefficient * p * (log_p + entropy);
      if (batch.reference_choice_log_probs && p > 0) {
        const double log_ratio = log_p - (batch.reference_choice_log_probs[i] - reference_mass);
        gradient += rule.kl_coefficient * p * (log_ratio - kl);
      }
      result.gradients[i] = gradient / divisor;
    }
    result.loss += (-objective + rule.kl_coefficient * kl - rule.entropy_coefficient * entropy) / divisor;
    result.expected_reward += expected / groups;
    result.entropy += entropy / groups;
    result.kl += kl / groups;
    result.mass += total / groups;
  }
  return result;
}

template ExactResult exact_objective(const ExactRule&, const ExactBatch<float>&);
template ExactResult exact_objective(const ExactRule&, const ExactBatch<double>&);

}  // namespace adjudge::rl
