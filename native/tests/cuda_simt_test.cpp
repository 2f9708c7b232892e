#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "cuda/launch.h"
#include "cuda/reduce.cuh"
#include "cuda/scan.cuh"
#include "cuda/simt.h"

namespace adjudge::cuda {
namespace {

using simt::Order;

template <bool WithBarrier>
void reverse_block(const int* from, int* to) {
  SIMT_SHARED int held[1024];
  const int n = simt::threads();
  held[simt::thread()] = from[simt::block() * n + simt::thread()];
  if (WithBarrier) simt::block_barrier();
  to[simt::block() * n + simt::thread()] = held[n - 1 - simt::thread()];
  simt::block_barrier();
}

template <typename Kernel>
std::vector<int> reversed_blocks(Order order, Kernel kernel) {
  std::vector<int> from(3 * 64), to(from.size(), -1);
  for (std::size_t i = 0; i < from.size(); ++i) from[i] = static_cast<int>(i);
  simt::set_order(order);
  EXPECT_EQ(simt::launch("reverse_block", {3, 64}, nullptr, kernel, from.data(), to.data()), 0);
  simt::set_order(Order::forward);
  return to;
}

TEST(CudaSimt, OrderOfLanesDoesNotShowWithABarrierAndShowsWithoutOne) {
  const std::vector<int> expected = reversed_blocks(Order::forward, reverse_block<true>);
  EXPECT_EQ(expected[0], 63);
  EXPECT_EQ(expected[191], 128);
  EXPECT_EQ(reversed_blocks(Order::reversed, reverse_block<true>), expected);
  EXPECT_EQ(reversed_blocks(Order::shuffled, reverse_block<true>), expected);
  const std::vector<int> wrong = reversed_blocks(Order::forward, reverse_block<false>);
  EXPECT_NE(wrong, reversed_blocks(Order::reversed, reverse_block<false>));
  EXPECT_NE(wrong, reversed_blocks(Order::shuffled, reverse_block<false>));
}

// Warps run ahead of each other: a second barrier that is missing shows too.
template <bool WithBarrier>
void sums_of_warps(double* sums) {
  SIMT_SHARED double partial[32];
  for (int turn = 0; turn < 3; ++turn) {
    const double sum = warp_sum(static_cast<double>(simt::thread() + turn * 1000));
    if (simt::lane() == 0) partial[simt::warp()] = sum;
    simt::block_barrier();
    double whole = 0;
    for (int i = 0; i < simt::warps(); ++i) whole += partial[i];
    if (simt::thread() == simt::threads() - 1) sums[turn] = whole;
    if (WithBarrier) simt::block_barrier();
  }
}

TEST(CudaSimt, AWarpThatRunsAheadOverwritesWhatOthersStillRead) {
  const auto sums = [](Order order, auto kernel) {
    std::vector<double> result(3, -1.0);
    simt::set_order(order);
    EXPECT_EQ(simt::launch("sums_of_warps", {1, 128}, nullptr, kernel, result.data()), 0);
    simt::set_order(Order::forward);
    return result;
  };
  const std::vector<double> expected{127 * 64, 127 * 64 + 128000, 127 * 64 + 256000};
  for (const Order order : {Order::forward, Order::reversed, Order::shuffled}) {
    EXPECT_EQ(sums(order, sums_of_warps<true>), expected);
  }
  EXPECT_NE(sums(Order::forward, sums_of_warps<false>), sums(Order::reversed, sums_of_warps<false>));
}

void exchange_in_warp(int* out) {
  const int lane = simt::lane();
  int* mine = out + simt::thread() * 8;
  mine[0] = simt::shuffle_down(lane, 3);
  mine[1] = simt::shuffle_up(lane, 5);
  mine[2] = simt::shuffle_xor(lane, 9);
  mine[3] = simt::shuffle(lane, 7);
  mine[4] = static_cast<int>(simt::ballot(lane % 3 == 0));
  mine[5] =
      simt::any(lane == 31) + 2 * simt::all(lane < 32) + 4 * simt::any(lane > 31) + 8 * simt::all(lane > 0);
  // The lower half meets alone.
  mine[6] = -1;
  if (lane < 16) mine[6] = simt::shuffle_xor(lane * 10, 1, 0xffffu);
  mine[7] = static_cast<int>(simt::shuffle(static_cast<double>(lane) + 0.5, 31 - lane) * 2);
}

TEST(CudaSimt, ExchangesAreCudas) {
  for (const Order order : {Order::forward, Order::reversed, Order::shuffled}) {
    simt::set_order(order);
    std::vector<int> out(64 * 8);
    ASSERT_EQ(simt::launch("exchange_in_warp", {1, 64}, nullptr, exchange_in_warp, out.data()), 0);
    simt::set_order(Order::forward);
    for (int thread = 0; thread < 64; ++thread) {
      const int lane = thread % 32;
      const int* mine = out.data() + thread * 8;
      EXPECT_EQ(mine[0], lane + 3 < 32 ? lane + 3 : lane);
      EXPECT_EQ(mine[1], lane >= 5 ? lane - 5 : lane);
      EXPECT_EQ(mine[2], lane ^ 9);
      EXPECT_EQ(mine[3], 7);
      EXPECT_EQ(static_cast<unsigned>(mine[4]), 0x49249249u);
      EXPECT_EQ(mine[5], 3);
      EXPECT_EQ(mine[6], lane < 16 ? (lane ^ 1) * 10 : -1);
      EXPECT_EQ(mine[7], 2 * (31 - lane) + 1);
    }
  }
}

void diverge(int* out) {
  if (simt::lane() != 5) out[simt::thread()] = simt::shuffle_down(simt::lane(), 1);
}

void wait_apart(int* out) {
  if (simt::lane() < 16) simt::block_barrier();
  out[simt::thread()] = simt::shuffle(simt::lane(), 0);
}

TEST(CudaSimt, LanesThatDoNotMeetAreAnErrorThatNamesTheKernel) {
  std::vector<int> out(64);
  EXPECT_EQ(simt::launch("diverge", {1, 64}, nullptr, diverge, out.data()), simt::kernel_faulty);
  EXPECT_NE(
      std::string(simt::last_error()).find("kernel diverge, block 0: lane 0 of warp 0 waits for lane 5"),
      std::string::npos)
      << simt::last_error();
  EXPECT_EQ(simt::launch("wait_apart", {1, 32}, nullptr, wait_apart, out.data()), simt::kernel_faulty);
  EXPECT_EQ(simt::launch("diverge", {1, 48}, nullptr, diverge, out.data()), simt::kernel_faulty);
  // The next launch is not touched by it.
  std::vector<int> next(64 * 8);
  EXPECT_EQ(simt::launch("exchange_in_warp", {1, 64}, nullptr, exchange_in_warp, next.data()), 0);
  EXPECT_STREQ(simt::last_error(), "");
}

void count_and_keep_largest(std::int32_t* counter, std::uint64_t* extremes, double* sum,
                            const float* unwritten) {
  simt::atomic_add(counter, std::int32_t{1});
  simt::atomic_add(sum, 0.5);
  simt::atomic_min(extremes, static_cast<std::uint64_t>(100 + simt::block() * 10 + simt::thread()));
  simt::atomic_max(extremes + 1, static_cast<std::uint64_t>(simt::block() * 10 + simt::thread()));
  simt::atomic_exchange_if(extremes + 2, std::uint64_t{0}, std::uint64_t{7});
  auto* scratch = simt::dynamic_shared<float>();
  if (simt::block() == 0 && simt::thread() == 0 && !std::isnan(scratch[3])) *counter = -1;
  simt::block_barrier();
  scratch[simt::thread()] = unwritten ? 1 : 0;
}

TEST(CudaSimt, AtomicsAndDynamicSharedMemory) {
  std::int32_t counter = 0;
  std::vector<std::uint64_t> extremes{1u << 30, 0, 0};
  double sum = 0;
  ASSERT_EQ(simt::launch("count", {4, 32, 32 * sizeof(float)}, nullptr, count_and_keep_largest, &counter,
                         extremes.data(), &sum, nullptr),
            0);
  EXPECT_EQ(counter, 128);
  EXPECT_EQ(sum, 64);
  EXPECT_EQ(extremes, (std::vector<std::uint64_t>{100, 61, 7}));
}

void keep_block(std::int64_t* last) { *last = simt::block(); }

TEST(CudaSimt, MoreBlocksThanAGridHasAreRefusedAndNotCutTo32Bits) {
  std::int64_t last = -1;
  const std::int64_t many = (std::int64_t{1} << 32) + 1;
  EXPECT_EQ(simt::launch("keep_block", {many, 32}, nullptr, keep_block, &last), simt::too_many_blocks);
  EXPECT_EQ(last, -1);
  EXPECT_NE(std::string(simt::last_error()).find("4294967297 blocks"), std::string::npos)
      << simt::last_error();
  EXPECT_EQ(simt::launch("keep_block", {3, 32}, nullptr, keep_block, &last), 0);
  EXPECT_EQ(last, 2);
}

void fill_shared(std::int64_t count, double* sum) {
  auto* numbers = simt::dynamic_shared<double>();
  for (std::int64_t i = simt::thread(); i < count; i += simt::threads()) numbers[i] = 1;
  simt::block_barrier();
  if (simt::thread() != 0) return;
  *sum = 0;
  for (std::int64_t i = 0; i < count; ++i) *sum += numbers[i];
}

TEST(CudaSimt, SharedMemoryReachesTheDevicesLimitAndNoFurther) {
  double sum = -1;
  const std::size_t most = simt::most_shared_bytes;
  const auto count = static_cast<std::int64_t>(most / sizeof(double));
  ASSERT_GT(most, simt::ordinary_shared_bytes);
  EXPECT_EQ(simt::launch("fill_shared", {1, 64, most}, nullptr, fill_shared, count, &sum), 0);
  EXPECT_EQ(sum, static_cast<double>(count));
  EXPECT_EQ(simt::launch("fill_shared", {1, 64, most + 8}, nullptr, fill_shared, count, &sum),
            simt::too_much_shared_memory);
}

void sum_and_scan(const float* sums, const float* decays, double* total, float* entering) {
  const double sum = block_sum(static_cast<double>(sums[simt::thread()]));
  const float largest = block_reduce(sums[simt::thread()], Larger{});
  double carry = 0.25;
  entering[simt::thread()] =
      static_cast<float>(scan_from_right({sums[simt::thread()], decays[simt::thread()]}, carry));
  if (simt::thread() == 0) {
    total[0] = sum;
    total[1] = largest;
    total[2] = carry;
  }
}

TEST(CudaSimt, SumsAndRecurrencesOfABlock) {
  for (const int threads : {32, 96, 1024}) {
    const auto n = static_cast<std::size_t>(threads);
    std::vector<float> sums(n), decays(n), entering(n), expected(n);
    for (std::size_t i = 0; i < n; ++i) {
      sums[i] = static_cast<float>(std::sin(static_cast<double>(i)));
      decays[i] = i % 3 == 0 ? 1.0f : 0.5f;
    }
    double sum = 0, carry = 0.25;
    float largest = -1;
    for (std::size_t i = n; i-- > 0;) {
      expected[i] = static_cast<float>(carry);
      carry = sums[i] + decays[i] * carry;
      sum += sums[i];
      largest = std::max(largest, sums[i]);
    }
    std::vector<double> total(3);
    ASSERT_EQ(simt::launch("sum_and_scan", {1, threads}, nullptr, sum_and_scan, sums.data(), decays.data(),
                           total.data(), entering.data()),
              0);
    EXPECT_NEAR(total[0], sum, 1e-12);
    EXPECT_EQ(total[1], largest);
    EXPECT_NEAR(total[2], carry, 1e-6);
    for (std::size_t i = 0; i < n; ++i) EXPECT_NEAR(entering[i], expected[i], 1e-6);
  }
}

}  // namespace
}  // namespace adjudge::cuda
