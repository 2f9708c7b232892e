// One criterion: a warp a row, or a block for a long one, then one block over the rows. Reads 8 bytes a token
// and the mask, writes a byte where a token is rejected, and 88 bytes a row; up to about 300 f64 operations a
// token for binary KL, in f64 so that a band decides as the reference does.
#include <cmath>

#include "cuda/launch.h"
#include "cuda/rows.cuh"
#include "cuda/table.h"
#include "rules/off_policy_rows.h"

namespace adjudge::cuda {
namespace {

using namespace rl;

SIMT_KERNEL rejection_row_kernel(CriterionRule rule, RolloutBatch<float> batch, RowRange range,
                                 std::uint8_t* mask, std::uint8_t* keep, RejectionPart* parts) {
  for_rows_of_block(range, [&](auto team, std::int64_t row) {
    const RejectionPart part = reject_row(team, rule, batch, row, mask);
    if (team.rank() != 0) return;
    parts[row] = part;
    if (part.rejected > 0) keep[row] = 0;
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
  const CriterionRule rule{criterion, log_ratio_limit, count_epsilon};
  if (rows > 0)
    enqueue(ADJUDGE_NAMED(rejection_row_kernel), blocks_of(range), rule, batch, range, mask, keep, parts);
  enqueue(ADJUDGE_NAMED(rejection_finish_kernel), 1, criterion, count_epsilon, parts, rows, metrics);
  return enqueue.status();
}

}  // namespace

void add_rejection(Kernels& table) { table.rejection = rejection; }

}  // namespace adjudge::cuda
