// Products of matrices in f32 from shared memory, for operands whose rows may be live ones.
#pragma once

#include "cuda/kernels.h"
#include "cuda/live_rows.cuh"

namespace adjudge::cuda {

// A matrix whose rows are `stride` elements apart.
struct Operand {
  const void* data;
  Element element;
  std::int64_t stride;
  bool depth_is_row;  // element (i, k) is data[k][i], else data[i][k]
  bool live;          // its rows are the live ones
};

// C[i, j] = sum over k of A(i, k) B(j, k).
struct Product {
  Operand a, b;
  std::int64_t m, n, k;  // where the live rows are one of them: at most as many
  LiveRows live;
  float* c;  // [m, n]; with live_m its rows are the live ones
  std::int64_t c_stride;
  bool live_m;
  bool live_k;
  bool scattered;   // row i of C is live row i, else i
  bool accumulate;  // added to C
};

// Memory that enqueue_product needs for partial sums of a product; 0: none.
std::int64_t product_partials(const Product& product);

// Partial sums have a fixed order that depends on the sizes only. `partials`: as product_partials says.
void enqueue_product(Enqueue& enqueue, const Product& product, float* partials);

}  // namespace adjudge::cuda
