// What a kernel is written in. Under nvcc the names below are CUDA's own; elsewhere the same source is plain
// C++ and simt.cpp executes it: every thread of a block is a lane with a stack of its own, which runs until
// it meets a barrier of its warp or block. Lanes take their turns forward, in reverse or shuffled
// (set_order), and one warp may run ahead of the others up to the next block_barrier: a kernel that lacks a
// barrier gives different bits in different orders. Blocks and grids have one dimension, warps 32 lanes.
// Loops over a grid's threads have no place here: launches choose their blocks by the size of the problem, so
// that sums do not depend on the device.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <tuple>

#ifdef __CUDACC__
#include <cuda_runtime.h>
#define SIMT_KERNEL __global__ void
#define SIMT_SHARED __shared__
#define SIMT_DEVICE __device__ inline
// Before a loop: several of its loads are under way at once.
#define SIMT_UNROLL _Pragma("unroll 4")
// After SIMT_KERNEL: the kernel's block size, and how many blocks a multiprocessor is to hold at once.
#define SIMT_BOUNDS(threads, blocks) __launch_bounds__(threads, blocks)
#else
#define SIMT_KERNEL void
#define SIMT_DEVICE inline
#define SIMT_UNROLL
#define SIMT_BOUNDS(threads, blocks)
// Shared by the lanes of a block. Blocks run one after another, and find what the block before left.
#define SIMT_SHARED static thread_local
#endif

namespace adjudge::simt {

constexpr int warp_size = 32;
constexpr unsigned all_lanes = 0xffffffffu;

struct Grid {
  std::int64_t blocks = 0;
  int threads = 0;  // per block: a multiple of 32, at most 1024
  std::size_t shared_bytes = 0;
};

// What a launch may ask for. CUDA's grids have no more blocks; and a kernel has no more dynamic shared memory
// than that, unless it opts into more, up to what the device has.
constexpr std::int64_t most_blocks = 0x7fffffff;
constexpr std::size_t ordinary_shared_bytes = std::size_t{48} << 10;

// Statuses of a launch beyond its limits: cudaErrorInvalidConfiguration, cudaErrorInvalidValue.
constexpr int too_many_blocks = 9;
constexpr int too_much_shared_memory = 1;

#ifdef __CUDACC__

SIMT_DEVICE int thread() { return static_cast<int>(threadIdx.x); }
SIMT_DEVICE int threads() { return static_cast<int>(blockDim.x); }
SIMT_DEVICE std::int64_t block() { return blockIdx.x; }
SIMT_DEVICE std::int64_t blocks() { return gridDim.x; }

SIMT_DEVICE void block_barrier() { __syncthreads(); }
SIMT_DEVICE void warp_barrier(unsigned mask = all_lanes) { __syncwarp(mask); }

template <typename T>
__device__ T shuffle(T value, int source, unsigned mask = all_lanes) {
  return __shfl_sync(mask, value, source);
}
template <typename T>
__device__ T shuffle_down(T value, int distance, unsigned mask = all_lanes) {
  return __shfl_down_sync(mask, value, distance);
}
template <typename T>
__device__ T shuffle_up(T value, int distance, unsigned mask = all_lanes) {
  return __shfl_up_sync(mask, value, distance);
}
template <typename T>
__device__ T shuffle_xor(T value, int bits, unsigned mask = all_lanes) {
  return __shfl_xor_sync(mask, value, bits);
}
SIMT_DEVICE unsigned ballot(bool value, unsigned mask = all_lanes) { return __ballot_sync(mask, value); }
SIMT_DEVICE int count_bits(unsigned bits) { return __popc(bits); }
SIMT_DEVICE bool any(bool value, unsigned mask = all_lanes) { return __any_sync(mask, value) != 0; }
SIMT_DEVICE bool all(bool value, unsigned mask = all_lanes) { return __all_sync(mask, value) != 0; }

template <typename T>
__device__ T atomic_add(T* address, T value) {
  return atomicAdd(address, value);
}
SIMT_DEVICE std::uint64_t atomic_min(std::uint64_t* address, std::uint64_t value) {
  return atomicMin(reinterpret_cast<unsigned long long*>(address), static_cast<unsigned long long>(value));
}
SIMT_DEVICE std::uint64_t atomic_max(std::uint64_t* address, std::uint64_t value) {
  return atomicMax(reinterpret_cast<unsigned long long*>(address), static_cast<unsigned long long>(value));
}
SIMT_DEVICE std::int32_t atomic_max(std::int32_t* address, std::int32_t value) {
  return atomicMax(address, value);
}
SIMT_DEVICE std::uint64_t atomic_exchange_if(std::uint64_t* address, std::uint64_t expected,
                                             std::uint64_t value) {
  return atomicCAS(reinterpret_cast<unsigned long long*>(address), static_cast<unsigned long long>(expected),
                   static_cast<unsigned long long>(value));
}

template <typename T>
__device__ T* dynamic_shared() {
  extern __shared__ __align__(16) unsigned char adjudge_dynamic_shared[];
  return reinterpret_cast<T*>(adjudge_dynamic_shared);
}

template <typename... Parameters, typename... Arguments>
int launch(const char*, const Grid& grid, void* stream, void (*kernel)(Parameters...),
           Arguments... arguments) {
  if (grid.blocks == 0) return 0;
  if (grid.blocks > most_blocks) return too_many_blocks;
  if (grid.shared_bytes > ordinary_shared_bytes) {
    const cudaError_t status = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                                    static_cast<int>(grid.shared_bytes));
    if (status != cudaSuccess) {
      cudaGetLastError();
      return static_cast<int>(status);
    }
  }
  kernel<<<static_cast<unsigned>(grid.blocks), grid.threads, grid.shared_bytes,
           static_cast<cudaStream_t>(stream)>>>(static_cast<Parameters>(arguments)...);
  return static_cast<int>(cudaGetLastError());
}

#else

enum class Order { forward, reversed, shuffled };

// Of the launches of this host thread.
void set_order(Order order);
// Why the last launch of this host thread failed; empty if it did not.
const char* last_error();
constexpr int kernel_faulty = -4;
// Of a block with opt-in: an A100's, the least of the devices that the library is compiled for.
constexpr std::size_t most_shared_bytes = std::size_t{163} << 10;

namespace host {

struct Position {
  int thread = 0;
  int threads = 0;
  std::int64_t block = 0;
  std::int64_t blocks = 0;
};

enum class Meeting { barrier, shuffle, shuffle_down, shuffle_up, shuffle_xor, ballot };

const Position& position();
void wait_for_block();
// Waits for the lanes of the mask; the value of the lane that the meeting's rule names, or all lanes' bits.
std::uint64_t meet(Meeting meeting, unsigned mask, std::uint64_t value, int parameter);
void* dynamic_shared();
int run(const char* name, const Grid& grid, void (*lane)(const void*), const void* context);

template <typename T>
T exchange(Meeting meeting, unsigned mask, T value, int parameter) {
  static_assert(sizeof(T) <= sizeof(std::uint64_t));
  std::uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof(T));
  bits = meet(meeting, mask, bits, parameter);
  std::memcpy(&value, &bits, sizeof(T));
  return value;
}

}  // namespace host

inline int thread() { return host::position().thread; }
inline int threads() { return host::position().threads; }
inline std::int64_t block() { return host::position().block; }
inline std::int64_t blocks() { return host::position().blocks; }

inline void block_barrier() { host::wait_for_block(); }
inline void warp_barrier(unsigned mask = all_lanes) { host::meet(host::Meeting::barrier, mask, 0, 0); }

template <typename T>
T shuffle(T value, int source, unsigned mask = all_lanes) {
  return host::exchange(host::Meeting::shuffle, mask, value, source);
}
template <typename T>
T shuffle_down(T value, int distance, unsigned mask = all_lanes) {
  return host::exchange(host::Meeting::shuffle_down, mask, value, distance);
}
template <typename T>
T shuffle_up(T value, int distance, unsigned mask = all_lanes) {
  return host::exchange(host::Meeting::shuffle_up, mask, value, distance);
}
template <typename T>
T shuffle_xor(T value, int bits, unsigned mask = all_lanes) {
  return host::exchange(host::Meeting::shuffle_xor, mask, value, bits);
}
inline unsigned ballot(bool value, unsigned mask = all_lanes) {
  return static_cast<unsigned>(host::meet(host::Meeting::ballot, mask, value ? 1 : 0, 0));
}
inline int count_bits(unsigned bits) { return __builtin_popcount(bits); }
inline bool any(bool value, unsigned mask = all_lanes) { return ballot(value, mask) != 0; }
inline bool all(bool value, unsigned mask = all_lanes) { return ballot(value, mask) == mask; }

// Lanes take turns, so that plain reads and writes are atomic.
template <typename T>
T atomic_add(T* address, T value) {
  const T old = *address;
  *address = old + value;
  return old;
}
template <typename T>
T atomic_min(T* address, T value) {
  const T old = *address;
  if (value < old) *address = value;
  return old;
}
template <typename T>
T atomic_max(T* address, T value) {
  const T old = *address;
  if (value > old) *address = value;
  return old;
}
template <typename T>
T atomic_exchange_if(T* address, T expected, T value) {
  const T old = *address;
  if (old == expected) *address = value;
  return old;
}

template <typename T>
T* dynamic_shared() {
  return static_cast<T*>(host::dynamic_shared());
}

template <typename... Parameters, typename... Arguments>
int launch(const char* name, const Grid& grid, void*, void (*kernel)(Parameters...), Arguments... arguments) {
  const std::tuple<Parameters...> values(static_cast<Parameters>(arguments)...);
  const auto call = [&] { std::apply(kernel, values); };
  return host::run(
      name, grid, [](const void* context) { (*static_cast<const decltype(call)*>(context))(); }, &call);
}

#endif

SIMT_DEVICE int lane() { return thread() % warp_size; }
SIMT_DEVICE int warp() { return thread() / warp_size; }
SIMT_DEVICE int warps() { return threads() / warp_size; }

// Four floats that are read and written at once; the address is a multiple of 16.
struct alignas(16) Float4 {
  float at[4];
};

}  // namespace adjudge::simt
