#pragma once

// Marks code that the processor's vectors and the lanes of a GPU share. Always inline: what is compiled for
// one instruction set must not serve another.
#if defined(__CUDACC__)
#define ADJUDGE_DEVICE __host__ __device__ __forceinline__
#else
#define ADJUDGE_DEVICE inline __attribute__((always_inline))
#endif
