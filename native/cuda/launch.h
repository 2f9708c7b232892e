// How a function of the table enqueues its kernels: workspace from the caller, the block size he may choose,
// and the first error.
#pragma once

#include <algorithm>

#include "cuda/kernels.h"
#include "cuda/simt.h"

#define ADJUDGE_NAMED(kernel) #kernel, kernel

namespace adjudge::cuda {

constexpr std::int64_t blocks_of(std::int64_t items, std::int64_t per_block) {
  return (items + per_block - 1) / per_block;
}

class Enqueue {
 public:
  Enqueue(Launch& launch, int threads)
      : launch_(launch), threads_(launch.threads ? launch.threads : threads) {
    if (threads_ < simt::warp_size || threads_ > 1024 || threads_ % simt::warp_size != 0)
      status_ = launch_invalid;
  }

  // Device memory for the launches to come; null while measuring.
  template <typename T>
  T* take(std::int64_t count) {
    const std::size_t start = used_;
    used_ += (static_cast<std::size_t>(count) * sizeof(T) + 255) / 256 * 256;
    if (launch_.measure || used_ > launch_.workspace_bytes) return nullptr;
    return reinterpret_cast<T*>(static_cast<char*>(launch_.workspace) + start);
  }

  // After the last take: true where nothing is to be enqueued.
  bool stops() {
    if (launch_.measure) {
      launch_.workspace_bytes = used_;
      return true;
    }
    if (status_ == enqueued && used_ > launch_.workspace_bytes) status_ = workspace_too_small;
    return status_ != enqueued;
  }

  template <typename... Parameters, typename... Arguments>
  void operator()(const char* name, void (*kernel)(Parameters...), std::int64_t blocks,
                  Arguments... arguments) {
    with(name, kernel, {blocks, threads_, 0}, arguments...);
  }

  template <typename... Parameters, typename... Arguments>
  void with(const char* name, void (*kernel)(Parameters...), const simt::Grid& grid, Arguments... arguments) {
    if (status_ == enqueued) status_ = simt::launch(name, grid, launch_.stream, kernel, arguments...);
  }

  int threads() const { return threads_; }
  int status() const { return status_; }

 private:
  Launch& launch_;
  int threads_;
  std::size_t used_ = 0;
  int status_ = enqueued;
};

}  // namespace adjudge::cuda
