// The runtime of the host shim: the processor stands in for the device, its memory for the device's. What is
// queued on a stream is done at once.
#include "cuda/runtime.h"

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <new>

#include "cuda/simt.h"

namespace adjudge::cuda {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int invalid_value = 1;
constexpr int out_of_memory = 2;
// As cudaMalloc aligns.
constexpr std::size_t alignment = 256;

int versions(int* driver, int* own) {
  *driver = *own = 0;
  return 0;
}

int device_count(int* count) {
  *count = 1;
  return 0;
}

int describe(int device, DeviceDescription* description) {
  *description = {};
  if (device != 0) return invalid_value;
  std::strcpy(description->name, "host shim: kernels run on the processor");
  description->multiprocessors = 1;
  description->shared_bytes_per_block = simt::most_shared_bytes;
  return 0;
}

int select_device(int device) { return device == 0 ? 0 : invalid_value; }

// Filled with NaN bytes, so that a kernel which reads what nobody wrote shows.
int allocate(void** memory, std::size_t bytes) {
  *memory = std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
  if (!*memory && bytes > 0) return out_of_memory;
  if (*memory) std::memset(*memory, 0xff, bytes);
  return 0;
}
int release(void* memory) {
  std::free(memory);
  return 0;
}

int copy(void* to, const void* from, std::size_t bytes, void*) {
  if (bytes > 0) std::memcpy(to, from, bytes);
  return 0;
}
int fill(void* memory, int byte, std::size_t bytes, void*) {
  if (bytes > 0) std::memset(memory, byte, bytes);
  return 0;
}

int create_stream(void** stream) {
  *stream = nullptr;
  return 0;
}
int destroy_stream(void*) { return 0; }
int synchronize(void*) { return 0; }

int create_event(void** event) {
  *event = new (std::nothrow) Clock::time_point;
  return *event ? 0 : out_of_memory;
}
int destroy_event(void* event) {
  delete static_cast<Clock::time_point*>(event);
  return 0;
}
int record(void* event, void*) {
  *static_cast<Clock::time_point*>(event) = Clock::now();
  return 0;
}
int elapsed(void* from, void* to, float* milliseconds) {
  const auto time = *static_cast<Clock::time_point*>(to) - *static_cast<Clock::time_point*>(from);
  *milliseconds = std::chrono::duration<float, std::milli>(time).count();
  return 0;
}

const char* message(int status) {
  switch (status) {
    case 0:
      return "no error";
    case out_of_memory:
      return "out of memory";
    case simt::too_many_blocks:
      return "invalid configuration argument";
    default:
      return "invalid argument";
  }
}

}  // namespace

const Runtime& runtime() {
  static constexpr Runtime table{versions,      device_count,   describe,    select_device, allocate,
                                 release,       copy,           copy,        copy,          fill,
                                 create_stream, destroy_stream, synchronize, create_event,  destroy_event,
                                 record,        elapsed,        message};
  return table;
}

}  // namespace adjudge::cuda
