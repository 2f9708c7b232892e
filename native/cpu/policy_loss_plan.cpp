// What the sweeps of a policy loss know beforehand, and what they share.
#include <cmath>

#include "native/core/cpu_features.h"
#include "native/cpu/policy_loss_chunk.h"
#include "native/rules/loss_terms.h"

namespace adjudge {

using namespace rl;

const PolicyLossKernels& policy_loss_kernels() {
#if defined(__x86_64__)
  static const PolicyLossKernels& selected = [&]() -> const PolicyLossKernels& {
    switch (selected_instruction_set()) {
      case InstructionSet::portable:
        return policy_loss_portable;
      case InstructionSet::avx2:
        return policy_loss_avx2;
      default:
        return policy_loss_avx512;
    }
  }();
  return selected;
#else
  return policy_loss_portable;
#endif
}

namespace {

// Unbounded ratios of tokens, or a mean ratio of rows with one advantage each; KL absent or an unbounded k3;
// no token singled out: what most rules are.
bool is_plain(const LossRule& rule, const LossBatch<float>& batch, const PolicyLossKernels& kernels) {
  if (!std::isinf(rule.off_policy_threshold)) return false;
  if (!std::isinf(rule.log_ratio_low) || !std::isinf(rule.log_ratio_high)) return false;
  const KlRule& kl = rule.kl;
  const bool plain_kl = kl.kind == KlKind::k3 && kl.gradient == KlGradient::value && !kl.ratio_weighted &&
                        std::isinf(kl.difference_low) && std::isinf(kl.difference_high) &&
                        std::isinf(kl.value_limit);
  if (batch.reference_log_probs && !plain_kl) return false;
  if (rule.ratio == Ratio::token) return kernels.sweep_row[static_cast<int>(rule.kind)].of[0][0] != nullptr;
  return rule.ratio == Ratio::sequence && (rule.kind == LossKind::clip || rule.kind == LossKind::sapo) &&
         !batch.advantages_per_token && !batch.importance_weights;
}

}  // namespace

LossPlan::LossPlan(const LossRule& loss_rule, const LossBatch<float>& loss_batch,
                   const std::uint8_t* teaching_tokens, const std::uint8_t* selected_tokens,
                   float* log_prob_gradients, float* entropies_gradients)
    : rule(loss_rule),
      batch(loss_batch),
      teaches(teaching_tokens),
      selected(selected_tokens),
      gradients(log_prob_gradients),
      entropy_gradients(entropies_gradients),
      kernels(policy_loss_kernels()),
      constants(loss_constants(loss_rule)),
      by_token(loss_rule.ratio == Ratio::token),
      joint(loss_rule.ratio != Ratio::token && loss_rule.ratio_gradient == RatioGradient::joint),
      drift(!std::isinf(loss_rule.off_policy_threshold)),
      sums_rows(!by_token || drift || loss_rule.kind == LossKind::vespo || loss_rule.kind == LossKind::gmpo),
      weighs_by_row(loss_rule.aggregation.kind == Aggregation::sequence_mean_token_mean ||
                    loss_rule.aggregation.kind == Aggregation::sequence_mean),
      bonus_by_row(!loss_rule.entropy_token_mean),
      plain(is_plain(loss_rule, loss_batch, kernels) && !teaching_tokens && !selected_tokens) {}

RowRatio row_ratio(const LossRule& rule, double log_ratio) {
  const double high = std::min(rule.log_ratio_high, double{single_overflow_limit});
  return {std::exp(std::min(std::max(log_ratio, rule.log_ratio_low), high)),
          log_ratio >= rule.log_ratio_low && log_ratio <= rule.log_ratio_high};
}

double loss_of_empty_row(const LossPlan& plan, std::int64_t row, float phi) {
  const LossRule& rule = plan.rule;
  if (plan.batch.advantages_per_token || !rule.aggregation.count_empty_rows ||
      rule.aggregation.kind != Aggregation::sequence_mean) {
    return 0;
  }
  const float advantage = plan.batch.advantages[row];
  const float value =
      rule.kind == LossKind::gmpo
          ? -advantage
          : loss_term_lanes<float>(rule.kind, plan.constants, {0, 0, 1, advantage, phi, false}).value;
  return inverse(plan.counts.sequences) * static_cast<double>(value);
}

}  // namespace adjudge
