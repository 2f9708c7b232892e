// Plain rules (LossPlan::plain): a row is swept as one, without arrays of what its tokens have in common.
#include "native/cpu/policy_loss_chunk.h"
#include "native/rules/loss_terms.h"

namespace adjudge {
namespace {

using namespace rl;

// The whole policy term of a row with one ratio: its share of the sums, and the gradient of each token, which
// is the same for the joint and the own derivative.
void add_fixed_term(const LossPlan& plan, std::int64_t counted, const LogRatioSums& log_ratios, LossRow& row,
                    LossSums& sums) {
  const auto n = static_cast<double>(counted);
  const double value = row_ratio(plan.rule, log_ratios.change * inverse(n)).value;
  const auto ratio = static_cast<float>(value);
  const auto term =
      loss_term_lanes<float>(plan.rule.kind, plan.constants, {0, 0, ratio, row.advantage, 1, false});
  row.gradient = row.weight * term.ratio_slope * ratio;
  row.low = term.low ? counted : 0;
  row.high = term.high ? counted : 0;
  row.dual = term.dual ? counted : 0;
  row.bound = term.bound ? counted : 0;
  if (counted == 0) return;
  sums.loss += n * static_cast<double>(row.weight) * static_cast<double>(term.value);
  sums.ratio += n * value;
  sums.ratio_max = std::max(sums.ratio_max, value);
  sums.old_kl -= log_ratios.change;
  sums.old_kl_bounded -= log_ratios.change;
  sums.old_kl_absolute += log_ratios.absolute;
}

}  // namespace

LossPartial loss_of_plain_rows(const LossPlan& plan, std::int64_t begin, std::int64_t end) {
  const LossBatch<float>& batch = plan.batch;
  const auto kernel = plan.kernels.sweep_row[static_cast<int>(plan.rule.kind)]
                          .of[batch.advantages_per_token ? 1 : 0][batch.reference_log_probs ? 1 : 0];
  LossPartial partial;
  LossLanes lanes = {};
  for (std::int64_t index = begin; index < end; ++index) {
    const std::int64_t first = batch.cu_seqlens[index];
    const std::int64_t counted = plan.counted_tokens(index);
    const auto at = [&](auto* values) { return values ? values + first : nullptr; };
    LossRow row = {};
    row.count = batch.cu_seqlens[index + 1] - first;
    row.log_probs = at(batch.log_probs);
    row.old_log_probs = at(batch.old_log_probs);
    row.reference_log_probs = at(batch.reference_log_probs);
    row.importance_weights = at(batch.importance_weights);
    row.mask = at(batch.mask);
    if (batch.advantages_per_token)
      row.advantages = at(batch.advantages);
    else
      row.advantage = batch.advantages[index];
    row.weight =
        static_cast<float>(row_weight(plan.rule.aggregation, plan.counts, static_cast<double>(counted)));
    row.gradients = at(plan.gradients);
    row.stream = plan.stream;
    if (plan.by_token) {
      kernel(plan.constants, row, lanes);
    } else {
      const LogRatioSums log_ratios =
          plan.kernels.sum_log_ratios(row.log_probs, row.old_log_probs, row.mask, row.count);
      add_fixed_term(plan, counted, log_ratios, row, partial.sums);
      plan.kernels.sweep_fixed_row(plan.constants, row, lanes);
    }
    if (batch.entropies) {
      const float bonus = plan.bonus_by_row ? static_cast<float>(plan.rule.entropy_coefficient) * row.weight
                                            : plan.bonus_weight;
      const EntropySums sums = plan.kernels.sweep_entropies(at(batch.entropies), row.mask, row.count, bonus,
                                                            at(plan.entropy_gradients));
      partial.sums.entropy += sums.entropy;
      partial.sums.bonus += sums.bonus;
    }
    if (counted == 0) partial.sums.loss += loss_of_empty_row(plan, index, 1);
    partial.sums.bound += row.bound;
    partial.note_clips(plan.by_token, counted, row.low, row.high, row.dual);
  }
  plan.kernels.gather(lanes, partial.sums);
  return partial;
}

}  // namespace adjudge
