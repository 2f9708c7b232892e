// The CUDA library beside the addon: found, opened and asked once per process.
#pragma once

#include <string>

#include "cuda/kernels.h"
#include "cuda/library_table.h"

namespace adjudge::device {

struct Cuda {
  bool usable = false;
  bool host_shim = false;  // its kernels run on the processor: for tests, never chosen by itself
  std::string reason;      // where it is not usable: why, and what to do
  std::string path;        // of the library, also where it is missing
  std::string build;       // what the library was compiled by and for
  int driver_version = 0;  // CUDA's version that the driver knows: 1000 x major + 10 x minor; 0 = no driver
  int runtime_version = 0;
  cuda::DeviceDescription description{};
  const cuda::Runtime* runtime = nullptr;
  const cuda::Kernels* kernels = nullptr;
};

// Opens a library and asks it; never throws.
Cuda open_cuda(const std::string& path);

// The library of this process: the file that ADJUDGE_CUDA_LIBRARY names, else adjudge_cuda.so beside the
// addon.
const Cuda& cuda();

// "13.0" of 13000.
std::string version_text(int version);

}  // namespace adjudge::device
