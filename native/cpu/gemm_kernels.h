// The table that each instruction set's file exports, and the only way into it.
#pragma once
#include <cstdint>

namespace adjudge {

// Memory that a tile asks for while it runs, so that it is near when its turn comes: a line of 64 bytes at
// `next` and `step` bytes further at each depth.
struct Ahead {
  const char* next;
  int64_t step;
};

// c[rows, panel_width] (row stride ldc) from a packed [depth, rows] and one panel [depth, panel_width].
// resume: the chains start at c, else at 0. accumulate: the finished chains are added to c, else stored.
// Element float: one depth per element. Element uint32_t: two depths, as bfloat16; the chain takes them one
// by one.
template <class Element>
using Tile = void (*)(int64_t rows, int64_t depth, const Element* a, const Element* panel, float* c,
                      int64_t ldc, bool resume, bool accumulate, Ahead ahead);

// See pack_scalar.h.
template <class Element>
using PackDepth = void (*)(const float* source, int64_t row_stride, int64_t rows, int64_t depth,
                           Element* target, int64_t target_stride);
template <class Element>
using PackWidth = void (*)(const float* source, int64_t depth_stride, int64_t rows, int64_t depth,
                           Element* target, int64_t target_stride);

// What the code above the tiles needs for one kind of element.
template <class Element>
struct ElementKernels {
  Tile<Element> tile;
  PackDepth<Element> pack_depth;
  PackWidth<Element> pack_width;
};

struct GemmKernels {
  int64_t panel_width;  // columns of one packed panel of B
  int64_t max_rows;     // most rows of one register tile, at most 16
  ElementKernels<float> float32;
  ElementKernels<uint32_t> bfloat16;
};

extern const GemmKernels gemm_portable;
#if defined(__x86_64__)
extern const GemmKernels gemm_avx2;
extern const GemmKernels gemm_avx512;
// Takes the place of gemm_avx512's where the processor multiplies pairs of bfloat16 itself.
extern const Tile<uint32_t> bfloat16_tile_avx512bf16;
#endif

}  // namespace adjudge
