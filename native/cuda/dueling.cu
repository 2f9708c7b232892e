// Dueling heads. One number per action: a team for each step's row, read twice (from cache the second time);
// with quantiles, or few actions, a thread for each column. Reads 4 bytes a number of A (with the gradient of
// `max` 8) and writes 4; sums in f64.
#include "rules/dueling.h"

#include "cuda/q_row.cuh"
#include "cuda/table.h"

namespace adjudge::cuda {
namespace {

using namespace rl;

// The numbers of one quantile of a step: `stride` apart.
struct Column {
  std::int64_t start;
  std::int64_t stride;
  std::int64_t count;
};

template <typename Team>
SIMT_DEVICE double column_sum(Team team, const Column& column, const float* values) {
  double sum = 0;
  for (std::int64_t a = team.rank(); a < column.count; a += team.size())
    sum += values[column.start + a * column.stride];
  return team.sum(sum);
}

// The first action of the largest.
template <typename Team>
SIMT_DEVICE std::int64_t column_largest(Team team, const Column& column, const float* values) {
  float top = -INFINITY;
  std::int64_t first = column.count;
  for (std::int64_t a = team.rank(); a < column.count; a += team.size()) {
    const float value = values[column.start + a * column.stride];
    if (first < column.count && !(value > top)) continue;
    top = value;
    first = a;
  }
  const float largest = team.reduce(top, Larger{});
  return team.reduce(top == largest ? first : column.count, Smaller{});
}

// Of the thread's team: the column, and where its V lies.
template <typename Team, typename Body>
SIMT_DEVICE void for_columns(const StepGrid& grid, const DuelingShape& shape, const Body& body) {
  const auto quantiles = static_cast<std::int64_t>(shape.quantiles);
  const auto actions = static_cast<std::int64_t>(shape.actions);
  for_steps_of_team<Team>(grid, [&](Team team, std::int64_t place) {
    body(team, Column{place / quantiles * quantiles * actions + place % quantiles, quantiles, actions},
         place);
  });
}

template <typename Team>
SIMT_KERNEL dueling_q_kernel(bool mean, DuelingShape shape, StepGrid grid, const float* values,
                             const float* advantages, float* q) {
  for_columns<Team>(grid, shape, [&](Team team, const Column& column, std::int64_t place) {
    double offset = 0;
    if (mean) {
      offset = column_sum(team, column, advantages) / static_cast<double>(column.count);
    } else {
      const std::int64_t largest = column_largest(team, column, advantages);
      if (largest < column.count) offset = advantages[column.start + largest * column.stride];
    }
    const double base = values[place] - offset;
    for (std::int64_t a = team.rank(); a < column.count; a += team.size()) {
      const std::int64_t at = column.start + a * column.stride;
      q[at] = static_cast<float>(base + advantages[at]);
    }
  });
}

template <typename Team>
SIMT_KERNEL dueling_gradients_kernel(bool mean, DuelingShape shape, StepGrid grid, const float* advantages,
                                     const float* q_gradients, float* value_gradients,
                                     float* advantage_gradients) {
  for_columns<Team>(grid, shape, [&](Team team, const Column& column, std::int64_t place) {
    const double sum = column_sum(team, column, q_gradients);
    const std::int64_t largest = mean ? column.count : column_largest(team, column, advantages);
    if (team.rank() == 0) value_gradients[place] = static_cast<float>(sum);
    for (std::int64_t a = team.rank(); a < column.count; a += team.size()) {
      const std::int64_t at = column.start + a * column.stride;
      const double share = mean ? sum / static_cast<double>(column.count) : a == largest ? sum : 0;
      advantage_gradients[at] = static_cast<float>(q_gradients[at] - share);
    }
  });
}

template <typename Launcher>
void with_column_team(const DuelingShape& shape, int threads, Launcher&& launch) {
  const auto columns = static_cast<std::int64_t>(shape.steps * shape.quantiles);
  with_step_team(shape.quantiles > 1 ? 1 : static_cast<std::int64_t>(shape.actions), columns, threads, 1,
                 launch);
}

int dueling_q(DuelingCentre centre, const DuelingShape& shape, const float* values, const float* advantages,
              float* q, Launch& launch) {
  Enqueue enqueue(launch, 256);
  if (enqueue.stops()) return enqueue.status();
  with_column_team(shape, enqueue.threads(), [&](auto team, const StepGrid& grid) {
    enqueue(ADJUDGE_NAMED(dueling_q_kernel<decltype(team)>), grid.blocks(), centre == DuelingCentre::mean,
            shape, grid, values, advantages, q);
  });
  return enqueue.status();
}

int dueling_gradients(DuelingCentre centre, const DuelingShape& shape, const float* advantages,
                      const float* q_gradients, float* value_gradients, float* advantage_gradients,
                      Launch& launch) {
  Enqueue enqueue(launch, 256);
  if (enqueue.stops()) return enqueue.status();
  with_column_team(shape, enqueue.threads(), [&](auto team, const StepGrid& grid) {
    enqueue(ADJUDGE_NAMED(dueling_gradients_kernel<decltype(team)>), grid.blocks(),
            centre == DuelingCentre::mean, shape, grid, advantages, q_gradients, value_gradients,
            advantage_gradients);
  });
  return enqueue.status();
}

}  // namespace

void add_dueling(Kernels& table) {
  table.dueling_q = dueling_q;
  table.dueling_gradients = dueling_gradients;
}

}  // namespace adjudge::cuda
