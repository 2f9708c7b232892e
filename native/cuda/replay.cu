// Replay on a sum tree in device memory. A draw is a thread: it reads 128 bytes a level on its way down, six
// levels for 10^7 leaves. Setting priorities: four passes over the batch for the leaves, one for each level
// above. A node is the sum of its children in their order, so the tree has the bits of rl::SumTree.
#include "rules/replay.h"

#include <cmath>

#include "cuda/launch.h"
#include "cuda/reduce.cuh"
#include "cuda/table.h"
#include "rules/sum_tree.h"

namespace adjudge::cuda {
namespace {

using namespace rl;

constexpr auto fan_out = static_cast<std::int64_t>(SumTreeLevels::fan_out);

SIMT_DEVICE std::int64_t place() { return simt::block() * simt::threads() + simt::thread(); }

// Of the batch's equal indices the last counts. While they are sorted out, a touched leaf holds one more than
// the highest place in the batch that names it: first 0, then the highest.
SIMT_KERNEL tree_touch_kernel(DeviceSumTree tree, const std::int32_t* indices, std::int64_t count) {
  if (place() < count) tree.sums[indices[place()]] = 0;
}

SIMT_KERNEL tree_claim_kernel(DeviceSumTree tree, const std::int32_t* indices, std::int64_t count) {
  if (place() >= count) return;
  simt::atomic_max(reinterpret_cast<std::uint64_t*>(tree.sums) + indices[place()],
                   static_cast<std::uint64_t>(place() + 1));
}

SIMT_KERNEL tree_winner_kernel(DeviceSumTree tree, const std::int32_t* indices, std::int64_t count,
                               std::uint8_t* winners) {
  if (place() >= count) return;
  const std::uint64_t holder = reinterpret_cast<const std::uint64_t*>(tree.sums)[indices[place()]];
  winners[place()] = holder == static_cast<std::uint64_t>(place() + 1);
}

SIMT_KERNEL tree_write_kernel(DeviceSumTree tree, const std::int32_t* indices, const double* weights,
                              std::int64_t count, const std::uint8_t* winners) {
  if (place() < count && winners[place()]) tree.sums[indices[place()]] = weights[place()];
}

SIMT_DEVICE void update_parent(const DeviceSumTree& tree, const SumTreeLevels& levels, std::size_t level,
                               std::size_t parent) {
  const std::size_t above = levels.starts[level + 1] + parent;
  const std::size_t block = levels.starts[level] + parent * SumTreeLevels::fan_out;
  const double* const children = tree.sums + block;
  tree.sums[above] = sum_tree_sum(children, SumTreeLevels::fan_out);
  tree.minima[above - levels.lengths[0]] =
      sum_tree_smallest(children, level == 0 ? children : tree.minima + block - levels.lengths[0],
                        SumTreeLevels::fan_out, INFINITY);
}

// The parents on `level` + 1 of what lies above the batch's leaves. Threads that share one write the same
// bits.
SIMT_KERNEL tree_ancestors_kernel(DeviceSumTree tree, SumTreeLevels levels, std::size_t level,
                                  const std::int32_t* indices, std::int64_t count) {
  if (place() >= count) return;
  auto node = static_cast<std::size_t>(indices[place()]);
  for (std::size_t above = 0; above <= level; ++above) node /= SumTreeLevels::fan_out;
  update_parent(tree, levels, level, node);
}

SIMT_KERNEL tree_level_kernel(DeviceSumTree tree, SumTreeLevels levels, std::size_t level) {
  const auto parent = static_cast<std::size_t>(place());
  if (parent < levels.lengths[level] / SumTreeLevels::fan_out) update_parent(tree, levels, level, parent);
}

void rebuild(Enqueue& enqueue, const DeviceSumTree& tree, const SumTreeLevels& levels) {
  for (std::size_t level = 0; level + 1 < levels.count; ++level) {
    const auto parents = static_cast<std::int64_t>(levels.lengths[level]) / fan_out;
    enqueue(ADJUDGE_NAMED(tree_level_kernel), blocks_of(parents, enqueue.threads()), tree, levels, level);
  }
}

SIMT_DEVICE double total_of(const DeviceSumTree& tree, const SumTreeLevels& levels) {
  return sum_tree_sum(tree.sums + levels.starts[levels.count - 1], levels.lengths[levels.count - 1]);
}

SIMT_KERNEL prioritized_kernel(DeviceSumTree tree, SumTreeLevels levels, ReplaySampling sampling,
                               std::uint64_t seed, std::uint64_t first_draw, std::int32_t* indices,
                               std::int64_t count) {
  const std::int64_t k = place();
  if (k >= count) return;
  const double total = total_of(tree, levels);
  if (!(total > 0) || !(total < INFINITY)) {
    indices[k] = -1;
    return;
  }
  double mass = total * replay_place(sampling, seed, first_draw, static_cast<std::size_t>(k),
                                     static_cast<std::size_t>(count));
  std::size_t node = 0;  // first child of the block under search
  for (std::size_t level = levels.count; level-- > 0;) {
    const std::size_t width = level + 1 == levels.count ? levels.lengths[level] : SumTreeLevels::fan_out;
    node += sum_tree_child(tree.sums + levels.starts[level] + node, width, mass);
    if (level > 0) node *= SumTreeLevels::fan_out;
  }
  indices[k] = static_cast<std::int32_t>(node);
}

SIMT_KERNEL uniform_kernel(std::int64_t size, std::uint64_t seed, std::uint64_t first_draw,
                           std::int32_t* indices, std::int64_t count) {
  const std::int64_t k = place();
  if (k < count)
    indices[k] = replay_uniform_index(static_cast<std::size_t>(size), seed,
                                      first_draw + static_cast<std::uint64_t>(k));
}

// The least leaf of each block's share of the batch.
SIMT_KERNEL least_leaf_kernel(DeviceSumTree tree, const std::int32_t* indices, std::int64_t count,
                              double* parts) {
  const double leaf = place() < count ? tree.sums[indices[place()]] : INFINITY;
  const double least = block_reduce(leaf, Smaller{});
  if (simt::thread() == 0) parts[simt::block()] = least;
}

// What a weight of 1 has as its leaf.
SIMT_KERNEL unit_kernel(DeviceSumTree tree, SumTreeLevels levels, std::int64_t size,
                        ReplayNormalization normalization, const double* parts, std::int64_t blocks,
                        double* unit) {
  double least = INFINITY;
  for (std::int64_t i = simt::thread(); i < blocks; i += simt::threads())
    least = parts[i] < least ? parts[i] : least;
  least = block_reduce(least, Smaller{});
  if (simt::thread() != 0) return;
  const std::size_t top = levels.count - 1;
  const double* const sums = tree.sums + levels.starts[top];
  if (normalization == ReplayNormalization::none) least = total_of(tree, levels) / static_cast<double>(size);
  if (normalization == ReplayNormalization::buffer)
    least = sum_tree_smallest(sums, top > 0 ? tree.minima + levels.starts[top] - levels.lengths[0] : sums,
                              levels.lengths[top], INFINITY);
  *unit = least;
}

SIMT_KERNEL weights_kernel(DeviceSumTree tree, double beta, const double* unit, const std::int32_t* indices,
                           double* weights, std::int64_t count) {
  if (place() < count) weights[place()] = pow(*unit / tree.sums[indices[place()]], beta);
}

int sum_tree_set(const DeviceSumTree& tree, const std::int32_t* indices, const double* weights,
                 std::int64_t count, Launch& launch) {
  const SumTreeLevels levels(static_cast<std::size_t>(tree.leaves));
  Enqueue enqueue(launch, 256);
  auto* const winners = enqueue.take<std::uint8_t>(count);
  if (enqueue.stops()) return enqueue.status();
  const std::int64_t blocks = blocks_of(count, enqueue.threads());
  enqueue(ADJUDGE_NAMED(tree_touch_kernel), blocks, tree, indices, count);
  enqueue(ADJUDGE_NAMED(tree_claim_kernel), blocks, tree, indices, count);
  enqueue(ADJUDGE_NAMED(tree_winner_kernel), blocks, tree, indices, count, winners);
  enqueue(ADJUDGE_NAMED(tree_write_kernel), blocks, tree, indices, weights, count, winners);
  if (count * 8 >= tree.leaves) {
    rebuild(enqueue, tree, levels);
    return enqueue.status();
  }
  for (std::size_t level = 0; level + 1 < levels.count; ++level)
    enqueue(ADJUDGE_NAMED(tree_ancestors_kernel), blocks, tree, levels, level, indices, count);
  return enqueue.status();
}

int sum_tree_rebuild(const DeviceSumTree& tree, Launch& launch) {
  Enqueue enqueue(launch, 256);
  if (enqueue.stops()) return enqueue.status();
  rebuild(enqueue, tree, SumTreeLevels(static_cast<std::size_t>(tree.leaves)));
  return enqueue.status();
}

int sample_prioritized(const DeviceSumTree& tree, ReplaySampling sampling, std::uint64_t seed,
                       std::uint64_t first_draw, std::int32_t* indices, std::int64_t count, Launch& launch) {
  Enqueue enqueue(launch, 128);
  if (enqueue.stops()) return enqueue.status();
  enqueue(ADJUDGE_NAMED(prioritized_kernel), blocks_of(count, enqueue.threads()), tree,
          SumTreeLevels(static_cast<std::size_t>(tree.leaves)), sampling, seed, first_draw, indices, count);
  return enqueue.status();
}

int sample_uniform(std::int64_t size, std::uint64_t seed, std::uint64_t first_draw, std::int32_t* indices,
                   std::int64_t count, Launch& launch) {
  Enqueue enqueue(launch, 256);
  if (enqueue.stops()) return enqueue.status();
  enqueue(ADJUDGE_NAMED(uniform_kernel), blocks_of(count, enqueue.threads()), size, seed, first_draw, indices,
          count);
  return enqueue.status();
}

int replay_weights(const DeviceSumTree& tree, std::int64_t size, double beta,
                   ReplayNormalization normalization, const std::int32_t* indices, double* weights,
                   std::int64_t count, Launch& launch) {
  Enqueue enqueue(launch, 256);
  const std::int64_t blocks = blocks_of(count, enqueue.threads() > 0 ? enqueue.threads() : 1);
  auto* const parts = enqueue.take<double>(blocks);
  auto* const unit = enqueue.take<double>(1);
  if (enqueue.stops()) return enqueue.status();
  enqueue(ADJUDGE_NAMED(least_leaf_kernel), blocks, tree, indices, count, parts);
  enqueue(ADJUDGE_NAMED(unit_kernel), 1, tree, SumTreeLevels(static_cast<std::size_t>(tree.leaves)), size,
          normalization, parts, blocks, unit);
  enqueue(ADJUDGE_NAMED(weights_kernel), blocks, tree, beta, unit, indices, weights, count);
  return enqueue.status();
}

}  // namespace

void add_replay(Kernels& table) {
  table.sum_tree_set = sum_tree_set;
  table.sum_tree_rebuild = sum_tree_rebuild;
  table.sample_prioritized = sample_prioritized;
  table.sample_uniform = sample_uniform;
  table.replay_weights = replay_weights;
}

}  // namespace adjudge::cuda
