#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "native/core/thread_pool.h"

namespace adjudge {
namespace {

TEST(CpuThreadPool, RunsEveryItemOnceWithAWorkerInRange) {
  const int before = threads();
  for (const int count : {1, 2, 5, 3}) {
    set_threads(count);
    EXPECT_EQ(threads(), count);
    for (const int64_t items : {0, 1, 2, 1000}) {
      std::vector<std::atomic<int>> runs(static_cast<size_t>(items));
      std::atomic<bool> in_range{true};
      parallel_for(items, [&](int64_t item, int worker) {
        ++runs[static_cast<size_t>(item)];
        if (worker < 0 || worker >= count) in_range = false;
      });
      for (const auto& run : runs) EXPECT_EQ(run, 1);
      EXPECT_TRUE(in_range);
    }
  }
  set_threads(before);
}

TEST(CpuThreadPool, ANestedRegionRunsUnderTheSameWorker) {
  const int before = threads();
  set_threads(3);
  std::atomic<int> inner{0};
  std::atomic<bool> same{true};
  parallel_for(20, [&](int64_t, int outer) {
    parallel_for(7, [&](int64_t, int worker) {
      ++inner;
      if (worker != outer) same = false;
    });
  });
  EXPECT_EQ(inner, 140);
  EXPECT_TRUE(same);
  set_threads(before);
}

TEST(CpuThreadPool, CallersOnSeveralThreadsNeverShareAWorker) {
  const int before = threads();
  set_threads(3);
  std::vector<std::atomic<int>> busy(3);
  std::atomic<bool> shared{false};
  std::atomic<int64_t> total{0};
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 4; ++caller) {
    callers.emplace_back([&] {
      for (int round = 0; round < 200; ++round) {
        parallel_for(9, [&](int64_t item, int worker) {
          if (++busy[static_cast<size_t>(worker)] != 1) shared = true;
          total += item;
          --busy[static_cast<size_t>(worker)];
        });
      }
    });
  }
  for (auto& caller : callers) caller.join();
  EXPECT_FALSE(shared);
  EXPECT_EQ(total, 4 * 200 * 36);
  set_threads(before);
}

}  // namespace
}  // namespace adjudge
