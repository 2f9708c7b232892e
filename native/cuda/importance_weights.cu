// A warp a row, or a block for a long one, twice where the row decides: its log ratio and gate, then its
// weights. Reads 8 bytes a token (16 where the row decides) and the mask, writes 4; about 60 f64 operations a
// token for the exponential, in f64 so that a band decides as the reference does. Then one block over the
// rows, and once more over the weights where they are normalised.
#include <cmath>

#include "cuda/launch.h"
#include "cuda/rows.cuh"
#include "cuda/table.h"
#include "rules/off_policy_totals.h"

namespace adjudge::cuda {
namespace {

using namespace rl;

struct WeightPlan {
  WeightRule rule;
  RolloutBatch<float> batch;
  RowRange range;
  float* weights;
  float* sequences;
};

struct LogProbs {
  double trained;
  double rollout;  // NaN: missing
};

SIMT_DEVICE bool counts(const WeightPlan& plan, std::int64_t t) {
  return !plan.batch.mask || plan.batch.mask[t] != 0;
}

SIMT_DEVICE LogProbs log_probs_of(const WeightPlan& plan, std::int64_t t) {
  return {plan.batch.log_probs[t], plan.batch.rollout_log_probs[t]};
}

SIMT_DEVICE double own_weight(const WeightRule& rule, const LogProbs& token) {
  return growth_lanes(within_lanes(log_ratio_lanes(token.trained, token.rollout), rule.log_ratio_limit));
}

// What the row's tokens add up to.
template <typename Team>
SIMT_DEVICE WeightPart sums_of_row(const WeightPlan& plan, const Team& team, std::int64_t row) {
  const WeightGate gate = plan.rule.gate;
  const bool diverges = gate == WeightGate::binary_kl_mean || gate == WeightGate::total_variation_mean;
  double counted = 0, log_sum = 0, divergence = 0;
  for (std::int64_t t = plan.range.cu_seqlens[row] + team.rank(); t < plan.range.cu_seqlens[row + 1];
       t += team.size()) {
    if (!counts(plan, t)) continue;
    const LogProbs token = log_probs_of(plan, t);
    counted += 1;
    log_sum += log_ratio_lanes(token.trained, token.rollout);
    if (diverges) divergence += gate_lanes(gate, token.trained, token.rollout);
  }
  WeightPart part;
  part.counted = team.sum(counted);
  part.log_sum = team.sum(log_sum);
  weigh_sequence(plan.rule, team.sum(divergence), part);
  return part;
}

SIMT_KERNEL weight_row_kernel(WeightPlan plan, WeightPart* parts) {
  const WeightRule& rule = plan.rule;
  const bool sequence = rule.level == WeightLevel::sequence, row_gate = gate_of_row(rule);
  for_rows_of_block(plan.range, [&](auto team, std::int64_t row) {
    WeightPart part;
    double raw = 0;
    if (sequence || row_gate) {
      part = sums_of_row(plan, team, row);
      raw = growth_lanes(within_lanes(part.log_sum, rule.log_ratio_limit));
    }
    double counted = 0, high = 0, low = 0, outside = 0, applied_sum = 0, raw_sum = 0, cut_sum = 0,
           squares = 0;
    double least = HUGE_VAL, most = -HUGE_VAL;
    for (std::int64_t t = plan.range.cu_seqlens[row] + team.rank(); t < plan.range.cu_seqlens[row + 1];
         t += team.size()) {
      if (!counts(plan, t)) {
        plan.weights[t] = 0;
        continue;
      }
      double own = raw, statistic = part.statistic;
      if (!sequence || !row_gate) {
        const LogProbs token = log_probs_of(plan, t);
        if (!sequence) own = own_weight(rule, token);
        if (!row_gate && rule.gate == WeightGate::weight) statistic = own;
        if (!row_gate && rule.gate != WeightGate::weight)
          statistic = gate_lanes(rule.gate, token.trained, token.rollout);
      }
      const double applied = banded_lanes(rule, own, statistic);
      plan.weights[t] = static_cast<float>(applied);
      const double cut = minimum(maximum(applied, 0.0), rule.high);
      counted += 1;
      high += statistic > rule.high ? 1 : 0;
      low += statistic < low_mark(rule) ? 1 : 0;
      outside += outside_lanes(statistic, rule.low, rule.high) ? 1 : 0;
      applied_sum += applied;
      raw_sum += own;
      cut_sum += cut;
      squares += cut * cut;
      least = minimum(least, applied);
      most = maximum(most, applied);
    }
    part.counted = team.sum(counted);
    part.high = team.sum(high);
    part.low = team.sum(low);
    part.outside = team.sum(outside);
    part.applied = team.sum(applied_sum);
    part.raw = team.sum(raw_sum);
    part.cut = team.sum(cut_sum);
    part.cut_squares = team.sum(squares);
    part.minimum = team.reduce(least, Least{});
    part.maximum = team.reduce(most, Largest{});
    if (team.rank() != 0) return;
    parts[row] = part;
    if (sequence && plan.sequences) plan.sequences[row] = static_cast<float>(part.weight);
  });
}

SIMT_KERNEL weight_finish_kernel(WeightRule rule, const WeightPart* parts, std::int64_t rows,
                                 WeightMetrics* metrics) {
  const WeightMetrics totals = weight_totals(BlockTeam{}, rule, parts, rows);
  if (simt::thread() == 0) *metrics = totals;
}

SIMT_KERNEL weight_normalize_kernel(float* values, std::int64_t count, const WeightMetrics* metrics) {
  const std::int64_t i = simt::block() * simt::threads() + simt::thread();
  if (i < count) values[i] = static_cast<float>(values[i] / metrics->normalizer);
}

int importance_weights(const WeightRule& rule, const RolloutBatch<float>& batch, std::int64_t tokens,
                       float* weights, float* sequences, WeightMetrics* metrics, Launch& launch) {
  const auto rows = static_cast<std::int64_t>(batch.rows);
  Enqueue enqueue(launch, 256);
  auto* const parts = enqueue.take<WeightPart>(rows);
  if (enqueue.stops()) return enqueue.status();
  const RowRange range = row_range(batch.cu_seqlens, rows, enqueue.threads());
  const WeightPlan plan{rule, batch, range, weights, sequences};
  if (rows > 0) enqueue(ADJUDGE_NAMED(weight_row_kernel), blocks_of(range), plan, parts);
  enqueue(ADJUDGE_NAMED(weight_finish_kernel), 1, rule, parts, rows, metrics);
  if (!rule.normalize) return enqueue.status();
  const auto normalize = [&](float* values, std::int64_t count) {
    if (values && count > 0)
      enqueue(ADJUDGE_NAMED(weight_normalize_kernel), blocks_of(count, enqueue.threads()), values, count,
              metrics);
  };
  normalize(weights, tokens);
  if (rule.level == WeightLevel::sequence) normalize(sequences, rows);
  return enqueue.status();
}

}  // namespace

void add_importance_weights(Kernels& table) { table.importance_weights = importance_weights; }

}  // namespace adjudge::cuda
