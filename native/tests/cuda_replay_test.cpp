// The sum tree on the device over the SIMT shim: the bits of rl::SumTree, and its draws.
#include <cmath>
#include <random>

#include "rl/replay.h"
#include "tests/cuda_launch.h"

namespace adjudge::cuda::testing {
namespace {

struct Tree {
  std::size_t leaves;
  std::vector<double> sums, minima;

  explicit Tree(std::size_t count)
      : leaves(count), sums(rl::SumTree::sums_length(count)), minima(rl::SumTree::minima_length(count)) {}
  DeviceSumTree device() { return {static_cast<std::int64_t>(leaves), sums.data(), minima.data()}; }
  rl::SumTree host() { return {leaves, sums.data(), minima.data()}; }
};

struct Change {
  std::vector<std::int32_t> indices;
  std::vector<double> weights;

  Change(std::mt19937_64& random, std::size_t leaves, std::size_t count) {
    std::uniform_real_distribution<double> draw(0, 1);
    for (std::size_t k = 0; k < count; ++k) {
      // Some indices come several times: the last of them counts.
      indices.push_back(
          static_cast<std::int32_t>(random() % 3 == 0 && k > 0 ? indices[random() % k] : random() % leaves));
      weights.push_back(random() % 5 == 0 ? 0 : std::pow(draw(random), 4));
    }
  }
};

// A tree after a few changes, on the processor and on the device.
Tree grown(std::size_t leaves, int threads, bool on_device) {
  std::mt19937_64 random(leaves);
  Tree tree(leaves);
  for (const std::size_t count : {std::size_t{1}, leaves / 9 + 1, std::size_t{40}, leaves}) {
    const Change change(random, leaves, count);
    if (!on_device) {
      tree.host().set(change.indices.data(), change.weights.data(), count);
      continue;
    }
    enqueue(threads, [&](Launch& launch) {
      return adjudge_cuda_kernels()->sum_tree_set(tree.device(), change.indices.data(), change.weights.data(),
                                                  static_cast<std::int64_t>(count), launch);
    });
  }
  return tree;
}

constexpr std::size_t sizes[] = {1, 15, 16, 17, 257, 5000};

TEST(CudaReplay, TheTreeHasTheBitsOfTheProcessors) {
  for (const std::size_t leaves : sizes) {
    SCOPED_TRACE(std::to_string(leaves) + " leaves");
    const Tree expected = grown(leaves, 0, false);
    in_every_order([&](int threads) {
      Tree tree = grown(leaves, threads, true);
      EXPECT_EQ(tree.sums, expected.sums);
      EXPECT_EQ(tree.minima, expected.minima);
      Tree rebuilt(leaves);
      std::copy_n(expected.sums.begin(), leaves, rebuilt.sums.begin());
      enqueue(threads, [&](Launch& launch) {
        return adjudge_cuda_kernels()->sum_tree_rebuild(rebuilt.device(), launch);
      });
      EXPECT_EQ(rebuilt.sums, expected.sums);
      Bits bits;
      bits.add(tree.sums);
      return bits;
    });
  }
}

TEST(CudaReplay, DrawsAreThoseOfTheProcessor) {
  for (const std::size_t leaves : sizes) {
    Tree tree = grown(leaves, 0, false);
    if (!(tree.host().total() > 0)) {
      const std::int32_t first = 0;
      const double one = 1;
      tree.host().set(&first, &one, 1);
    }
    for (const auto sampling : {rl::ReplaySampling::independent, rl::ReplaySampling::stratified}) {
      constexpr std::int64_t count = 300;
      std::vector<std::int32_t> expected(count), uniform(count);
      rl::sample_prioritized(tree.host(), sampling, 9, 1000, expected.data(), count);
      rl::sample_uniform(leaves, 9, 1000, uniform.data(), count);
      in_every_order([&](int threads) {
        std::vector<std::int32_t> found(expected.size()), found_uniform(expected.size());
        enqueue(threads, [&](Launch& launch) {
          return adjudge_cuda_kernels()->sample_prioritized(tree.device(), sampling, 9, 1000, found.data(),
                                                            count, launch);
        });
        enqueue(threads, [&](Launch& launch) {
          return adjudge_cuda_kernels()->sample_uniform(static_cast<std::int64_t>(leaves), 9, 1000,
                                                        found_uniform.data(), count, launch);
        });
        EXPECT_EQ(found, expected);
        EXPECT_EQ(found_uniform, uniform);
        Bits bits;
        bits.add(found);
        return bits;
      });
      for (const auto normalization :
           {rl::ReplayNormalization::batch, rl::ReplayNormalization::buffer, rl::ReplayNormalization::none}) {
        std::vector<double> weights(count);
        rl::importance_weights(tree.host(), leaves, 0.6, normalization, expected.data(), weights.data(),
                               count);
        in_every_order([&](int threads) {
          std::vector<double> found(expected.size());
          enqueue(threads, [&](Launch& launch) {
            return adjudge_cuda_kernels()->replay_weights(tree.device(), static_cast<std::int64_t>(leaves),
                                                          0.6, normalization, expected.data(), found.data(),
                                                          count, launch);
          });
          for (std::size_t k = 0; k < found.size(); ++k)
            EXPECT_NEAR(found[k], weights[k], 1e-12 * weights[k]);
          Bits bits;
          bits.add(found);
          return bits;
        });
      }
    }
  }
}

TEST(CudaReplay, NothingCanBeDrawnWhereAllAreZero) {
  Tree tree(100);
  std::vector<std::int32_t> found(5, 7);
  enqueue(64, [&](Launch& launch) {
    return adjudge_cuda_kernels()->sample_prioritized(tree.device(), rl::ReplaySampling::stratified, 1, 0,
                                                      found.data(), 5, launch);
  });
  EXPECT_EQ(found, std::vector<std::int32_t>(5, -1));
}

}  // namespace
}  // namespace adjudge::cuda::testing
