#include "cuda/library_table.h"

extern "C" __attribute__((visibility("default"))) const adjudge::cuda::LibraryTable* adjudge_cuda_library() {
  using namespace adjudge::cuda;
#ifdef ADJUDGE_CUDA_HOST
  static const LibraryTable table{library_version, 1, "host shim", runtime()};
#else
  static const LibraryTable table{library_version, 0, ADJUDGE_CUDA_BUILD, runtime()};
#endif
  return &table;
}
