// A row of Q over its actions, by the threads of a team.
#pragma once

#include <cmath>

#include "cuda/rows.cuh"

namespace adjudge::cuda {

// Rows of more numbers than this are a block's, others a warp's, few numbers a thread's.
constexpr std::int64_t longest_q_row_of_a_warp = 2048;
constexpr std::int64_t longest_q_row_of_a_thread = 4;

// How steps lie over a grid: `teams` of them in a block, `each` steps one after another for a team.
struct StepGrid {
  std::int64_t steps;
  std::int64_t teams;
  std::int64_t each;
  std::int64_t blocks() const { return blocks_of(steps, teams * each); }
};

template <typename Team>
SIMT_DEVICE int team_number() {
  return simt::thread() / Team{}.size();
}

// Calls body(team, step) for the steps of the thread's team.
template <typename Team, typename Body>
SIMT_DEVICE void for_steps_of_team(const StepGrid& grid, const Body& body) {
  const std::int64_t first = simt::block() * grid.teams * grid.each + team_number<Team>();
  for (std::int64_t i = 0; i < grid.each; ++i) {
    const std::int64_t step = first + i * grid.teams;
    if (step < grid.steps) body(Team{}, step);
  }
}

// Calls launch(Team{}, grid) for the team that rows of `width` numbers want.
template <typename Launcher>
void with_step_team(std::int64_t width, std::int64_t steps, int threads, std::int64_t each,
                    Launcher&& launch) {
  if (width <= longest_q_row_of_a_thread)
    launch(ThreadTeam{}, StepGrid{steps, threads, 1});
  else if (width <= longest_q_row_of_a_warp)
    launch(WarpTeam{}, StepGrid{steps, threads / simt::warp_size, each});
  else
    launch(BlockTeam{}, StepGrid{steps, 1, 1});
}

// Of twins the smaller counts; what is not allowed does not.
struct QRow {
  const float* q;
  const float* twin;
  const std::uint8_t* allowed;
  std::int64_t count;

  SIMT_DEVICE bool open(std::int64_t i) const { return !allowed || allowed[i]; }
  SIMT_DEVICE float at(std::int64_t i) const { return twin && twin[i] < q[i] ? twin[i] : q[i]; }
  SIMT_DEVICE bool finite(std::int64_t i) const {
    return fabsf(q[i]) < INFINITY && (!twin || fabsf(twin[i]) < INFINITY);
  }
};

// Minus infinity where no action is allowed. `bad`: one that is allowed is not finite.
template <typename Team>
SIMT_DEVICE float largest_of(Team team, const QRow& row, bool& bad) {
  float top = -INFINITY;
  for (std::int64_t i = team.rank(); i < row.count; i += team.size()) {
    if (!row.open(i)) continue;
    if (!row.finite(i)) bad = true;
    top = row.at(i) > top ? row.at(i) : top;
  }
  return team.reduce(top, Larger{});
}

// The first action of this value; `count` where there is none.
template <typename Team>
SIMT_DEVICE std::int64_t action_of(Team team, const QRow& row, float value) {
  std::int64_t first = row.count;
  for (std::int64_t i = team.rank(); i < row.count && first == row.count; i += team.size()) {
    if (row.open(i) && row.at(i) == value) first = i;
  }
  return team.reduce(first, Smaller{});
}

// Of e^((Q - top) / temperature).
template <typename Team>
SIMT_DEVICE double boltzmann_sum(Team team, const QRow& row, float top, float inverse_temperature) {
  double sum = 0;
  for (std::int64_t i = team.rank(); i < row.count; i += team.size()) {
    if (row.open(i)) sum += expf((row.at(i) - top) * inverse_temperature);
  }
  return team.sum(sum);
}

// Of an action's quantiles, in f64.
template <typename Team>
SIMT_DEVICE double quantile_mean(Team team, const float* q, const float* twin, std::int64_t quantiles,
                                 bool& bad) {
  const QRow row{q, twin, nullptr, quantiles};
  double sum = 0;
  for (std::int64_t k = team.rank(); k < quantiles; k += team.size()) {
    if (!row.finite(k)) bad = true;
    sum += row.at(k);
  }
  return team.sum(sum) / static_cast<double>(quantiles);
}

}  // namespace adjudge::cuda
