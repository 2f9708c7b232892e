// One criterion: a warp a row, or a block for a long one, then one block over the rows. Reads 8 bytes a token
// and the mask, writes a byte where a token is rejected, and 88 bytes a row; up to about 300 f64 operations a
// token for binary KL, in f64 so that a band decides as the reference does.
#include <cmath>

#include "cuda/launch.h"
#include "cuda/rows.cuh"
#include "cuda/table.h"
#include "rules/off_policy_totals.h"

namespace adjudge::cuda {
namespace {

using namespace rl;

struct RejectionPlan {
  Criterion criterion;
  double log_ratio_limit;
  double count_epsilon;
  RolloutBatch<float> batch;
  RowRange range;
  std::uint8_t* mask;
  std::uint8_t* keep;
};

SIMT_DEVICE bool counts(const RejectionPlan& plan, std::int64_t t) {
  return !plan.batch.mask || plan.batch.mask[t] != 0;
}

SIMT_DEVICE double statistic_of(const RejectionPlan& plan, std::int64_t t) {
  const double log_prob = plan.batch.log_probs[t], rollout = plan.batch.rollout_log_probs[t];
  const double bounded = within_lanes(log_ratio_lanes(log_prob, rollout), plan.log_ratio_limit);
  return statistic_lanes(plan.criterion.statistic, bounded, log_prob, rollout);
}

SIMT_KERNEL rejection_row_kernel(RejectionPlan plan, RejectionPart* parts) {
  const StatisticBand band = statistic_band(plan.criterion);
  const bool by_token = plan.criterion.level == RejectionLevel::token;
  for_rows_of_block(plan.range, [&](auto team, std::int64_t row) {
    const std::int64_t begin = plan.range.cu_seqlens[row], end = plan.range.cu_seqlens[row + 1];
    const bool spared = plan.criterion.only_negative && plan.batch.advantages[row] >= 0;
    double counted = 0, sum = 0, above = 0, below = 0, cut_sum = 0, squares = 0, masked = 0;
    double least = HUGE_VAL, most = -HUGE_VAL;
    for (std::int64_t t = begin + team.rank(); t < end; t += team.size()) {
      if (!counts(plan, t)) continue;
      const double statistic = statistic_of(plan, t);
      counted += 1;
      sum += statistic;
      least = minimum(least, statistic);
      most = maximum(most, statistic);
      if (!by_token) continue;
      const double cut = minimum(maximum(statistic, band.low), band.high);
      above += statistic > band.high ? 1 : 0;
      below += statistic < band.low ? 1 : 0;
      cut_sum += cut;
      squares += cut * cut;
      if (spared || !outside_lanes(statistic, band.low, band.high)) continue;
      masked += 1;
      plan.mask[t] = 0;
    }
    RejectionPart part;
    part.counted = team.sum(counted);
    part.sum = team.sum(sum);
    part.minimum = team.reduce(least, Least{});
    part.maximum = team.reduce(most, Largest{});
    part.above = team.sum(above);
    part.below = team.sum(below);
    part.cut = team.sum(cut_sum);
    part.cut_squares = team.sum(squares);
    part.masked = team.sum(masked);
    part.rejected = part.masked > 0 ? 1 : 0;
    judge_row(plan.criterion, band, plan.count_epsilon, spared, part);
    if (!by_token && part.rejected > 0) {
      for (std::int64_t t = begin + team.rank(); t < end; t += team.size()) plan.mask[t] = 0;
    }
    if (team.rank() != 0) return;
    parts[row] = part;
    if (part.rejected > 0) plan.keep[row] = 0;
  });
}

SIMT_KERNEL rejection_finish_kernel(Criterion criterion, double count_epsilon, const RejectionPart* parts,
                                    std::int64_t rows, CriterionMetrics* metrics) {
  const CriterionMetrics totals = criterion_totals(BlockTeam{}, criterion, count_epsilon, parts, rows);
  if (simt::thread() == 0) *metrics = totals;
}

int rejection(const Criterion& criterion, double log_ratio_limit, double count_epsilon,
              const RolloutBatch<float>& batch, std::int64_t, std::uint8_t* mask, std::uint8_t* keep,
              CriterionMetrics* metrics, Launch& launch) {
  const auto rows = static_cast<std::int64_t>(batch.rows);
  Enqueue enqueue(launch, 256);
  auto* const parts = enqueue.take<RejectionPart>(rows);
  if (enqueue.stops()) return enqueue.status();
  const RowRange range = row_range(batch.cu_seqlens, rows, enqueue.threads());
  const RejectionPlan plan{criterion, log_ratio_limit, count_epsilon, batch, range, mask, keep};
  if (rows > 0) enqueue(ADJUDGE_NAMED(rejection_row_kernel), blocks_of(range), plan, parts);
  enqueue(ADJUDGE_NAMED(rejection_finish_kernel), 1, criterion, count_epsilon, parts, rows, metrics);
  return enqueue.status();
}

}  // namespace

void add_rejection(Kernels& table) { table.rejection = rejection; }

}  // namespace adjudge::cuda
