#pragma once

// Marks code that the processor's vectors and the lanes of a GPU share. Always inline: what is compiled for
// one instruction set must not serve another.
#if defined(__CUDACC__)
#define ADJUDGE_DEVICE __host__ __device__ __forceinline__
#else
#define ADJUDGE_DEVICE inline __attribute__((always_inline))
#endif

// Marks code that all threads of a team run together: the lanes of a warp or block on a GPU, which meet in
// the team's sums, and one thread on the processor.
#if defined(__CUDACC__)
#define ADJUDGE_TEAM __device__ inline
#else
#define ADJUDGE_TEAM inline
#endif
