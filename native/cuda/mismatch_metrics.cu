// A warp a row, or a block for a long one, then one block over the rows. Reads 8 bytes a token and the mask,
// writes 72 bytes a row; about 100 f64 operations a token for the two exponentials, and 200 a row.
#include <cmath>

#include "cuda/launch.h"
#include "cuda/rows.cuh"
#include "cuda/table.h"
#include "rules/mismatch_rows.h"

namespace adjudge::cuda {
namespace {

using namespace rl;

SIMT_KERNEL mismatch_row_kernel(RolloutBatch<float> batch, RowRange range, MismatchPart* parts) {
  for_rows_of_block(range, [&](auto team, std::int64_t row) {
    const MismatchPart part = mismatch_of_row(team, batch, row);
    if (team.rank() == 0) parts[row] = part;
  });
}

SIMT_KERNEL mismatch_finish_kernel(const MismatchPart* parts, std::int64_t rows, MismatchMetrics* metrics) {
  const MismatchMetrics totals = mismatch_totals(BlockTeam{}, parts, rows);
  if (simt::thread() == 0) *metrics = totals;
}

int mismatch_metrics(const RolloutBatch<float>& batch, std::int64_t, MismatchMetrics* metrics,
                     Launch& launch) {
  const auto rows = static_cast<std::int64_t>(batch.rows);
  Enqueue enqueue(launch, 256);
  auto* const parts = enqueue.take<MismatchPart>(rows);
  if (enqueue.stops()) return enqueue.status();
  const RowRange range = row_range(batch.cu_seqlens, rows, enqueue.threads());
  if (rows > 0) enqueue(ADJUDGE_NAMED(mismatch_row_kernel), blocks_of(range), batch, range, parts);
  enqueue(ADJUDGE_NAMED(mismatch_finish_kernel), 1, parts, rows, metrics);
  return enqueue.status();
}

}  // namespace

void add_mismatch_metrics(Kernels& table) { table.mismatch_metrics = mismatch_metrics; }

}  // namespace adjudge::cuda
