#include "rl/sum_tree.h"

#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <vector>

#include <gtest/gtest.h>

namespace adjudge::rl {
namespace {

struct Owned {
  std::vector<double> sums;
  std::vector<double> minima;
  SumTree tree;
  explicit Owned(std::size_t leaves)
      : sums(SumTree::sums_length(leaves)),
        minima(SumTree::minima_length(leaves)),
        tree(leaves, sums.data(), minima.data()) {}
};

// The leaf that a plain running sum finds. Weights are whole numbers here, so that sums are exact in any
// order.
std::size_t naive_find(const std::vector<double>& leaves, double mass) {
  double sum = 0;
  for (std::size_t i = 0; i < leaves.size(); ++i) {
    sum += leaves[i];
    if (mass < sum) return i;
  }
  return leaves.size();
}

TEST(SumTree, EqualsPlainSumsAtEverySize) {
  std::mt19937 random(3);
  for (const std::size_t leaves : {1, 2, 15, 16, 17, 255, 256, 257, 1000, 4097, 70000}) {
    Owned owned(leaves);
    std::vector<double> naive(leaves, 0.0);
    EXPECT_EQ(owned.tree.smallest_positive(), std::numeric_limits<double>::infinity());
    for (int round = 0; round < 30; ++round) {
      const std::size_t count = round % 5 == 4 ? leaves : 1 + random() % 5;
      std::vector<std::int32_t> indices(count);
      std::vector<double> weights(count);
      for (std::size_t k = 0; k < count; ++k) {
        indices[k] = static_cast<std::int32_t>(random() % leaves);
        weights[k] = static_cast<double>(random() % 4);
        naive[static_cast<std::size_t>(indices[k])] = weights[k];
      }
      owned.tree.set(indices.data(), weights.data(), count);
      const double total = std::accumulate(naive.begin(), naive.end(), 0.0);
      ASSERT_EQ(owned.tree.total(), total) << leaves;
      double smallest = std::numeric_limits<double>::infinity();
      for (const double leaf : naive) smallest = leaf > 0 ? std::min(smallest, leaf) : smallest;
      ASSERT_EQ(owned.tree.smallest_positive(), smallest) << leaves;
      for (int draw = 0; draw < 20 && total > 0; ++draw) {
        const double mass = std::floor(total * (random() / 4294967296.0) * 8) / 8;
        ASSERT_EQ(owned.tree.find(mass), naive_find(naive, mass)) << leaves << ' ' << mass;
      }
    }
  }
}

TEST(SumTree, IsAFunctionOfItsLeavesAlone) {
  std::mt19937 random(5);
  std::uniform_real_distribution<double> weight(0, 1);
  Owned grown(5000);
  for (int round = 0; round < 20000; ++round) {
    const auto index = static_cast<std::int32_t>(random() % 5000);
    const double value = std::pow(weight(random), 9);
    grown.tree.set(&index, &value, 1);
  }
  Owned built(5000);
  std::copy(grown.sums.begin(), grown.sums.begin() + 5000, built.sums.begin());
  built.tree.rebuild();
  EXPECT_EQ(grown.sums, built.sums);
  EXPECT_EQ(grown.tree.smallest_positive(), built.tree.smallest_positive());
}

TEST(SumTree, NeverFindsALeafOfZero) {
  Owned owned(100);
  const std::vector<std::int32_t> indices{7, 50, 90};
  const std::vector<double> weights{0.1, 1e-300, 0.2};
  owned.tree.set(indices.data(), weights.data(), 3);
  for (const double mass : {0.0, 0.05, 0.1, 0.2, owned.tree.total(), 1.0}) {
    EXPECT_GT(owned.tree.leaf(owned.tree.find(mass)), 0) << mass;
  }
}

}  // namespace
}  // namespace adjudge::rl
