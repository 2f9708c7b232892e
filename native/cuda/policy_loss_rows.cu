// What the policy loss needs of whole rows before its sweep: a warp a row, or a block for a long one. Reads
// the mask, and 8 bytes a token more where the rule looks at a row's ratio; writes 48 bytes a row. Sums are
// in f64.
#include <cmath>

#include "cuda/policy_loss.cuh"
#include "rules/loss_terms.h"

namespace adjudge::cuda {
namespace {

using namespace rl;

constexpr double importance_floor = 1e-10;

SIMT_DEVICE double within(double x, double low, double high) {
  const double above = x < low ? low : x;
  return above > high ? high : above;
}

struct RowSums {
  double change = 0;      // of log ratios
  double drift = 0;       // of rollout - policy log-prob, where the first is known
  double log_weight = 0;  // vespo: of bounded log ratios
  double log_importance = 0;
  double held = 0;  // gmpo: of held log ratios, of tokens that teach
  double taught = 0;
  double advantage = 0;  // gmpo: of counted tokens that a drifted row keeps
  double falling = 0;    // and of the others
};

SIMT_DEVICE void add_token(const LossPlan& plan, std::int64_t row, std::int64_t t, RowSums& sums) {
  const LossBatch<float>& batch = plan.batch;
  const LossKind kind = plan.constants.kind;
  const bool counted = counts(plan, t);
  if (kind == LossKind::vespo && batch.importance_weights &&
      (counted || plan.gamma_weight.masked_importance)) {
    sums.log_importance += vespo_bounded(log(static_cast<double>(batch.importance_weights[t])));
  }
  if (!counted) return;
  const double change = log_ratio_of(plan, t);
  sums.change += change;
  sums.log_weight += vespo_bounded_ratio(change);
  if (plan.drift) {
    const float rollout = (batch.rollout_log_probs ? batch.rollout_log_probs : batch.old_log_probs)[t];
    if (rollout == rollout) sums.drift += static_cast<double>(rollout) - batch.log_probs[t];
  }
  if (kind != LossKind::gmpo) return;
  if (batch.importance_weights)
    sums.log_importance += log(static_cast<double>(batch.importance_weights[t]) + importance_floor);
  const float advantage = advantage_of(plan, row, t);
  (advantage < 0 ? sums.falling : sums.advantage) += static_cast<double>(advantage);
  if (plan.teaches && !plan.teaches[t]) return;
  sums.held +=
      static_cast<double>(held_log_ratio_lanes(plan.constants, static_cast<float>(change), advantage).value);
  sums.taught += 1;
}

SIMT_DEVICE void set_ratio(const LossPlan& plan, const RowSums& sums, LossRow& row) {
  const double log_ratio = plan.mean_ratio ? sums.change * inverse(row.counted) : sums.change;
  const double highest =
      plan.log_ratio_high < single_overflow_limit ? plan.log_ratio_high : single_overflow_limit;
  const double ratio = exp(within(log_ratio, plan.log_ratio_low, highest));
  const bool inside = log_ratio >= plan.log_ratio_low && log_ratio <= plan.log_ratio_high;
  row.ratio = static_cast<float>(ratio);
  row.own_slope = inside && !plan.joint ? row.ratio : 0;
  row.slope = !inside ? 0 : plan.mean_ratio ? ratio * inverse(row.counted) : ratio;
}

SIMT_DEVICE void set_geometric_mean(const LossPlan& plan, const RowSums& sums, LossRow& row) {
  const double epsilon = plan.aggregation.token_epsilon;
  const double divisor = sums.taught > 0 ? sums.taught + epsilon : 1;
  const double log_mean =
      sums.held / divisor + (row.counted > 0 ? sums.log_importance / (row.counted + epsilon) : 0);
  const double mean = exp(log_mean < single_overflow_limit ? log_mean : single_overflow_limit);
  row.mean = static_cast<float>(mean);
  row.mean_slope = -(sums.advantage + (row.drifted ? 0 : sums.falling)) * mean / divisor;
}

SIMT_DEVICE LossRow facts_of(const LossPlan& plan, double counted, const RowSums& sums) {
  LossRow row{counted, 0, 0, 1, 0, 1, 1, 1, false};
  row.drifted = plan.drift && sums.drift * inverse(counted) > plan.off_policy_threshold;
  if (!plan.by_token) set_ratio(plan, sums, row);
  if (plan.constants.kind == LossKind::vespo) {
    const GammaWeight& gamma = plan.gamma_weight;
    const double log_weight = vespo_bounded(sums.log_weight + sums.log_importance);
    row.phi_positive = phi_of(gamma.shape_positive, gamma.rate_positive, log_weight);
    row.phi_negative = phi_of(gamma.shape_negative, gamma.rate_negative, log_weight);
  }
  if (plan.constants.kind == LossKind::gmpo) set_geometric_mean(plan, sums, row);
  return row;
}

SIMT_KERNEL loss_rows_kernel(LossPlan plan, LossRow* rows) {
  const LossKind kind = plan.constants.kind;
  const bool sums_tokens = !plan.by_token || plan.drift || kind == LossKind::vespo || kind == LossKind::gmpo;
  for_rows_of_block(plan.range, [&](auto team, std::int64_t row) {
    const std::int64_t begin = plan.batch.cu_seqlens[row], end = plan.batch.cu_seqlens[row + 1];
    std::int64_t counted = end - begin;
    RowSums sums;
    if (plan.batch.mask) {
      counted = 0;
      for (std::int64_t t = begin + team.rank(); t < end; t += team.size())
        counted += counts(plan, t) ? 1 : 0;
      counted = team.sum(counted);
    }
    if (sums_tokens) {
      for (std::int64_t t = begin + team.rank(); t < end; t += team.size()) add_token(plan, row, t, sums);
      sums.change = team.sum(sums.change);
      if (plan.drift) sums.drift = team.sum(sums.drift);
      if (kind == LossKind::vespo) sums.log_weight = team.sum(sums.log_weight);
      if (kind == LossKind::vespo || kind == LossKind::gmpo)
        sums.log_importance = team.sum(sums.log_importance);
      if (kind == LossKind::gmpo) {
        sums.held = team.sum(sums.held);
        sums.taught = team.sum(sums.taught);
        sums.advantage = team.sum(sums.advantage);
        sums.falling = team.sum(sums.falling);
      }
    }
    if (team.rank() == 0) rows[row] = facts_of(plan, static_cast<double>(counted), sums);
  });
}

// One block: tokens and sequences of the batch.
SIMT_KERNEL loss_totals_kernel(LossPlan plan, const LossRow* rows, const std::int32_t* taught,
                               LossTotals* totals) {
  Counts own;
  for (std::int64_t i = simt::thread(); i < plan.range.rows; i += simt::threads()) {
    own.tokens += rows[i].counted;
    own.sequences += rows[i].counted > 0 || plan.aggregation.count_empty_rows ? 1 : 0;
  }
  own.tokens = block_sum(own.tokens);
  own.sequences = block_sum(own.sequences);
  if (simt::thread() != 0) return;
  Counts whole = own;
  if (plan.batch.batch_tokens >= 0) whole.tokens = plan.batch.batch_tokens;
  if (plan.batch.batch_sequences >= 0) whole.sequences = plan.batch.batch_sequences;
  // A mean of the bonus is over the tokens that teach only: counted tokens per such token.
  const double share = taught ? own.tokens * inverse(static_cast<double>(*taught)) : 1;
  *totals = {own, whole, plan.entropy_coefficient * inverse(whole.tokens) * share};
}

}  // namespace

void enqueue_loss_rows(Enqueue& enqueue, const LossPlan& plan, LossRow* rows) {
  enqueue(ADJUDGE_NAMED(loss_rows_kernel), blocks_of(plan.range), plan, rows);
}

void enqueue_loss_totals(Enqueue& enqueue, const LossPlan& plan, const LossRow* rows,
                         const std::int32_t* taught, LossTotals* totals) {
  enqueue.with(ADJUDGE_NAMED(loss_totals_kernel), {1, enqueue.threads(), 0}, plan, rows, taught, totals);
}

}  // namespace adjudge::cuda
