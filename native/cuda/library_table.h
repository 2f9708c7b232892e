// The one thing that the CUDA library exports.
#pragma once

#include <cstdint>

#include "cuda/runtime.h"

namespace adjudge::cuda {

// Raised whenever Runtime, Kernels or a record that crosses the boundary changes.
inline constexpr std::uint32_t library_version = 1;

struct LibraryTable {
  std::uint32_t version;  // stays first: it is read before anything else is trusted
  std::uint32_t host;     // 1: the host shim, kernels on the processor
  const char* build;      // what it was compiled by and for, in words
  Runtime runtime;
};

}  // namespace adjudge::cuda

extern "C" {
// Under this name in the library.
#define ADJUDGE_CUDA_ENTRY "adjudge_cuda_library"
using AdjudgeCudaEntry = const adjudge::cuda::LibraryTable*();
}
