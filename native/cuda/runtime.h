// What the CUDA library offers besides its kernels: memory, copies, streams, events and what the device is.
// Plain C types only: the library is compiled by nvcc and opened at run time, so no class, no exception and
// no memory of the standard library may cross its boundary.
#pragma once

#include <cstddef>
#include <cstdint>

namespace adjudge::cuda {

struct DeviceDescription {
  char name[256];
  std::int32_t major;  // compute capability
  std::int32_t minor;
  std::int32_t multiprocessors;
  std::uint64_t memory_bytes;
  std::uint64_t free_bytes;
  std::uint64_t shared_bytes_per_block;  // with opt-in
  std::uint64_t l2_bytes;
};

// Every function but `message` returns a status: 0, or CUDA's own error number. Streams and events are
// opaque.
struct Runtime {
  // CUDA's version that the installed driver knows (0: there is no driver) and that of the library's own
  // runtime: 1000 x major + 10 x minor.
  int (*versions)(int* driver, int* runtime);
  int (*device_count)(int* count);
  int (*describe)(int device, DeviceDescription* description);
  // Makes it the device of this thread, with its context, and runs an empty kernel: a library that was
  // compiled for other devices shows here.
  int (*select)(int device);
  int (*allocate)(void** memory, std::size_t bytes);
  int (*release)(void* memory);
  // In the order of the stream. Memory of the host may be ordinary memory: it must stay until synchronize.
  int (*copy_to_device)(void* to, const void* from, std::size_t bytes, void* stream);
  int (*copy_to_host)(void* to, const void* from, std::size_t bytes, void* stream);
  int (*copy_on_device)(void* to, const void* from, std::size_t bytes, void* stream);
  int (*fill)(void* memory, int byte, std::size_t bytes, void* stream);
  int (*create_stream)(void** stream);
  int (*destroy_stream)(void* stream);
  // Waits for the stream; also reports what a kernel of it did wrong.
  int (*synchronize)(void* stream);
  int (*create_event)(void** event);
  int (*destroy_event)(void* event);
  int (*record)(void* event, void* stream);
  // Milliseconds between two events, once both are over.
  int (*elapsed)(void* from, void* to, float* milliseconds);
  const char* (*message)(int status);
};

const Runtime& runtime();

}  // namespace adjudge::cuda
