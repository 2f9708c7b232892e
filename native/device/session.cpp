#include "device/session.h"

#include "core/error.h"
#include "device/arena.h"

namespace adjudge::device {
namespace {

constexpr int out_of_memory = 2;  // cudaErrorMemoryAllocation

// Of the process, and kept until it ends: CUDA's own exit handlers run before ours could.
struct Shared {
  std::mutex turn;
  Arena arena;
  void* stream = nullptr;
  const cuda::Runtime* runtime = nullptr;
};

Shared& shared() {
  static auto* const state = new Shared;
  return *state;
}

}  // namespace

Session::Session(const Cuda& cuda) : cuda_(cuda) {
  if (!cuda.usable) throw Error("DEVICE_UNAVAILABLE", "CUDA cannot be used: " + cuda.reason);
  Shared& state = shared();
  turn_ = std::unique_lock(state.turn);
  // CUDA's current device is one of the thread.
  thread_local const cuda::Runtime* selected = nullptr;
  if (selected != cuda.runtime) {
    check(cuda.runtime->select(0), "choosing the device");
    selected = cuda.runtime;
  }
  if (state.runtime != cuda.runtime) {
    // Another library than the last one (tests only): what the last one gave stays with it.
    state.arena = Arena();
    check(cuda.runtime->create_stream(&state.stream), "making a stream");
    state.runtime = cuda.runtime;
  }
  stream_ = state.stream;
}

Session::~Session() {
  // After an error copies from arrays of the host may still be under way.
  cuda_.runtime->synchronize(stream_);
  shared().arena.reset(*cuda_.runtime);
}

void Session::check(int status, const char* what) const {
  if (status == 0) return;
  const std::string message = std::string("CUDA, ") + what + ": " + cuda_.runtime->message(status);
  if (status == out_of_memory) {
    throw Error("DEVICE_MEMORY", message + "; give smaller batches, or device 'cpu'");
  }
  throw Error("DEVICE_FAILED", message + " (error " + std::to_string(status) + ")");
}

void* Session::memory(std::size_t bytes) {
  void* taken = nullptr;
  check(shared().arena.take(*cuda_.runtime, bytes, &taken), "taking memory");
  return taken;
}

const void* Session::upload(const void* host, std::size_t bytes) {
  if (!host) return nullptr;
  const void*& copy = copies_[{host, bytes}];
  if (!copy) {
    void* const device = memory(bytes);
    if (bytes > 0)
      check(cuda_.runtime->copy_to_device(device, host, bytes, stream_), "copying to the device");
    copy = device;
  }
  return copy;
}

void* Session::result(void* host, std::size_t bytes) {
  if (!host) return nullptr;
  void* const device = memory(bytes);
  results_.push_back({host, device, bytes});
  return device;
}

void* Session::changed(void* host, std::size_t bytes) {
  void* const device = result(host, bytes);
  if (device && bytes > 0) {
    check(cuda_.runtime->copy_to_device(device, host, bytes, stream_), "copying to the device");
  }
  return device;
}

bool Session::launch(const char* name, const std::function<int(cuda::Launch&)>& kernel) {
  cuda::Launch launch;
  launch.stream = stream_;
  launch.measure = true;
  int status = kernel(launch);
  if (status == cuda::enqueued) {
    launch.measure = false;
    if (launch.workspace_bytes > 0) launch.workspace = memory(launch.workspace_bytes);
    status = kernel(launch);
  }
  if (status == cuda::rule_not_computed) return false;
  if (status < 0) {
    throw Error("INTERNAL", std::string("CUDA, ") + name + ": the launch was refused (status " +
                                std::to_string(status) + ")");
  }
  check(status, name);
  return true;
}

void Session::finish() {
  for (const Result& result : results_) {
    if (result.bytes == 0) continue;
    check(cuda_.runtime->copy_to_host(result.host, result.device, result.bytes, stream_),
          "copying from the device");
  }
  check(cuda_.runtime->synchronize(stream_), "running the kernels");
}

}  // namespace adjudge::device
