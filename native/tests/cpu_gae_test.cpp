// The f32 kernel of the selected instruction set against the f64 reference on the same numbers.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "native/core/thread_pool.h"
#include "native/reference/gae.h"
#include "native/rl/gae.h"

namespace adjudge::rl {
namespace {

struct Ragged {
  std::vector<std::int32_t> cu_seqlens{0};
  std::vector<float> rewards, values, bootstrap;
  std::vector<std::uint8_t> mask;

  // share: of tokens that count; the others hold NaN.
  Ragged(const std::vector<int>& lengths, double share, unsigned seed) {
    std::mt19937 engine(seed);
    std::normal_distribution<float> draw;
    std::bernoulli_distribution counts(share);
    for (const int length : lengths) {
      cu_seqlens.push_back(cu_seqlens.back() + length);
      bootstrap.push_back(draw(engine));
      for (int i = 0; i < length; ++i) {
        mask.push_back(counts(engine) ? 3 : 0);
        rewards.push_back(mask.back() ? draw(engine) : NAN);
        values.push_back(mask.back() ? draw(engine) : NAN);
      }
    }
  }

  GaeBatch<float> batch(bool masked, bool bootstrapped) const {
    return {rewards.data(),
            values.data(),
            cu_seqlens.data(),
            cu_seqlens.size() - 1,
            masked ? mask.data() : nullptr,
            bootstrapped ? bootstrap.data() : nullptr};
  }
};

void expect_reference(const GaeRule& rule, const Ragged& data, bool masked, bool bootstrapped) {
  const std::size_t tokens = data.rewards.size();
  const std::vector<double> rewards(data.rewards.begin(), data.rewards.end());
  const std::vector<double> values(data.values.begin(), data.values.end());
  const std::vector<double> bootstrap(data.bootstrap.begin(), data.bootstrap.end());
  const GaeBatch<float> batch = data.batch(masked, bootstrapped);
  const GaeBatch<double> wide{rewards.data(), values.data(), batch.cu_seqlens,
                              batch.rows,     batch.mask,    bootstrapped ? bootstrap.data() : nullptr};
  std::vector<double> advantages(tokens), returns(tokens);
  reference::gae(rule, wide, advantages.data(), returns.data());
  std::vector<float> found(tokens, 7), targets(tokens, 7);
  gae(rule, batch, found.data(), targets.data());
  std::size_t wrong = 0;
  for (std::size_t t = 0; t < tokens; ++t) {
    const bool near = std::fabs(found[t] - advantages[t]) <= 1e-5 * (1 + std::fabs(advantages[t])) &&
                      std::fabs(targets[t] - returns[t]) <= 1e-5 * (1 + std::fabs(returns[t]));
    if (!near && ++wrong < 5) {
      ADD_FAILURE() << "token " << t << ": " << found[t] << " and not " << advantages[t];
    }
  }
  EXPECT_EQ(wrong, 0U);
}

const std::vector<int> lengths{0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 0, 31, 64, 100, 8192, 5, 0};

TEST(CpuGae, EqualsTheReference) {
  for (const double gamma : {1.0, 0.9999, 0.999, 0.95, 0.0}) {
    for (const double lambda : {1.0, 0.95, 0.0}) {
      for (const bool skip : {true, false}) {
        for (const double share : {1.0, 0.97, 0.4}) {
          const Ragged data(lengths, share, 3);
          for (const bool bootstrapped : {true, false}) {
            expect_reference({gamma, lambda, skip}, data, share < 1, bootstrapped);
          }
        }
      }
    }
  }
}

// Enough tokens to be written past the caches, by several threads; rows end at every alignment.
TEST(CpuGae, LargeBatchesHaveTheSameBitsWhateverTheThreads) {
  std::vector<int> many;
  for (int i = 0; many.size() < 1100; ++i) many.push_back(i % 3 == 0 ? 4096 : 3900 + i % 17);
  const Ragged data(many, 1, 5);
  ASSERT_GT(data.rewards.size(), std::size_t{4} << 20);
  const GaeRule rule{0.99, 0.95, true};
  expect_reference(rule, data, false, true);
  const int before = threads();
  std::vector<std::vector<float>> results;
  for (const int count : {1, 2, 4}) {
    set_threads(count);
    std::vector<float> advantages(data.rewards.size()), returns(data.rewards.size());
    gae(rule, data.batch(false, true), advantages.data(), returns.data());
    results.push_back(std::move(advantages));
    results.push_back(std::move(returns));
  }
  set_threads(before);
  for (std::size_t i = 2; i < results.size(); ++i) EXPECT_EQ(results[i], results[i % 2]);
}

// What goes past the caches is put together in lines across rows of any length: the same bits as each row by
// itself, and nothing before or after.
TEST(CpuGae, LinesAcrossRowsHoldTheBitsOfEachRow) {
  std::vector<int> many;
  std::mt19937 engine(9);
  for (std::size_t total = 0; total <= std::size_t{4} << 20; total += static_cast<std::size_t>(many.back())) {
    many.push_back(many.size() % 50 == 7 ? 5000 : static_cast<int>(engine() % 700));
  }
  for (const bool skip : {true, false}) {
    const Ragged data(many, skip ? 0.97 : 1, 8);
    const GaeRule rule{1, skip ? 0.95 : 1, skip};
    const std::size_t tokens = data.rewards.size();
    std::vector<float> advantages(tokens + 40, 7), returns(tokens + 40, 7);
    gae(rule, data.batch(skip, true), advantages.data() + 17, returns.data() + 3);
    std::vector<float> one(5000), target(5000);
    std::size_t wrong = 0;
    for (std::size_t row = 0; row < many.size(); ++row) {
      const std::int32_t begin = data.cu_seqlens[row], offsets[] = {0, many[row]};
      const GaeBatch<float> alone{data.rewards.data() + begin,
                                  data.values.data() + begin,
                                  offsets,
                                  1,
                                  skip ? data.mask.data() + begin : nullptr,
                                  data.bootstrap.data() + row};
      gae(rule, alone, one.data(), target.data());
      const bool same = std::equal(one.begin(), one.begin() + many[row], advantages.begin() + 17 + begin) &&
                        std::equal(target.begin(), target.begin() + many[row], returns.begin() + 3 + begin);
      wrong += same ? 0 : 1;
    }
    EXPECT_EQ(wrong, 0U);
    EXPECT_EQ(std::count(advantages.begin(), advantages.begin() + 17, 7.0F), 17);
    EXPECT_EQ(std::count(advantages.end() - 23, advantages.end(), 7.0F), 23);
    EXPECT_EQ(std::count(returns.end() - 37, returns.end(), 7.0F), 37);
  }
}

}  // namespace
}  // namespace adjudge::rl
