// One call on the device: arrays of the host go there, kernels run, results come back. Sessions of one
// process take turns.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "device/cuda.h"

namespace adjudge::device {

class Session {
 public:
  // Throws Error DEVICE_UNAVAILABLE where the library or the device cannot be used.
  explicit Session(const Cuda& cuda);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  const cuda::Kernels& kernels() const { return *cuda_.kernels; }
  const Cuda& cuda() const { return cuda_; }
  void* stream() const { return stream_; }

  // A copy of an array on the device; null stays null, and one array of the host has one copy.
  template <typename Element>
  const Element* in(const Element* host, std::size_t count) {
    return static_cast<const Element*>(upload(host, count * sizeof(Element)));
  }
  // Memory on the device that finish() copies into `host`; null stays null.
  template <typename Element>
  Element* out(Element* host, std::size_t count) {
    return static_cast<Element*>(result(host, count * sizeof(Element)));
  }
  // Both: what the array holds is there before the kernels.
  template <typename Element>
  Element* in_out(Element* host, std::size_t count) {
    return static_cast<Element*>(changed(host, count * sizeof(Element)));
  }
  // Memory of the device alone, aligned as cudaMalloc aligns.
  void* memory(std::size_t bytes);

  // Enqueues a kernel of the table, with the workspace it asks for. False where the rule has no kernel.
  // Throws Error DEVICE_FAILED where it could not be started.
  bool launch(const char* name, const std::function<int(cuda::Launch&)>& kernel);

  // Copies the results back and waits. Throws Error DEVICE_FAILED where a kernel went wrong.
  void finish();

  // Throws Error DEVICE_FAILED (DEVICE_MEMORY where memory is short) for a status that is not 0.
  void check(int status, const char* what) const;

 private:
  struct Result {
    void* host;
    const void* device;
    std::size_t bytes;
  };

  const void* upload(const void* host, std::size_t bytes);
  void* result(void* host, std::size_t bytes);
  void* changed(void* host, std::size_t bytes);

  const Cuda& cuda_;
  std::unique_lock<std::mutex> turn_;
  void* stream_ = nullptr;
  std::map<std::pair<const void*, std::size_t>, const void*> copies_;
  std::vector<Result> results_;
};

}  // namespace adjudge::device
