// The runtime of a real device, over CUDA's own (linked statically: the library needs nothing but a driver).
#include "cuda/runtime.h"

#include <cuda_runtime_api.h>

#include <cstring>

namespace adjudge::cuda {
namespace {

cudaStream_t stream_of(void* stream) { return static_cast<cudaStream_t>(stream); }
cudaEvent_t event_of(void* event) { return static_cast<cudaEvent_t>(event); }

// A status that is no sticky error is taken off CUDA's own record, so that it is not reported again later.
int done(cudaError_t status) {
  if (status != cudaSuccess) cudaGetLastError();
  return status;
}

__global__ void nothing() {}

int versions(int* driver, int* own) {
  *driver = *own = 0;
  if (const int status = done(cudaDriverGetVersion(driver))) return status;
  return done(cudaRuntimeGetVersion(own));
}

int device_count(int* count) {
  *count = 0;
  return done(cudaGetDeviceCount(count));
}

int describe(int device, DeviceDescription* description) {
  *description = {};
  cudaDeviceProp properties{};
  if (const int status = done(cudaGetDeviceProperties(&properties, device))) return status;
  static_assert(sizeof description->name == sizeof properties.name);
  std::memcpy(description->name, properties.name, sizeof description->name);
  description->major = properties.major;
  description->minor = properties.minor;
  description->multiprocessors = properties.multiProcessorCount;
  description->memory_bytes = properties.totalGlobalMem;
  description->shared_bytes_per_block = properties.sharedMemPerBlockOptin;
  description->l2_bytes = static_cast<std::uint64_t>(properties.l2CacheSize);
  std::size_t free = 0, total = 0;
  if (const int status = done(cudaSetDevice(device))) return status;
  if (const int status = done(cudaMemGetInfo(&free, &total))) return status;
  description->free_bytes = free;
  return 0;
}

int select_device(int device) {
  if (const int status = done(cudaSetDevice(device))) return status;
  nothing<<<1, 1>>>();
  if (const int status = done(cudaGetLastError())) return status;
  return done(cudaDeviceSynchronize());
}

int allocate(void** memory, std::size_t bytes) { return done(cudaMalloc(memory, bytes)); }
int release(void* memory) { return done(cudaFree(memory)); }

int copy_to_device(void* to, const void* from, std::size_t bytes, void* stream) {
  return done(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, stream_of(stream)));
}
int copy_to_host(void* to, const void* from, std::size_t bytes, void* stream) {
  return done(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, stream_of(stream)));
}
int copy_on_device(void* to, const void* from, std::size_t bytes, void* stream) {
  return done(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, stream_of(stream)));
}
int fill(void* memory, int byte, std::size_t bytes, void* stream) {
  return done(cudaMemsetAsync(memory, byte, bytes, stream_of(stream)));
}

// Not the default stream's: it would wait for every other user of the device in this process.
int create_stream(void** stream) {
  cudaStream_t created = nullptr;
  const int status = done(cudaStreamCreateWithFlags(&created, cudaStreamNonBlocking));
  *stream = created;
  return status;
}
int destroy_stream(void* stream) { return done(cudaStreamDestroy(stream_of(stream))); }
int synchronize(void* stream) { return done(cudaStreamSynchronize(stream_of(stream))); }

int create_event(void** event) {
  cudaEvent_t created = nullptr;
  const int status = done(cudaEventCreate(&created));
  *event = created;
  return status;
}
int destroy_event(void* event) { return done(cudaEventDestroy(event_of(event))); }
int record(void* event, void* stream) { return done(cudaEventRecord(event_of(event), stream_of(stream))); }
int elapsed(void* from, void* to, float* milliseconds) {
  if (const int status = done(cudaEventSynchronize(event_of(to)))) return status;
  return done(cudaEventElapsedTime(milliseconds, event_of(from), event_of(to)));
}

const char* message(int status) { return cudaGetErrorString(static_cast<cudaError_t>(status)); }

}  // namespace

const Runtime& runtime() {
  static constexpr Runtime table{versions,      device_count,   describe,     select_device,  allocate,
                                 release,       copy_to_device, copy_to_host, copy_on_device, fill,
                                 create_stream, destroy_stream, synchronize,  create_event,   destroy_event,
                                 record,        elapsed,        message};
  return table;
}

}  // namespace adjudge::cuda
